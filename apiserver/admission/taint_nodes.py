"""TaintNodesByCondition: a new node takes no pods until its conditions are known.

Upstream: plugin/pkg/admission/nodetaint/admission.go.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds
from machinery.api.codec import Json

_TAINT: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(Plugin):
    """Taints nodes when they are created; the node lifecycle controller takes the taint away."""

    name = "TaintNodesByCondition"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Add the not-ready taint where it is missing."""
        node = attributes.obj
        if node is None or not attributes.is_for(kinds.NODES, Operation.CREATE):
            return
        spec = node.setdefault("spec", {})
        taints: list[Json] = spec.get("taints") or []
        if not any(taint.get("key") == _TAINT["key"] and taint.get("effect") == _TAINT["effect"] for taint in taints):
            spec["taints"] = [*taints, dict(_TAINT)]
