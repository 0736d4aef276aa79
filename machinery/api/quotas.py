"""What an object costs a ResourceQuota, and which quotas it is counted by. Who refuses, and who recounts, is elsewhere.

Upstream: pkg/quota/v1/evaluator/core (pods, services, persistent_volume_claims), pkg/quota/v1/resources.go. A usage is
a ResourceList: names and canonical quantities, so that `512Mi` stays in the words it was asked in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from machinery.api import kinds, pods, quantity
from machinery.api.codec import Json
from machinery.api.kinds import Kind

#: name of a resource → canonical quantity
Usage = dict[str, str]

_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
#: of these every container must say something where a quota bounds them
_REQUIRED: Final = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
#: counted under their own names, too
_PLAIN: Final = frozenset((kinds.CONFIG_MAPS, kinds.SECRETS, kinds.REPLICATION_CONTROLLERS, kinds.RESOURCE_QUOTAS))
_OF_CLASS: Final = ".storageclass.storage.k8s.io/"
#: kinds that cost more than their number
MEASURED: Final = (kinds.PODS, kinds.SERVICES, kinds.PERSISTENT_VOLUME_CLAIMS)


def add(left: Mapping[str, str], right: Mapping[str, str]) -> Usage:
    """Both together, name by name."""
    return {name: _sum(left.get(name, "0"), right.get(name, "0")) for name in {**left, **right}}


def _sum(left: str, right: str) -> str:
    value = quantity.parse(left)
    return quantity.in_family_of(left if value else right, value + quantity.parse(right))


def increase(new: Mapping[str, str], old: Mapping[str, str]) -> Usage:
    """What is asked beyond the old; what shrinks is left out."""
    found = {}
    for name, text in new.items():
        more = quantity.parse(text) - quantity.parse(old.get(name, "0"))
        if more > 0:
            found[name] = quantity.in_family_of(text, more)
    return found


def exceeded(used: Mapping[str, str], hard: Mapping[str, str]) -> list[str]:
    """The names of which more is used than allowed, sorted."""
    return sorted(
        name for name, text in used.items() if name in hard and quantity.parse(text) > quantity.parse(hard[name])
    )


def kind_counted_by(name: str) -> Kind | None:
    """The kind whose objects a quota's resource is about: `count/jobs.batch` → jobs; None: not one we know."""
    if _OF_CLASS in name or name == "requests.storage":
        return kinds.PERSISTENT_VOLUME_CLAIMS
    if name.startswith("services."):
        return kinds.SERVICES
    counted = name.removeprefix("count/")
    found = next((kind for kind in kinds.ALL if kind.namespaced and kind.resource == counted), None)
    if name == counted and found not in (*_PLAIN, *MEASURED):
        return kinds.PODS  # cpu, requests.memory, requests.example.com/gpu …
    return found


# what an object costs


def usage_of(kind: Kind, obj: Json) -> Usage:
    """What it costs any quota that counts it."""
    usage = {f"count/{kind.resource}": "1"}
    if kind in _PLAIN:
        usage[kind.plural] = "1"
    measure = _MEASURES.get(kind)
    return usage | measure(obj) if measure else usage


def _of_pod(pod: Json) -> Usage:
    if pods.is_terminal(pod):
        return {}
    usage = {"pods": "1"}
    for name, amount in pods.requests_of(pod).items():
        text = _text(pod, "requests", name, amount)
        usage[f"requests.{name}"] = text
        if name in _COMPUTE or name.startswith("hugepages-"):
            usage[name] = text
    limits = pods.total_of_containers(pod, "limits")
    return usage | {f"limits.{name}": _text(pod, "limits", name, limits[name]) for name in _COMPUTE if name in limits}


def _text(pod: Json, part: str, name: str, amount: int) -> str:
    """An amount as the first container that asks for any writes it."""
    plain = f"{amount}m" if name == "cpu" else str(amount)
    containers = pods.every_container_of(pod.get("spec") or {})
    texts = (((container.get("resources") or {}).get(part) or {}).get(name) for container in containers)
    return quantity.in_family_of(str(next((text for text in texts if text), "0")), quantity.parse(plain))


