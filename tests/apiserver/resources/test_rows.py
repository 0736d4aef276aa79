"""The rows as a whole: keys, names and cells that hold for every kind."""

import pytest

from apiserver.registry.resource import Resource
from apiserver.resources import RESOURCES
from machinery.api import kinds
from machinery.api.schema import schema_of

#: upstream's layout below /registry: a cluster can be handed over to a real kube-apiserver
KEYS = {
    "apiservices": "apiregistration.k8s.io/apiservices",
    "certificatesigningrequests": "certificatesigningrequests",
    "clusterrolebindings": "clusterrolebindings",
    "clusterroles": "clusterroles",
    "clustertrustbundles": "clustertrustbundles",
    "configmaps": "configmaps",
    "controllerrevisions": "controllerrevisions",
    "cronjobs": "cronjobs",
    "csidrivers": "csidrivers",
    "csinodes": "csinodes",
    "csistoragecapacities": "csistoragecapacities",
    "customresourcedefinitions": "apiextensions.k8s.io/customresourcedefinitions",
    "daemonsets": "daemonsets",
    "deployments": "deployments",
    "deviceclasses": "deviceclasses",
    "endpoints": "services/endpoints",
    "endpointslices": "endpointslices",
    "events": "events",
    "flowschemas": "flowschemas",
    "horizontalpodautoscalers": "horizontalpodautoscalers",
    "ingressclasses": "ingressclasses",
    "ingresses": "ingress",
    "ipaddresses": "ipaddresses",
    "jobs": "jobs",
    "leases": "leases",
    "limitranges": "limitranges",
    "mutatingadmissionpolicies": "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings": "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations": "mutatingwebhookconfigurations",
    "namespaces": "namespaces",
    "networkpolicies": "networkpolicies",
    "nodes": "minions",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "persistentvolumes": "persistentvolumes",
    "poddisruptionbudgets": "poddisruptionbudgets",
    "pods": "pods",
    "podtemplates": "podtemplates",
    "priorityclasses": "priorityclasses",
    "podcertificaterequests": "podcertificaterequests",
    "devicetaintrules": "devicetaintrules",
    "prioritylevelconfigurations": "prioritylevelconfigurations",
    "replicasets": "replicasets",
    "replicationcontrollers": "controllers",
    "resourceclaims": "resourceclaims",
    "resourceclaimtemplates": "resourceclaimtemplates",
    "resourcequotas": "resourcequotas",
    "resourceslices": "resourceslices",
    "rolebindings": "rolebindings",
    "roles": "roles",
    "runtimeclasses": "runtimeclasses",
    "secrets": "secrets",
    "serviceaccounts": "serviceaccounts",
    "servicecidrs": "servicecidrs",
    "services": "services/specs",
    "statefulsets": "statefulsets",
    "storageclasses": "storageclasses",
    "storageversionmigrations": "storageversionmigrations",
    "validatingadmissionpolicies": "validatingadmissionpolicies",
    "validatingadmissionpolicybindings": "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations": "validatingwebhookconfigurations",
    "volumeattachments": "volumeattachments",
    "volumeattributesclasses": "volumeattributesclasses",
}

each_row = pytest.mark.parametrize("row", RESOURCES, ids=lambda row: row.kind.plural)


def test_objects_lie_where_upstream_puts_them() -> None:
    assert {row.kind.plural: row.key for row in RESOURCES} == KEYS


def test_a_key_names_the_namespace_of_namespaced_kinds_only() -> None:
    rows = {row.kind: row for row in RESOURCES}
    assert rows[kinds.PODS].key_of("default", "web") == "/registry/pods/default/web"
    assert rows[kinds.NODES].key_of("", "n1") == "/registry/minions/n1"


def test_no_two_rows_share_a_name() -> None:
    rows = [row for row in RESOURCES if row.conversion is None]
    taken = [name for row in rows for name in {row.kind.plural, row.kind.singular, *row.short_names}]
    assert len(taken) == len(set(taken))


def test_what_kubectl_get_all_shows() -> None:
    assert {row.kind.plural for row in RESOURCES if "all" in row.categories} == {
        "cronjobs",
        "daemonsets",
        "deployments",
        "horizontalpodautoscalers",
        "jobs",
        "pods",
        "replicasets",
        "replicationcontrollers",
        "services",
        "statefulsets",
    }


@each_row
def test_cells_and_fields_read_an_object_that_has_nothing_yet(row: Resource) -> None:
    obj = {"metadata": {"name": "x"}}
    for column in row.columns:
        column.cell(obj)
    assert all(isinstance(getter(obj), str) for getter in row.fields.values())


@each_row
def test_defaults_fill_an_empty_object_with_what_the_schema_knows(row: Resource) -> None:
    kind = row.conversion.stored if row.conversion is not None else row.kind
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}}
    row.strategy.defaults(obj)
    decoded = schema_of(kind).check(obj)
    assert (decoded.unknown, decoded.problem) == ((), "")


@each_row
def test_defaults_of_defaults_change_nothing(row: Resource) -> None:
    obj = {"metadata": {"name": "x"}}
    row.strategy.defaults(obj)
    once = str(obj)
    row.strategy.defaults(obj)
    assert str(obj) == once


@each_row
def test_a_row_with_status_serves_it_as_a_subresource(row: Resource) -> None:
    assert ("status" in row.subresources) == ("status" in schema_of(row.kind).shape.properties)


@each_row
def test_the_strategy_knows_whether_the_kind_has_namespaces(row: Resource) -> None:
    assert getattr(row.strategy, "namespaced", True) == row.kind.namespaced
