"""From words and files to what a verb works on: named targets and whole listings. Carrying the verb out is not here.

Upstream: cli-runtime/pkg/resource/builder.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kubectl import manifests
from kubectl.discovery import ApiResource, Discovery
from kubectl.flags import Args
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

NOTHING_GIVEN: Final = """You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'"""
NO_NAME: Final = "resource(s) were provided, but no name was specified"


@dataclass(frozen=True, slots=True)
class Target:
    """One object wanted by name; `object` and `source` are what a file says about it."""

    resource: ApiResource
    namespace: str
    name: str
    object: Json | None = None
    source: str = ""

    @property
    def kind(self) -> Kind:
        """How it is addressed."""
        return self.resource.kind

    @property
    def path(self) -> str:
        """Where it is on the server."""
        return self.kind.path(self.namespace, self.name)

    @property
    def title(self) -> str:
        """How results name it: `deployment.apps/web`."""
        return f"{self.resource.title}/{self.name}"


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind in a namespace, or in all (empty namespace), as far as selectors let them through."""

    resource: ApiResource
    namespace: str
    label_selector: str = ""
    field_selector: str = ""

    @property
    def path(self) -> str:
        """Where the collection is on the server."""
        return self.resource.kind.path(self.namespace)

    @property
    def params(self) -> dict[str, str]:
        """The selectors as query parameters."""
        return {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the flags say about the selection; a verb without one of these flags has its default."""

    all_namespaces: bool = False
    label_selector: str = ""
    field_selector: str = ""
    files: tuple[str, ...] = ()
    recursive: bool = False
    everything: bool = False  # --all, or a verb for which a bare type means all of it

    @classmethod
    def of(cls, args: Args, everything: bool = False) -> "Wanted":
        """Read from a command line."""
        values = args.values
        return cls(
            bool(values.get("all-namespaces")),
            str(values.get("selector") or ""),
            str(values.get("field-selector") or ""),
            tuple(args.list("filename") if "filename" in values else ()),
            bool(values.get("recursive")),
            everything or bool(values.get("all")),
        )


async def select(session: Session, words: Sequence[str], wanted: Wanted) -> list[Target | Listing]:
    """Everything the words and files name, in their order; raises CliError in kubectl's words."""
    discovery = await session.discovery()
    found: list[Target | Listing] = list(await from_files(session, wanted))
    if not words:
        if not found:
            raise CliError(NOTHING_GIVEN)
        return found
    if wanted.files:
        raise CliError(
            "when paths, URLs, or stdin is provided as resource input, you may not specify resource arguments as well"
        )
    return list(from_words(discovery, session.namespace, words, wanted))


async def targets(session: Session, words: Sequence[str], wanted: Wanted) -> list[Target]:
    """The same, with listings asked of the server: every target is one object, known by name."""
    found: list[Target] = []
    for selected in await select(session, words, wanted):
        if isinstance(selected, Target):
            found.append(selected)
        else:
            found += await listed(session, selected)
    return found


async def listed(session: Session, listing: Listing) -> list[Target]:
    """The objects of a listing as targets that carry what the server said."""
    answer = await list_page(session, listing, listing.params)
    items = [typed(item, answer) for item in answer.get("items") or ()]
    return [Target(listing.resource, meta.namespace_of(item), meta.name_of(item), item) for item in items]


async def list_page(
    session: Session, listing: Listing, params: dict[str, str], headers: dict[str, str] | None = None
) -> Json:
    """One page of a listing; a refusal says what was looked for (upstream: resource.EnhanceListError)."""
    try:
        return await session.call("GET", listing.path, params=params, headers=headers)
    except (errors.BadRequest, errors.NotFound) as problem:
        kind = listing.resource.kind
        what = f'"{kind.group}/{kind.version}, Resource={kind.plural}"'
        text = f"Unable to list {what}: {problem.message}"
        if listing.label_selector or listing.field_selector:
            selectors = f'label selector "{listing.label_selector}", field selector "{listing.field_selector}"'
            text = f"Unable to find {what} that match {selectors}: {problem.message}"
        raise type(problem)(text, problem.details, code=problem.status_code) from problem


def typed(item: Json, answer: Json) -> Json:
    """A list's item with the kind and version that lists leave out."""
    kind = str(answer.get("kind", "")).removesuffix("List")
    return {"apiVersion": answer.get("apiVersion", ""), "kind": kind} | item


async def from_files(session: Session, wanted: Wanted) -> list[Target]:
    """The objects of -f, each with its resource and namespace."""
    if not wanted.files:
        return []
    discovery = await session.discovery()
    read = await manifests.read(list(wanted.files), wanted.recursive)
    if not read:
        raise CliError("no objects passed to " + str(session.args.values.get("verb", "the command")))
    return [_from_object(discovery, session, obj, source) for obj, source in read]


def _from_object(discovery: Discovery, session: Session, obj: Json, source: str) -> Target:
    resource = discovery.of_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        raise CliError(
            f'resource mapping not found for name: "{meta.name_of(obj)}" namespace: "{meta.namespace_of(obj)}" from '
            f'"{source}": no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"\n'
            "ensure CRDs are installed first"
        )
    namespace = meta.namespace_of(obj)
    if resource.kind.namespaced:
        _check_namespace(session, namespace)
        namespace = namespace or session.namespace
        obj = obj | {"metadata": meta.metadata_of(obj) | {"namespace": namespace}}
    return Target(resource, namespace if resource.kind.namespaced else "", meta.name_of(obj), obj, source)


def _check_namespace(session: Session, namespace: str) -> None:
    if namespace and session.namespace_is_explicit and namespace != session.namespace:
        raise CliError(
            f'the namespace from the provided object "{namespace}" does not match the namespace "{session.namespace}". '
            f"You must pass '--namespace={namespace}' to perform this operation."
        )


def from_words(discovery: Discovery, namespace: str, words: Sequence[str], wanted: Wanted) -> list[Target | Listing]:
    """What words alone select; raises CliError when they contradict each other or the flags."""
    if any("/" in word for word in words):
        return list(_slashed(discovery, namespace, words, wanted))
    resources, names = discovery.expand(words[0]), words[1:]
    if names:
        _no_selectors(wanted)
        return [Target(r, namespace if r.kind.namespaced else "", name) for r in resources for name in names]
    if not (wanted.everything or wanted.label_selector or wanted.field_selector):
        raise CliError(NO_NAME)
    everywhere = "" if wanted.all_namespaces else namespace
    return [
        Listing(r, everywhere if r.kind.namespaced else "", wanted.label_selector, wanted.field_selector)
        for r in resources
    ]


def _slashed(discovery: Discovery, namespace: str, words: Sequence[str], wanted: Wanted) -> list[Target]:
    if not all("/" in word for word in words):
        raise CliError(
            "there is no need to specify a resource type as a separate argument when passing arguments in "
            "resource/name form (e.g. 'skiff get resource/<resource_name>' instead of 'skiff get resource "
            "resource/<resource_name>'"
        )
    _no_selectors(wanted)
    found = []
    for word in words:
        type_, _, name = word.partition("/")
        if not type_ or not name or "/" in name:
            raise CliError("arguments in resource/name form must have a single resource and name")
        resource = discovery.find(type_)
        found.append(Target(resource, namespace if resource.kind.namespaced else "", name))
    return found


def _no_selectors(wanted: Wanted) -> None:
    if wanted.label_selector or wanted.field_selector:
        raise CliError("name cannot be provided when a selector is specified")
    if wanted.all_namespaces:
        raise CliError("a resource cannot be retrieved by name across all namespaces")
