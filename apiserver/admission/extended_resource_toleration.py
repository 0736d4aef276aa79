"""ExtendedResourceToleration: who asks for a device tolerates the taint that keeps others away from it. Off by default.

Upstream: plugin/pkg/admission/extendedresourcetoleration/admission.go.
"""

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, pods
from machinery.api.codec import Json


class ExtendedResourceToleration(Plugin):
    """One toleration for each extended resource of the pod."""

    name = "ExtendedResourceToleration"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """On create and on update alike."""
        pod = attributes.obj
        if pod is None or not attributes.is_for(kinds.PODS, Operation.CREATE, Operation.UPDATE):
            return
        names: set[str] = set()
        for container in (*pods.containers_of(pod), *pods.init_containers_of(pod)):
            names |= {name for name in (container.get("resources") or {}).get("requests") or {} if _is_extended(name)}
        tolerations: list[Json] = (pod.get("spec") or {}).get("tolerations") or []
        wanted = [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in sorted(names)]
        missing = [toleration for toleration in wanted if toleration not in tolerations]
        if missing:
            pod["spec"]["tolerations"] = tolerations + missing


def _is_extended(name: str) -> bool:
    """A resource with a domain that is not Kubernetes' own (upstream: helper.IsExtendedResourceName)."""
    domain, slash, _ = name.rpartition("/")
    return bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")
