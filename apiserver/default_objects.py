"""Objects every cluster has besides namespaces and RBAC: priority classes, flow schemas, the Services' range.

Upstream: pkg/registry/scheduling/rest, pkg/registry/flowcontrol/ensurer with staging/…/flowcontrol/bootstrap,
pkg/controlplane/controller/defaultservicecidr, kube-aggregator's local APIServices. `bootstrap` writes them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from apiserver.registry.resource import Resource
from apiserver.resources.scheduling.priorityclasses import SYSTEM
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_DESCRIPTIONS: Final = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to "
    "another node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}
#: level → shares, percent that may be lent, (queues, hand, length) or None for Reject
_LEVELS: Final[dict[str, tuple[int, int, tuple[int, int, int] | None]]] = {
    "catch-all": (5, 0, None),
    "global-default": (20, 50, (128, 6, 50)),
    "leader-election": (10, 0, (16, 4, 50)),
    "node-high": (40, 25, (64, 6, 50)),
    "system": (30, 33, (64, 6, 50)),
    "workload-high": (40, 50, (128, 6, 50)),
    "workload-low": (100, 90, (128, 6, 50)),
}
_EVERYBODY: Final = ("g:system:unauthenticated", "g:system:authenticated")
_MANAGERS: Final = ("u:system:kube-controller-manager", "u:system:kube-scheduler", "s:kube-system/*")
_WRITES: Final = ["get", "create", "update"]
_ALL: Final = ([["*"], ["*"], ["*"], ["*"], True],)
_LEASES: Final = [_WRITES, ["coordination.k8s.io"], ["leases"], ["*"], False]
#: schema → level, precedence, distinguisher, subjects, resource rules, non-resource URLs
_SCHEMAS: Final[dict[str, tuple[str, int, str, tuple[str, ...], tuple[list[Any], ...], list[str]]]] = {
    "exempt": ("exempt", 1, "", ("g:system:masters",), _ALL, ["*"]),
    "probes": ("exempt", 2, "", _EVERYBODY, (), ["/healthz", "/readyz", "/livez"]),
    "system-leader-election": ("leader-election", 100, "ByUser", _MANAGERS, (_LEASES,), []),
    "endpoint-controller": (
        "workload-high",
        150,
        "ByUser",
        (
            "u:system:kube-controller-manager",
            "s:kube-system/endpoint-controller",
            "s:kube-system/endpointslicemirroring-controller",
        ),
        ([["get", "create", "update"], [""], ["endpoints"], ["*"], False],),
        [],
    ),
    "workload-leader-election": ("leader-election", 200, "ByUser", ("s:kube-system/*",), (_LEASES,), []),
    "system-node-high": (
        "node-high",
        400,
        "ByUser",
        ("g:system:nodes",),
        (
            [["*"], [""], ["nodes", "nodes/status"], ["*"], True],
            [["*"], ["coordination.k8s.io"], ["leases"], ["*"], False],
        ),
        [],
    ),
    "system-nodes": ("system", 500, "ByUser", ("g:system:nodes",), _ALL, ["*"]),
    "kube-controller-manager": ("workload-high", 800, "ByNamespace", _MANAGERS[:1], _ALL, ["*"]),
    "kube-scheduler": ("workload-high", 800, "ByNamespace", _MANAGERS[1:2], _ALL, ["*"]),
    "kube-system-service-accounts": ("workload-high", 900, "ByNamespace", ("s:kube-system/*",), _ALL, ["*"]),
    "service-accounts": ("workload-low", 9000, "ByUser", ("g:system:serviceaccounts",), _ALL, ["*"]),
    "global-default": ("global-default", 9900, "ByUser", _EVERYBODY, _ALL, ["*"]),
    "catch-all": ("catch-all", 10000, "ByUser", _EVERYBODY, _ALL, ["*"]),
}
#: upstream's priorities of groups (kube-aggregator: pkg/apiserver/apiservice; cmd/kube-apiserver/app/aggregator.go)
_GROUP_PRIORITIES: Final = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "admissionregistration.k8s.io": 16700,
    "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "resource.k8s.io": 16200,
    "storagemigration.k8s.io": 16800,
}


def objects(service_range: str, rows: Iterable[Resource]) -> Iterator[tuple[Kind, Json]]:
    """All of them, each with its kind; what is there already stays as it is."""
    yield from _priority_classes()
    yield from _priority_levels()
    yield from _flow_schemas()
    yield kinds.SERVICE_CIDRS, _object(kinds.SERVICE_CIDRS, "kubernetes", {"cidrs": service_range.split(",")})
    yield from _api_services(rows)


def _object(kind: Kind, name: str, spec: Json) -> Json:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def _priority_classes() -> Iterator[tuple[Kind, Json]]:
    kind = kinds.PRIORITY_CLASSES
    for name, value in SYSTEM.items():
        head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}
        yield kind, head | {"value": value, "description": _DESCRIPTIONS[name]}


def _priority_levels() -> Iterator[tuple[Kind, Json]]:
    kind = kinds.PRIORITY_LEVELS
    yield kind, _automatic(_object(kind, "exempt", {"type": "Exempt"}))
    for name, (shares, lendable, queues) in _LEVELS.items():
        response: Json = {"type": "Reject"}
        if queues is not None:
            named = dict(zip(("queues", "handSize", "queueLengthLimit"), queues, strict=True))
            response = {"type": "Queue", "queuing": named}
        limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
        yield kind, _automatic(_object(kind, name, {"type": "Limited", "limited": limited}))


def _flow_schemas() -> Iterator[tuple[Kind, Json]]:
    kind = kinds.FLOW_SCHEMAS
    for name, (level, precedence, method, subjects, resources, urls) in _SCHEMAS.items():
        rule: Json = {"subjects": [_subject(text) for text in subjects]}
        if resources:
            rule["resourceRules"] = [_resource_rule(*parts) for parts in resources]
        if urls:
            rule["nonResourceRules"] = [{"verbs": ["*"] if urls == ["*"] else ["get"], "nonResourceURLs": urls}]
        spec = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule]}
        if method:
            spec["distinguisherMethod"] = {"type": method}
        yield kind, _automatic(_object(kind, name, spec))


def _automatic(obj: Json) -> Json:
    obj["metadata"]["annotations"] = {"apf.kubernetes.io/autoupdate-spec": "true"}
    return obj


def _subject(text: str) -> Json:
    letter, _, name = text.partition(":")
    if letter == "s":
        namespace, _, account = name.partition("/")
        return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": account}}
    kind = "Group" if letter == "g" else "User"
    return {"kind": kind, kind.lower(): {"name": name}}


def _resource_rule(
    verbs: list[str], groups: list[str], resources: list[str], namespaces: list[str], cluster: bool
) -> Json:
    rule: Json = {"verbs": verbs, "apiGroups": groups, "resources": resources}
    return rule | ({"clusterScope": True} if cluster else {}) | {"namespaces": namespaces}


def _api_services(rows: Iterable[Resource]) -> Iterator[tuple[Kind, Json]]:
    """One for each group and version served, which leads here."""
    versions = dict.fromkeys((row.kind.group, row.kind.version) for row in rows)
    for group, version in versions:
        spec = {
            "version": version,
            "groupPriorityMinimum": _GROUP_PRIORITIES.get(group, 1000),
            "versionPriority": 15 if version == "v1" else 30,
        }
        obj = _object(kinds.API_SERVICES, f"{version}.{group}", spec | ({"group": group} if group else {}))
        obj["metadata"]["labels"] = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        yield kinds.API_SERVICES, obj


def local_status(now: str) -> Json:
    """The status of an APIService that leads here."""
    condition = {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "Local",
        "message": "Local APIServices are always available",
    }
    return {"conditions": [condition]}
