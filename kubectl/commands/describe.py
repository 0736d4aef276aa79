"""`skiff describe`: fetches an object, what belongs to it and its events. The text is `describe`'s.

Upstream: kubectl/pkg/cmd/describe/describe.go.
"""

from kubectl.builder import Target, Wanted, targets
from kubectl.command import ALL_NAMESPACES, FILES, LIMIT, SELECTOR, Command
from kubectl.describe.surroundings import Describer, Need, Surroundings
from kubectl.describe.table import describer_of
from kubectl.describe.text import layout
from kubectl.flags import Args, switch
from kubectl.problems import CliError, raise_all
from kubectl.session import Session
from machinery.api import errors, kinds, meta, times
from machinery.api.codec import Json

_MIRROR = "kubernetes.io/config.mirror"


async def run(session: Session, args: Args) -> int | None:
    """Describe every target, two empty lines between them; a name that is not there is tried as a prefix."""
    if not args.words and not args.list("filename"):
        raise CliError(
            'You must specify the type of resource to describe. Use "skiff api-resources" for a complete '
            "list of supported resources."
        )
    wanted = Wanted.of(args, everything=True)
    found = await targets(session, args.words, wanted)
    problems: list[Exception] = []
    texts = 0
    for target in found:
        try:
            described = await _texts(session, args, target)
        except errors.StatusError as problem:
            problems.append(problem)
            continue
        for text in described:
            session.write(("\n\n" if texts else "") + text)
            texts += 1
    if not found:
        namespaced = not wanted.all_namespaces
        session.warn(f"No resources found in {session.namespace} namespace." if namespaced else "No resources found")
    raise_all(problems)
    return None


async def _texts(session: Session, args: Args, target: Target) -> list[str]:
    try:
        live = await session.call("GET", target.path)
    except errors.NotFound:
        matching = await _with_prefix(session, target)
        if not matching:
            raise
        return [await _text(session, args, target, one) for one in matching]
    return [await _text(session, args, target, live)]


async def _with_prefix(session: Session, target: Target) -> list[Json]:
    answer = await session.call("GET", target.kind.path(target.namespace))
    typed = {"apiVersion": target.kind.api_version, "kind": target.kind.kind}
    return [typed | item for item in answer.get("items") or () if meta.name_of(item).startswith(target.name)]


async def _text(session: Session, args: Args, target: Target, live: Json) -> str:
    describer = describer_of(target.kind)
    related = {need.key: await _fetch(session, need) for need in describer.needs(live)}
    events = await _events(session, target, live) if _wants_events(args, describer) else None
    return layout(describer.lines(Surroundings(live, times.now(), events, related)))


def _wants_events(args: Args, describer: Describer) -> bool:
    return describer.has_events and args.on("show-events")


async def _fetch(session: Session, need: Need) -> list[Json]:
    try:
        if need.name:
            return [await session.call("GET", need.kind.path(need.namespace, need.name))]
        params = {"labelSelector": need.label_selector, "fieldSelector": need.field_selector}
        answer = await session.call("GET", need.kind.path(need.namespace), params=params)
    except (errors.NotFound, errors.Forbidden):
        return []
    return list(answer.get("items") or ())


async def _events(session: Session, target: Target, live: Json) -> list[Json]:
    uid = meta.annotations_of(live).get(_MIRROR) or meta.uid_of(live)
    fields = {"involvedObject.name": meta.name_of(live), "involvedObject.uid": uid}
    if target.namespace:
        fields["involvedObject.namespace"] = meta.namespace_of(live)
    found = await _events_of(session, meta.namespace_of(live), fields)
    if target.kind.kind == "Node":  # the kubelet names its node by name where others name the uid
        found += await _events_of(session, "", fields | {"involvedObject.uid": meta.name_of(live)})
    return found


async def _events_of(session: Session, namespace: str, fields: dict[str, str]) -> list[Json]:
    selector = ",".join(f"{field}={value}" for field, value in fields.items())
    return await _fetch(session, Need("events", kinds.EVENTS, namespace, field_selector=selector))


COMMAND = Command(
    "describe (TYPE [NAME | PREFIX] | TYPE/NAME | -l SELECTOR | -f FILE) [FLAGS]",
    "Show details of objects and their events.",
    (
        *FILES,
        SELECTOR,
        ALL_NAMESPACES,
        LIMIT,
        switch("show-events", "Show the events of each object.", default=True),
    ),
    run,
)