def _of_service(service: Json) -> Usage:
    spec = service.get("spec") or {}
    ports, of = spec.get("ports") or [], spec.get("type")
    balanced = of == "LoadBalancer"
    if balanced and spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    has_node_ports = balanced or of == "NodePort"
    return {
        "services": "1",
        "services.nodeports": str(len(ports) if has_node_ports else 0),
        "services.loadbalancers": str(int(balanced)),
    }


def _of_claim(claim: Json) -> Usage:
    spec = claim.get("spec") or {}
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    usage = {"persistentvolumeclaims": "1"}
    if size:
        usage["requests.storage"] = quantity.canonical(size)
    if name := spec.get("storageClassName"):
        usage |= {f"{name}{_OF_CLASS}{what}": text for what, text in usage.items()}
    return usage


_MEASURES: Final[dict[Kind, Callable[[Json], Usage]]] = {
    kinds.PODS: _of_pod,
    kinds.SERVICES: _of_service,
    kinds.PERSISTENT_VOLUME_CLAIMS: _of_claim,
}


def missing_of(pod: Json, hard: Iterable[str]) -> str:
    """`must specify limits.cpu for: a,b; …` where a quota bounds what containers leave open; empty: nothing is."""
    bounded = sorted(_REQUIRED.intersection(hard))
    lacking: dict[str, set[str]] = {}
    for container in (*pods.containers_of(pod), *pods.init_containers_of(pod)):
        resources = container.get("resources") or {}
        asked = set(resources.get("requests") or ()) | {f"requests.{name}" for name in resources.get("requests") or ()}
        asked |= {f"limits.{name}" for name in resources.get("limits") or ()}
        for name in bounded:
            if name not in asked:
                lacking.setdefault(name, set()).add(container.get("name", ""))
    told = "; ".join(f"{name} for: {','.join(sorted(names))}" for name, names in sorted(lacking.items()))
    return f"must specify {told}" if told else ""


# which quotas count an object


def counts(quota: Json, kind: Kind, obj: Json) -> bool:
    """Whether an object is in all the scopes of a quota; one with scopes counts pods, or claims, only."""
    return all(_is_in_scope(expression, kind, obj) for expression in _scopes_of(quota))


def has_scope(quota: Json, name: str) -> bool:
    """Whether one of a quota's scopes has this name."""
    return any(expression.get("scopeName") == name for expression in _scopes_of(quota))


def _scopes_of(quota: Json) -> Iterator[Json]:
    spec = quota.get("spec") or {}
    yield from ({"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ())
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def _is_in_scope(expression: Json, kind: Kind, obj: Json) -> bool:
    spec, scope = obj.get("spec") or {}, expression.get("scopeName")
    if kind == kinds.PERSISTENT_VOLUME_CLAIMS and scope == "VolumeAttributesClass":
        return _has(expression, spec.get("volumeAttributesClassName"))
    if kind != kinds.PODS:
        return False
    if scope == "PriorityClass":
        return _has(expression, spec.get("priorityClassName"))
    is_in = _POD_SCOPES.get(scope or "")
    return is_in is not None and is_in(obj)


def _has(expression: Json, name: str | None) -> bool:
    operator, values = expression.get("operator"), expression.get("values") or ()
    if operator in ("In", "NotIn"):
        return bool((name or "") in values) is (operator == "In")
    return bool(name) == (operator == "Exists")


def _looks_across_namespaces(pod: Json) -> bool:
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    for side in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(side) or {}
        weighted = part.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = (one.get("podAffinityTerm") or {} for one in weighted)
        for term in (*(part.get("requiredDuringSchedulingIgnoredDuringExecution") or ()), *preferred):
            if term.get("namespaces") or term.get("namespaceSelector") is not None:
                return True
    return False


def _ends_by_itself(pod: Json) -> bool:
    return (pod.get("spec") or {}).get("activeDeadlineSeconds") is not None


_POD_SCOPES: Final[dict[str, Callable[[Json], bool]]] = {
    "Terminating": _ends_by_itself,
    "NotTerminating": lambda pod: not _ends_by_itself(pod),
    "BestEffort": lambda pod: pods.qos_class(pod) == "BestEffort",
    "NotBestEffort": lambda pod: pods.qos_class(pod) != "BestEffort",
    "CrossNamespacePodAffinity": _looks_across_namespaces,
}
