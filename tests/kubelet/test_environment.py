"""Variables, references and expansion."""

import base64
from typing import Any

import pytest

from kubelet.environment import ConfigError, Sources, environment_of, expand, field_of, references, service_variables
from machinery.api.codec import Json
from tests.kubelet.pods import container, pod

MAPS = {"settings": {"data": {"colour": "blue", "size": "1"}}}
SECRETS = {"login": {"data": {"user": base64.b64encode(b"admin").decode()}}}
SOURCES = Sources(MAPS, SECRETS, pod_ips=("10.0.0.5",), host_ips=("192.0.2.1",), allocatable={"memory": "1Gi"})


def env(*variables: Json, **more: Any) -> dict[str, str]:
    one = container(env=list(variables), **more)
    return environment_of(pod(one, serviceAccountName="sa"), one, SOURCES)


def from_(**origin: Any) -> Json:
    return {"name": "X", "valueFrom": origin}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("$(A)", "1", id="known"),
        pytest.param("$(Z)", "$(Z)", id="unknown-stays"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$$$(A)", "$1", id="escaped-dollar-before"),
        pytest.param("a$", "a$", id="dollar-at-end"),
        pytest.param("$A", "$A", id="no-brackets"),
        pytest.param("$(A", "$(A", id="unterminated"),
        pytest.param("x-$(A)-$(B)-y", "x-1-2-y", id="several"),
    ],
)
def test_expansion(text: str, wanted: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == wanted


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        pytest.param({"name": "X", "value": "1"}, "1", id="value"),
        pytest.param(from_(configMapKeyRef={"name": "settings", "key": "colour"}), "blue", id="config-map"),
        pytest.param(from_(secretKeyRef={"name": "login", "key": "user"}), "admin", id="secret"),
        pytest.param(from_(fieldRef={"fieldPath": "metadata.name"}), "web", id="name"),
        pytest.param(from_(fieldRef={"fieldPath": "status.podIP"}), "10.0.0.5", id="pod-ip"),
        pytest.param(from_(fieldRef={"fieldPath": "status.hostIP"}), "192.0.2.1", id="host-ip"),
        pytest.param(from_(fieldRef={"fieldPath": "spec.serviceAccountName"}), "sa", id="service-account"),
        pytest.param(from_(resourceFieldRef={"resource": "limits.memory"}), str(1 << 30), id="no-limit"),
    ],
)
def test_one_variable(variable: Json, wanted: str) -> None:
    assert env(variable) == {"X": wanted}


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        pytest.param({"configMapKeyRef": {"name": "no", "key": "k"}}, 'configmap "no" not found', id="no-config-map"),
        pytest.param({"secretKeyRef": {"name": "no", "key": "k"}}, 'secret "no" not found', id="no-secret"),
        pytest.param(
            {"configMapKeyRef": {"name": "settings", "key": "k"}},
            "couldn't find key k in ConfigMap default/settings",
            id="no-key",
        ),
    ],
)
def test_what_is_missing_is_said_as_upstream_says_it(origin: Json, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        env(from_(**origin))
    assert str(raised.value) == message


def test_what_is_optional_may_be_missing() -> None:
    optional = {"name": "no", "key": "k", "optional": True}
    assert env(from_(configMapKeyRef=optional), {"name": "Y", "value": "y"}) == {"Y": "y"}


def test_whole_objects_come_first_and_single_variables_win() -> None:
    one = env(
        {"name": "colour", "value": "red"},
        {"name": "TEXT", "value": "$(P_size)$(colour)"},
        envFrom=[{"configMapRef": {"name": "settings"}}, {"prefix": "P_", "configMapRef": {"name": "settings"}}],
    )
    assert one == {"colour": "red", "size": "1", "P_colour": "blue", "P_size": "1", "TEXT": "1red"}


def test_references_are_found() -> None:
    one = container(
        env=[from_(secretKeyRef={"name": "login", "key": "k"})], envFrom=[{"configMapRef": {"name": "settings"}}]
    )
    assert references(one) == ({"settings"}, {"login"})


def test_labels_are_shown_one_per_line() -> None:
    spec = pod()
    spec["metadata"]["labels"] = {"b": 'say "hi"', "a": "1"}
    assert field_of(spec, "metadata.labels") == 'a="1"\nb="say \\"hi\\""'
    assert field_of(spec, "metadata.labels['a']") == "1"


def service(name: str, namespace: str, ip: str = "10.96.0.7") -> Json:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}}


def test_services_of_the_namespace_and_the_api_become_variables() -> None:
    services = [
        service("my-web", "default"),
        service("other", "elsewhere"),
        service("headless", "default", "None"),
        service("kubernetes", "default", "10.96.0.1"),
    ]
    found = service_variables(services, "default", links=True)
    assert found["MY_WEB_SERVICE_HOST"] == "10.96.0.7"
    assert found["MY_WEB_SERVICE_PORT_HTTP"] == "80"
    assert found["MY_WEB_PORT_80_TCP_ADDR"] == "10.96.0.7"
    assert found["KUBERNETES_PORT"] == "tcp://10.96.0.1:80"
    assert not [name for name in found if name.startswith(("OTHER", "HEADLESS"))]
    without = service_variables(services, "elsewhere", links=False)
    assert {name.split("_")[0] for name in without} == {"KUBERNETES"}
