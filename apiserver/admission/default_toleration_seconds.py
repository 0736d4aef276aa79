"""DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or cannot be reached.

Upstream: plugin/pkg/admission/defaulttolerationseconds/admission.go.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds
from machinery.api.codec import Json

SECONDS: Final = 300
_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(Plugin):
    """Adds the two tolerations to pods that do not speak of the taints."""

    name = "DefaultTolerationSeconds"

    def __init__(self, not_ready_seconds: int = SECONDS, unreachable_seconds: int = SECONDS) -> None:
        self._seconds = dict(zip(_TAINTS, (not_ready_seconds, unreachable_seconds), strict=True))

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """On create and on update alike."""
        pod = attributes.obj
        if pod is None or not attributes.is_for(kinds.PODS, Operation.CREATE, Operation.UPDATE):
            return
        spec = pod.setdefault("spec", {})
        tolerations: list[Json] = spec.get("tolerations") or []
        missing = [key for key in _TAINTS if not any(_speaks_of(toleration, key) for toleration in tolerations)]
        if missing:
            spec["tolerations"] = tolerations + [self._toleration(key) for key in missing]

    def _toleration(self, key: str) -> Json:
        return {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": self._seconds[key],
        }


def _speaks_of(toleration: Json, key: str) -> bool:
    return toleration.get("key") in (key, "", None) and toleration.get("effect") in ("NoExecute", "", None)
