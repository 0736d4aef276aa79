"""Reads the role tables into RBAC objects, as upstream seeds them. Writing them to storage is `apiserver.bootstrap`.

Aggregated roles (admin, edit, view) get their rules filled in here, by following the labels within the tables, so
that they work before (and without) an aggregation controller; the aggregationRule itself is kept for one that runs.
"""

from collections.abc import Iterator
from typing import Final

from apiserver.authz import role_tables
from apiserver.authz.controller_roles import CONTROLLER_ROLES
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

AUTO_UPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
AGGREGATE_LABEL: Final = "rbac.authorization.k8s.io/aggregate-to-"
RBAC_GROUP: Final = "rbac.authorization.k8s.io"


def rules_of(table: str) -> list[Json]:
    """The PolicyRules a table text stands for; raises ValueError on a line that is no rule."""
    return [_rule(line) for line in table.strip().splitlines()]


def _rule(line: str) -> Json:
    verbs, group, *rest = line.split()
    if not 1 <= len(rest) <= 2:
        raise ValueError(f"not a rule: {line!r}")
    targets = rest[0].split(",")
    if group == "url":
        return {"verbs": verbs.split(","), "nonResourceURLs": targets}
    groups = ["" if name == "core" else name for name in group.split(",")]
    rule: Json = {"verbs": verbs.split(","), "apiGroups": groups, "resources": targets}
    if len(rest) == 2:
        rule["resourceNames"] = rest[1].split(",")
    return rule


def cluster_roles() -> Iterator[Json]:
    """All default ClusterRoles."""
    for name, table in role_tables.CLUSTER_ROLES.items():
        yield _object(kinds.CLUSTER_ROLES, name, labels=_aggregate_labels(name), rules=rules_of(table))
    for name, aggregate in role_tables.AGGREGATED.items():
        selector = {"matchLabels": {AGGREGATE_LABEL + aggregate: "true"}}
        yield _object(
            kinds.CLUSTER_ROLES,
            name,
            labels=_aggregate_labels(name),
            aggregationRule={"clusterRoleSelectors": [selector]},
            rules=list(_aggregated_rules(aggregate)),
        )
    for name, table in CONTROLLER_ROLES.items():
        yield _object(kinds.CLUSTER_ROLES, f"system:controller:{name}", rules=rules_of(table))


def cluster_role_bindings() -> Iterator[Json]:
    """All default ClusterRoleBindings, named like their roles."""
    for name, subjects in role_tables.CLUSTER_ROLE_BINDINGS.items():
        yield _binding(kinds.CLUSTER_ROLE_BINDINGS, name, ("ClusterRole", name), subjects)
    for name in CONTROLLER_ROLES:
        role = f"system:controller:{name}"
        yield _binding(kinds.CLUSTER_ROLE_BINDINGS, role, ("ClusterRole", role), f"s:kube-system/{name}")


def roles() -> Iterator[Json]:
    """The default Roles of the kube- namespaces."""
    for namespace, tables in role_tables.NAMESPACE_ROLES.items():
        for name, table in tables.items():
            yield _object(kinds.ROLES, name, namespace, rules=rules_of(table))


def role_bindings() -> Iterator[Json]:
    """The default RoleBindings of the kube- namespaces."""
    for namespace, bindings in role_tables.NAMESPACE_ROLE_BINDINGS.items():
        for (name, role), subjects in bindings.items():
            yield _binding(kinds.ROLE_BINDINGS, name, ("Role", role), subjects, namespace)


def _aggregated_rules(aggregate: str) -> Iterator[Json]:
    for name, into in role_tables.AGGREGATES_TO.items():
        if into != aggregate:
            continue
        if name in role_tables.AGGREGATED:
            yield from _aggregated_rules(role_tables.AGGREGATED[name])
        else:
            yield from rules_of(role_tables.CLUSTER_ROLES[name])


def _aggregate_labels(name: str) -> dict[str, str]:
    into = role_tables.AGGREGATES_TO.get(name)
    return {AGGREGATE_LABEL + into: "true"} if into else {}


def _binding(kind: Kind, name: str, role: tuple[str, str], subjects: str, namespace: str = "") -> Json:
    role_ref = {"apiGroup": RBAC_GROUP, "kind": role[0], "name": role[1]}
    found = [_subject(word) for word in subjects.split()]
    binding = _object(kind, name, namespace, roleRef=role_ref)
    return binding | {"subjects": found} if found else binding


def _subject(word: str) -> Json:
    kind, name = word.split(":", 1)
    if kind == "s":
        namespace, account = name.split("/")
        return {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return {"kind": {"u": "User", "g": "Group"}[kind], "apiGroup": RBAC_GROUP, "name": name}


def _object(kind: Kind, name: str, namespace: str = "", labels: dict[str, str] | None = None, **fields: object) -> Json:
    metadata: Json = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults"} | (labels or {})
    metadata["annotations"] = {AUTO_UPDATE: "true"}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata} | fields
