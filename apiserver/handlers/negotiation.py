"""What form a client wants its answer in, by Accept, and what form its body is in. Making the forms is rendering's."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from machinery.api import errors

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_SERVED: Final = (JSON, YAML, PROTOBUF)
#: browsers and command line tools
_PEOPLE: Final = ("curl", "Wget", "Mozilla/5.0")
_TRUE: Final = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_LONGEST_ACCEPT: Final = 4096  # characters that are looked at, and kept
_META_VERSIONS: Final = ("v1", "v1beta1")


class Form(Enum):
    """How objects are shown."""

    OBJECT = ""
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The form and encoding an answer gets; `version` is that of meta.k8s.io for what is not the object itself."""

    form: Form = Form.OBJECT
    media_type: str = JSON
    version: str = "v1"

    @property
    def is_plain(self) -> bool:
        """Whether the stored bytes are the answer."""
        return self.form is Form.OBJECT and self.media_type == JSON


@dataclass(frozen=True, slots=True)
class _Range:
    media_type: str
    parameters: dict[str, str]
    quality: float


def negotiate(accept: str, *, watch: bool = False, protobuf: bool = True) -> Accepted:
    """The first acceptable form that is served; raises NotAcceptable.

    Who takes JSON beside protobuf gets JSON, wherever it stands: that is what lies in memory. `protobuf` says whether
    the kind can be written so. Upstream: apiserver/pkg/endpoints/handlers/negotiation/negotiate.go.
    """
    return _negotiated(accept[:_LONGEST_ACCEPT], watch, protobuf)


@lru_cache(maxsize=512)
def _negotiated(accept: str, watch: bool, protobuf: bool) -> Accepted:
    served = [found for wanted in _ranges(accept or "*/*") if (found := _served(wanted, watch, protobuf))]
    if not served:
        types = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch") if watch else _SERVED
        raise errors.NotAcceptable(f"only the following media types are accepted: {', '.join(types)}")
    first = served[0]
    if first.media_type != PROTOBUF:
        return first
    return next((one for one in served if (one.form, one.media_type) == (first.form, JSON)), first)


def _served(wanted: "_Range", watch: bool, protobuf: bool) -> Accepted | None:
    media_type, form = _encoding(wanted.media_type), _form(wanted.parameters)
    if media_type is None or form is None or (watch and media_type == YAML):
        return None
    if media_type == PROTOBUF and (form is Form.TABLE or (form is Form.OBJECT and not protobuf)):
        return None
    return Accepted(form, media_type, wanted.parameters.get("v", "v1"))


def _ranges(accept: str) -> list[_Range]:
    ranges = [_range(clause) for clause in accept.split(",") if clause.strip()]
    return sorted(ranges, key=lambda item: (-item.quality, item.media_type.count("*")))


def _range(clause: str) -> _Range:
    media_type, *rest = (part.strip() for part in clause.split(";"))
    parameters = dict(pair.split("=", 1) for pair in rest if "=" in pair)
    try:
        quality = float(parameters.pop("q", "1"))
    except ValueError:
        quality = 1.0
    return _Range(media_type.lower(), parameters, quality)


def _encoding(media_type: str) -> str | None:
    if media_type in (JSON, "application/*", "*/*"):
        return JSON
    return media_type if media_type in (YAML, PROTOBUF) else None


def _form(parameters: dict[str, str]) -> Form | None:
    wanted = parameters.get("as", "")
    if not wanted:
        return Form.OBJECT
    if parameters.get("g") != "meta.k8s.io" or parameters.get("v") not in _META_VERSIONS:
        return None
    return next((form for form in Form if form.value == wanted), None)


def is_pretty(agent: str, pretty: str) -> bool:
    """Whether JSON is to be indented: where the query says so, else for people's tools (upstream: isPrettyPrint)."""
    return pretty in _TRUE if pretty else agent.startswith(_PEOPLE)


def content_type(value: str, supported: tuple[str, ...]) -> str:
    """A Content-Type without its parameters; none counts as JSON. Raises UnsupportedMediaType."""
    media_type = value.partition(";")[0].strip().lower() or JSON
    if media_type not in supported:
        raise unsupported(supported)
    return media_type


def unsupported(supported: tuple[str, ...]) -> errors.UnsupportedMediaType:
    """415 in upstream's words."""
    text = "the body of the request was in an unknown format - accepted media types include: "
    return errors.UnsupportedMediaType(text + ", ".join(supported))
