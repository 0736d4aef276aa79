"""Pods as the runtime's messages: sandboxes, containers, resources, DNS."""

import pytest

from kubelet import container_config, resources, sandbox_config
from kubelet.container_config import ContainerPlace, ImageUser
from kubelet.cri import api_pb2 as api
from kubelet.environment import ConfigError
from kubelet.sandbox_config import ClusterDns, Resolver, SandboxPlace, parse_resolv_conf, resolver_of
from machinery.api.codec import Json
from tests.kubelet.pods import container, pod

HOST = Resolver(("192.0.2.53",), ("example.com",), ("edns0",))
DNS = ClusterDns(("10.96.0.10",), "cluster.local", HOST)
CLUSTER_SEARCHES = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com")
PLACE = SandboxPlace(0, "/logs", "/kubepods/poduid-1")


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param({}, Resolver(("10.96.0.10",), CLUSTER_SEARCHES, ("ndots:5",)), id="cluster-first"),
        pytest.param({"dnsPolicy": "Default"}, HOST, id="the-nodes-own"),
        pytest.param({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, HOST, id="host-network-falls-back"),
        pytest.param(
            {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
            Resolver(("10.96.0.10",), CLUSTER_SEARCHES, ("ndots:5",)),
            id="host-network-that-asks",
        ),
        pytest.param(
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["1.1.1.1"],
                    "searches": ["x"],
                    "options": [{"name": "ndots", "value": "1"}],
                },
            },
            Resolver(("1.1.1.1",), ("x",), ("ndots:1",)),
            id="own-only",
        ),
        pytest.param(
            {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}]}},
            Resolver(("10.96.0.10",), CLUSTER_SEARCHES, ("ndots:2", "rotate")),
            id="options-merge",
        ),
    ],
)
def test_resolvers(spec: Json, wanted: Resolver) -> None:
    assert resolver_of(pod(**spec), DNS) == wanted


def test_a_resolv_conf_is_read() -> None:
    text = "# c\nnameserver 1.1.1.1\nsearch a b.\nsearch c\noptions ndots:2\n"
    assert parse_resolv_conf(text) == Resolver(("1.1.1.1",), ("c",), ("ndots:2",))


def test_a_host_network_sandbox_has_no_host_name_and_no_ports() -> None:
    one = container(ports=[{"containerPort": 80, "hostPort": 8080}])
    plain = sandbox_config.sandbox_config(pod(one), PLACE, DNS)
    assert plain.hostname == "web"
    assert [(port.container_port, port.host_port) for port in plain.port_mappings] == [(80, 8080)]
    host = sandbox_config.sandbox_config(pod(one, hostNetwork=True), PLACE, DNS)
    assert host.hostname == ""
    assert not host.port_mappings
    assert host.linux.security_context.namespace_options.network == api.NODE


def test_a_sandbox_is_privileged_when_one_of_its_containers_is() -> None:
    spec = pod(container(), container("b", securityContext={"privileged": True}))
    assert sandbox_config.sandbox_config(spec, PLACE, DNS).linux.security_context.privileged


def place(user: ImageUser | None = None) -> ContainerPlace:
    return ContainerPlace(2, "sha256:1", user or ImageUser(0), {"A": "1"}, (), 8 << 30)


def test_a_containers_marks_are_upstreams() -> None:
    one = container(command=["run", "$(A)"], lifecycle={"preStop": {"exec": {"command": ["x"]}}})
    config = container_config.container_config(pod(one, terminationGracePeriodSeconds=7), one, place())
    assert list(config.command) == ["run", "1"]
    assert config.log_path == "main/2.log"
    assert config.metadata.attempt == 2
    assert dict(config.labels) == {
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": "uid-1",
        "io.kubernetes.container.name": "main",
    }
    assert config.annotations["io.kubernetes.container.restartCount"] == "2"
    assert config.annotations["io.kubernetes.pod.terminationGracePeriod"] == "7"
    assert config.annotations["io.kubernetes.container.preStopHandler"] == '{"exec":{"command":["x"]}}'


