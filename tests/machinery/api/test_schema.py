"""What the schema accepts, prunes, normalises and refuses, and in which words."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machinery.api import codec, errors, kinds, quantity
from machinery.api.codec import Json
from machinery.api.schema import What, duplicate_fields, schema_of
from machinery.api.schema_walk import normal_time

PODS = schema_of(kinds.PODS)
DEPLOYMENTS = schema_of(kinds.DEPLOYMENTS)
SECRETS = schema_of(kinds.SECRETS)


def pod(**container: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx", **container}]},
    }


def deployment(**spec: Any) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


@pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: kind.kind)
def test_every_kind_has_a_schema_and_accepts_an_empty_object(kind: kinds.Kind) -> None:
    assert schema_of(kind).check({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}}) == (
        schema_of(kind).check({})
    )


def test_a_good_pod_takes_the_fast_path() -> None:
    obj = pod(
        ports=[{"containerPort": 80}],
        resources={"limits": {"cpu": "100m", "memory": "128Mi"}},
        livenessProbe={"httpGet": {"port": "http"}, "periodSeconds": 10},
        env=[{"name": "A", "value": "b"}],
    )
    assert PODS.is_canonical(obj)


def test_an_empty_creation_timestamp_stays_on_the_fast_path_in_templates_too() -> None:
    obj = deployment(template={"metadata": {"creationTimestamp": None}, "spec": {"containers": []}})
    obj["metadata"]["creationTimestamp"] = None
    assert not DEPLOYMENTS.check(obj).problem
    assert obj["metadata"] == {"name": "web"}
    assert obj["spec"]["template"]["metadata"] == {}


@pytest.mark.parametrize(
    ("obj", "paths"),
    [
        pytest.param({"metadata": {}, "speck": {}}, ("speck",), id="top"),
        pytest.param(pod(imagee="x"), ("spec.containers[0].imagee",), id="in-a-list"),
        pytest.param(
            pod(ports=[{"containerPort": 1, "a": 1}], b=2),
            ("spec.containers[0].ports[0].a", "spec.containers[0].b"),
            id="two",
        ),  # noqa: E501
    ],
)
def test_unknown_fields_are_named_and_pruned(obj: Json, paths: tuple[str, ...]) -> None:
    assert PODS.check(obj).unknown == paths
    assert PODS.is_canonical(obj)


@pytest.mark.parametrize(
    ("obj", "problem"),
    [
        pytest.param(
            pod(ports=[{"containerPort": "80"}]),
            "json: cannot unmarshal string into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
            id="string-for-integer",
        ),
        pytest.param(
            pod(ports=[{"containerPort": 80.0}]),
            "json: cannot unmarshal number 80.0 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
            id="float-for-integer",
        ),
        pytest.param(
            pod(ports=[{"containerPort": 2**31}]),
            "json: cannot unmarshal number 2147483648 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
            id="over-int32",
        ),
        pytest.param(
            pod(stdin="yes"),
            "json: cannot unmarshal string into Go struct field Container.spec.containers.stdin of type bool",
            id="string-for-bool",
        ),
        pytest.param(
            pod(env=[{"name": "A", "value": 1}]),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
            id="number-for-string",
        ),
        pytest.param(
            pod(env={"A": "b"}),
            "json: cannot unmarshal object into Go struct field Container.spec.containers.env of type []v1.EnvVar",
            id="object-for-list",
        ),
        pytest.param(
            {"metadata": {"labels": {"a": True}}},
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
            id="bool-in-a-map",
        ),
        pytest.param(
            {"spec": []},
            "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
            id="array-for-struct",
        ),
        pytest.param(
            pod(livenessProbe={"httpGet": {"port": True}}),
            "json: cannot unmarshal bool into Go struct field "
            "HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32",
            id="bool-for-int-or-string",
        ),
        pytest.param(
            pod(resources={"limits": {"cpu": "much"}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            id="no-quantity",
        ),
        pytest.param(
            {"metadata": {"deletionTimestamp": "now"}},
            'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
            id="no-time",
        ),
        pytest.param(
            {"metadata": {"deletionTimestamp": "2026-13-01T00:00:00Z"}},
            'parsing time "2026-13-01T00:00:00Z": month out of range',
            id="no-such-month",
        ),
    ],
)
def test_a_wrong_type_is_told_as_go_tells_it(obj: Json, problem: str) -> None:
    assert PODS.check(obj).problem == problem


def test_the_first_of_two_wrong_types_is_told() -> None:
    assert "stdin" in PODS.check(pod(stdin=1, tty=1)).problem


@pytest.mark.parametrize(
    ("given_", "stored"),
    [
        pytest.param({"limits": {"cpu": 1}}, {"limits": {"cpu": "1"}}, id="number"),
        pytest.param({"limits": {"cpu": 0.5}}, {"limits": {"cpu": "500m"}}, id="fraction"),
        pytest.param({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, id="binary"),
        pytest.param({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, id="milli"),
        pytest.param({"limits": None}, {}, id="null"),
    ],
)
def test_quantities_are_stored_in_canonical_form(given_: Json, stored: Json) -> None:
    obj = pod(resources=given_)
    assert PODS.check(obj).problem == ""
    assert obj["spec"]["containers"][0]["resources"] == stored


def test_null_means_absent_in_a_struct_and_zero_in_a_map_or_list() -> None:
    obj = {"metadata": {"name": None, "labels": {"a": None}, "finalizers": [None]}, "spec": None}
    assert PODS.check(obj).problem == ""
    assert obj == {"metadata": {"labels": {"a": ""}, "finalizers": [""]}}


@pytest.mark.parametrize(
    ("text", "micro", "stored"),
    [
        ("2026-01-02T03:04:05Z", False, "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.123Z", False, "2026-01-02T03:04:05Z"),
        ("2026-01-02T05:04:05+02:00", False, "2026-01-02T03:04:05Z"),
        ("2024-02-29T00:00:00Z", False, "2024-02-29T00:00:00Z"),
        ("2026-01-02T03:04:05.123456Z", True, "2026-01-02T03:04:05.123456Z"),
    ],
)
def test_times_are_stored_in_utc(text: str, micro: bool, stored: str) -> None:
    assert normal_time(text, micro=micro) == stored


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z"])
def test_a_micro_time_insists_on_six_digits(text: str) -> None:
    with pytest.raises(ValueError, match='as ".000000"'):
        normal_time(text, micro=True)


def test_base64_is_checked_and_stored_in_canonical_form() -> None:
    obj: Json = {"data": {"a": "YWJj\nZA=="}}
    assert SECRETS.check(obj).problem == ""
    assert obj["data"]["a"] == "YWJjZA=="
    assert SECRETS.check({"data": {"a": "ab!c"}}).problem == "illegal base64 data at input byte 2"
    assert SECRETS.check({"data": {"a": "abcde"}}).problem == "illegal base64 data at input byte 4"


def test_what_has_no_fields_of_its_own_is_kept_whole() -> None:
    obj = {"data": {"spec": {"anything": [1, None]}}, "revision": 1}
    assert schema_of(kinds.CONTROLLER_REVISIONS).check(obj).unknown == ()
    assert obj["data"] == {"spec": {"anything": [1, None]}}


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        pytest.param(b'{"a": 1, "b": {"c": 2}}', [], id="none"),
        pytest.param(b'{"a":"x\\":y"}', [], id="quoted-colon"),
        pytest.param(b'{"a":1,"a":2}', ["a"], id="top"),
        pytest.param(b'{"s":{"l":[{"d":1,"d":2,"d":3}]},"s2":1}', ["s.l[0].d"], id="deep"),
        pytest.param(b'{"a" : 1, "a" : 1}', ["a"], id="spaced"),
    ],
)
def test_duplicate_fields_are_found_with_their_paths(raw: bytes, paths: list[str]) -> None:
    assert duplicate_fields(raw, codec.loads(raw)) == paths


RAW = b'{"kind":"Pod","kind":"Pod","metadata":{"name":"a"},"spec":{"nope":1}}'
TEXTS = ['duplicate field "kind"', 'unknown field "spec.nope"']


def test_strict_refuses_what_is_unknown_or_twice() -> None:
    with pytest.raises(errors.BadRequest) as caught:
        PODS.decode(codec.loads(RAW), RAW, "Strict")
    assert caught.value.message == (
        f'Pod in version "v1" cannot be handled as a Pod: strict decoding error: {", ".join(TEXTS)}'
    )


@pytest.mark.parametrize(("policy", "warnings"), [("Warn", TEXTS), ("Ignore", [])])
def test_warn_warns_and_ignore_does_not(policy: str, warnings: list[str]) -> None:
    obj = codec.loads(RAW)
    assert PODS.decode(obj, RAW, policy) == warnings
    assert obj["spec"] == {}


@pytest.mark.parametrize("policy", ["Strict", "Warn", "Ignore"])
def test_a_wrong_type_is_refused_under_every_policy(policy: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        DEPLOYMENTS.decode(deployment(replicas="3"), b"", policy)
    assert caught.value.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct '
        "field DeploymentSpec.spec.replicas of type int32"
    )


@pytest.mark.parametrize(
    ("path", "field", "key", "strategies"),
    [
        (("spec",), "containers", "name", {"merge"}),
        (("spec",), "volumes", "name", {"merge", "retainKeys"}),
        (("spec",), "tolerations", "", set()),
        (("spec", "containers"), "ports", "containerPort", {"merge"}),
        (("spec", "containers"), "volumeMounts", "mountPath", {"merge"}),
        (("metadata",), "finalizers", "", {"merge"}),
        (("metadata",), "ownerReferences", "uid", {"merge"}),
        (("status",), "conditions", "type", {"merge"}),
    ],
)
def test_merge_keys_come_from_the_definitions(
    path: tuple[str, ...], field: str, key: str, strategies: set[str]
) -> None:
    shape = PODS.properties_of(*path)[field]
    assert (shape.merge_key, set(shape.strategies)) == (key, strategies)


def test_a_deployments_strategy_keeps_only_the_named_keys() -> None:
    assert DEPLOYMENTS.properties_of("spec")["strategy"].strategies == {"retainKeys"}
    assert DEPLOYMENTS.properties_of("spec")["strategy"].what is What.OBJECT


@given(st.from_regex(r"[0-9]{1,6}(m|k|M|G|Ki|Mi|Gi)?", fullmatch=True))
def test_a_quantity_on_the_fast_path_is_canonical(text: str) -> None:
    if PODS.is_canonical(pod(resources={"limits": {"memory": text}})):
        assert quantity.canonical(text) == text


@given(st.binary(max_size=9), st.sampled_from(["", "=", "a", "\n"]))
def test_base64_on_the_fast_path_is_canonical(content: bytes, tail: str) -> None:
    text = base64.b64encode(content).decode() + tail
    if SECRETS.is_canonical({"data": {"a": text}}):
        assert base64.b64encode(base64.b64decode(text, validate=True)).decode() == text


@given(st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")))
def test_a_time_on_the_fast_path_is_canonical(text: str) -> None:
    if PODS.is_canonical({"metadata": {"deletionTimestamp": text}}):
        assert normal_time(text, micro=False) == text
