"""EventRateLimit: so many events a second, of the server, a namespace, a user, or a source and its object.

Upstream: plugin/pkg/admission/eventratelimit. Off unless `--enable-admission-plugins` names it; its limits are in the
file of --admission-control-config-file, without which it limits nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin, Tools
from apiserver.admission.reader import Reader
from machinery.aio.clock import REAL, Clock
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

API_VERSION: Final = "eventratelimit.admission.k8s.io/v1alpha1"
_EVENTS: Final = (kinds.EVENTS, Kind("events.k8s.io", "v1", "Event", "events"))
_CACHE: Final = 4096
_SOURCE: Final = ("component", "host")
_OBJECT: Final = ("kind", "namespace", "name", "uid", "apiVersion")


def _of_source_and_object(attributes: Attributes) -> str:
    event = attributes.obj or {}
    source = event.get("source") or event.get("deprecatedSource") or {}
    about = event.get("involvedObject") or event.get("regarding") or {}
    parts = [str(source.get(name) or "") for name in _SOURCE] + [str(about.get(name) or "") for name in _OBJECT]
    return "".join(parts)


_KEYS: Final[dict[str, Callable[[Attributes], str]]] = {
    "Server": lambda attributes: "",
    "Namespace": lambda attributes: attributes.namespace,
    "User": lambda attributes: attributes.user.name,
    "SourceAndObject": _of_source_and_object,
}


@dataclass(slots=True)
class _Bucket:
    """Tokens of one key."""

    tokens: float
    at: float


class Limit:
    """One limit: a token bucket for each of the keys that were seen last."""

    def __init__(self, config: Json) -> None:
        self.type = config["type"]
        self._key = _KEYS[self.type]
        self._rate, self._burst = float(config["qps"]), float(config["burst"])
        self._most = config.get("cacheSize") or _CACHE
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def refusal(self, attributes: Attributes, now: float) -> str:
        """Take a token; the refusal where there is none, else nothing."""
        key = self._key(attributes)
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1.0:
            return f"limit reached on type {self.type} for key {key}"
        bucket.tokens -= 1.0
        return ""


class EventRateLimit(Plugin):
    """Refuses with 429."""

    name = "EventRateLimit"

    def __init__(self, limits: Sequence[Limit] = (), clock: Clock = REAL) -> None:
        self._limits = limits
        self._clock = clock

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """Limits from the configuration; raises ValueError."""
        return cls(limits_of(tools.configuration.get(cls.name) or {}))

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises TooManyRequests; every limit counts the event."""
        if attributes.kind not in _EVENTS or attributes.subresource or attributes.dry_run:
            return
        if attributes.operation not in (Operation.CREATE, Operation.UPDATE):
            return
        now = self._clock.monotonic()
        refusals = [text for limit in self._limits if (text := limit.refusal(attributes, now))]
        if refusals:
            text = refusals[0] if len(refusals) == 1 else f"[{', '.join(refusals)}]"
            raise errors.TooManyRequests(text, {"retryAfterSeconds": 1})


def limits_of(config: Json) -> list[Limit]:
    """The limits of a Configuration; raises ValueError in upstream's words."""
    limits = config.get("limits") or []
    if not limits and config:
        raise ValueError("limits: Invalid value: null: must not be empty")
    for place, limit in enumerate(limits):
        if limit.get("type") not in _KEYS:
            raise ValueError(f'limits[{place}].type: Unsupported value: "{limit.get("type")}"')
        for name in ("qps", "burst"):
            if not isinstance(limit.get(name), int) or limit[name] <= 0:
                raise ValueError(f"limits[{place}].{name}: Invalid value: {limit.get(name)}: must be positive")
    return [Limit(limit) for limit in limits]