def test_the_hash_changes_with_the_image_only() -> None:
    one = container_config.spec_hash(container())
    assert one == container_config.spec_hash(container(command=["x"]))
    assert one != container_config.spec_hash(container(image="img:2"))


def test_the_pods_security_holds_where_the_container_says_nothing() -> None:
    one = container(securityContext={"runAsGroup": 5, "allowPrivilegeEscalation": False})
    spec = pod(one, securityContext={"runAsUser": 7, "fsGroup": 9, "supplementalGroups": [11]})
    security = container_config.container_config(spec, one, place()).linux.security_context
    assert (security.run_as_user.value, security.run_as_group.value) == (7, 5)
    assert list(security.supplemental_groups) == [11, 9]
    assert security.no_new_privs
    assert "/proc/kcore" in security.masked_paths


def test_a_privileged_container_sees_everything() -> None:
    one = container(securityContext={"privileged": True})
    security = container_config.container_config(pod(one), one, place()).linux.security_context
    assert security.privileged
    assert not security.masked_paths


@pytest.mark.parametrize(
    ("context", "user", "message"),
    [
        pytest.param({"runAsUser": 0}, ImageUser(5), "container's runAsUser breaks non-root policy", id="asked-for"),
        pytest.param({}, ImageUser(0), "container has runAsNonRoot and image will run as root", id="image"),
        pytest.param({}, ImageUser(None, "www"), "image has non-numeric user (www)", id="by-name"),
    ],
)
def test_root_is_refused_where_non_root_is_asked(context: Json, user: ImageUser, message: str) -> None:
    one = container(securityContext={"runAsNonRoot": True, **context})
    with pytest.raises(ConfigError) as raised:
        container_config.container_config(pod(one), one, place(user))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("milli", "shares", "quota", "weight"),
    [
        (0, 2, 0, 1),
        (1, 2, 1000, 1),
        (100, 102, 10_000, 4),
        (1000, 1024, 100_000, 39),
        (256_000, 262_144, 25_600_000, 10_000),
    ],
)
def test_cpu_in_the_kernels_numbers(milli: int, shares: int, quota: int, weight: int) -> None:
    assert (resources.shares(milli), resources.quota(milli), resources.weight(shares)) == (shares, quota, weight)


def limited(name: str, memory: str = "", cpu: str = "") -> Json:
    limits = {key: value for key, value in (("memory", memory), ("cpu", cpu)) if value}
    return container(name, resources={"limits": limits, "requests": limits})


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param(pod(limited("a", "1Mi"), limited("b", "2Mi")), 3 << 20, id="sum"),
        pytest.param(pod(limited("a", "1Mi"), container("b")), 0, id="one-without"),
        pytest.param(pod(limited("a", "1Mi"), inits=(limited("i", "5Mi"),)), 5 << 20, id="init-peak"),
        pytest.param(
            pod(limited("a", "1Mi"), inits=(limited("s", "2Mi") | {"restartPolicy": "Always"}, limited("i", "1Mi"))),
            3 << 20,
            id="sidecars-count",
        ),
    ],
)
def test_a_pods_memory_limit(spec: Json, wanted: int) -> None:
    assert resources.of_pod(spec).memory == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param(pod(limited("a", "1Gi", "1")), -997, id="guaranteed"),
        pytest.param(pod(container("a")), 1000, id="best-effort"),
        pytest.param(pod(container("a", resources={"requests": {"memory": "4Gi"}})), 500, id="half"),
        pytest.param(pod(container("a", resources={"requests": {"memory": "1"}})), 999, id="tiny-request"),
        pytest.param(pod(container("a", resources={"requests": {"memory": "99Gi"}})), 3, id="more-than-there-is"),
        pytest.param(pod(container("a"), priority=2_000_000_000), -997, id="critical"),
    ],
)
def test_who_is_killed_first(spec: Json, wanted: int) -> None:
    assert resources.oom_score_adj(spec, spec["spec"]["containers"][0], 8 << 30) == wanted
