"""Protobuf bodies, against messages put together by hand, real ones of kubectl, and the OpenAPI definitions."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.api import kinds, protobuf, schema
from machinery.api.codec import Json
from scripts.protobuf_table import ELSEWHERE

JSON_TYPES = {"string": "string", "bytes": "string", "bool": "boolean", "double": "number"}
JSON_TYPES |= dict.fromkeys(("int32", "int64", "uint32", "uint64"), "integer")
#: fields of the packaged definitions that upstream did not have yet when the table was made
NEWER_THAN_THE_TABLE = [
    "authentication.v1.TokenRequestSpec.attestations",
    "autoscaling.v2.HorizontalPodAutoscalerCondition.observedGeneration",
    "batch.v1.JobSpec.scheduling",
    "core.v1.ClusterTrustBundleProjection.user",
    "core.v1.DownwardAPIVolumeFile.user",
    "core.v1.DownwardAPIVolumeSource.defaultUser",
    "core.v1.EmptyDirVolumeSource.mode",
    "core.v1.GRPCAction.mode",
    "core.v1.HTTPGetAction.protocol",
    "core.v1.KeyToPath.user",
    "core.v1.NodeAllocatableResourceClaimStatus.mapping",
    "core.v1.NodeAllocatableResourceClaimStatus.overhead",
    "core.v1.NodeAllocatableResourceClaimStatus.resources",
    "core.v1.NodeSpec.podPreemptionPolicy",
    "core.v1.NodeSystemInfo.runningInUserNamespace",
    "core.v1.PersistentVolumeClaimStatus.healthStatus",
    "core.v1.PodCertificateProjection.user",
    "core.v1.PodSpec.evictionResponders",
    "core.v1.PodStatus.volumeHealth",
    "core.v1.ProjectedVolumeSource.defaultUser",
    "core.v1.SecretVolumeSource.defaultUser",
    "core.v1.ServiceAccountTokenProjection.user",
    "core.v1.VolumeMount.bindMountOptions",
    "resource.v1.Device.nodeAllocatableResourceMappings",
    "resource.v1.Device.nodeAllocatableResources",
    "resource.v1.DeviceCounterConsumption.compatibilityGroups",
    "resource.v1.DeviceRequestAllocationResult.skipNodeOperations",
    "resource.v1.DeviceSubRequest.derivedAttributes",
    "resource.v1.ExactDeviceRequest.derivedAttributes",
    "resource.v1.ResourceSliceSpec.partitionTypeAttribute",
    "resource.v1.ResourceSliceSpec.skipNodeOperations",
    "storage.v1.CSINode.status",
]
#: what kubectl 1.33 sent for `create namespace`, `create deployment --replicas=0` and `create token`
NAMESPACE = "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhwKFAoEdGVhbRIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA=="
DEPLOYMENT = (
    "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50EroBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEogBCAASDAoK"
    "CgNhcHASA3dlYhpuChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEk4SMAoFbmdpbngSB25naW54OjEqADIKCgAQABhQ"
    "IgAqAEIAagByAIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgA"
    "GgAiAA=="
)
TOKEN_REQUEST = (
    "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIwChAKABIAGgAiACoAMgA4AEIAEhYaEQoG"
    "U2VjcmV0EgJ2MRoBcyIAIJAcGgQKABIAGgAiAA=="
)


def varint(number: int) -> bytes:
    """A number on the wire."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def msg(*fields: tuple[int, int | bytes | str]) -> bytes:
    """A message of numbers and bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def body(api_version: str, kind: str, *fields: tuple[int, int | bytes | str]) -> bytes:
    """A whole body."""
    return protobuf.PREFIX + msg((1, msg((1, api_version), (2, kind))), (2, msg(*fields)), (3, ""), (4, ""))


def of_container(*fields: tuple[int, int | bytes | str]) -> Json:
    """The first container of a decoded pod."""
    pod = protobuf.decode(body("v1", "Pod", (2, msg((2, msg(*fields))))))
    container: Json = pod["spec"]["containers"][0]
    return container


def test_names_maps_and_times() -> None:
    metadata = msg(
        (1, "settings"),
        (3, "default"),
        (7, 0),
        (8, msg((1, 1_700_000_000), (2, 0))),
        (11, msg((1, "a"), (2, "b"))),
        (11, msg((1, "c"), (2, ""))),
    )
    found = protobuf.decode(body("v1", "ConfigMap", (1, metadata), (2, msg((1, "k"), (2, "v"))), (4, 1)))
    assert found == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings",
            "namespace": "default",
            "creationTimestamp": "2023-11-14T22:13:20Z",
            "labels": {"a": "b", "c": ""},
        },
        "data": {"k": "v"},
        "immutable": True,
    }


def test_a_zero_stays_where_it_was_said_and_goes_where_json_leaves_it_out() -> None:
    spec = msg((1, 0), (3, msg((1, ""), (2, ""))), (4, msg((1, ""))), (5, 0), (7, 0))
    found = protobuf.decode(body("apps/v1", "Deployment", (2, spec), (3, "")))
    assert found["spec"]["replicas"] == 0  # a pointer
    assert "minReadySeconds" not in found["spec"]  # omitempty
    assert "paused" not in found["spec"]
    assert found["status"] == {}  # omitempty leaves no struct out
    assert protobuf.decode(body("apps/v1", "Deployment", (2, msg((5, 1)))))["spec"] == {"minReadySeconds": 1}


def test_an_empty_message_behind_a_pointer_is_said() -> None:
    volume = msg((1, "v"), (2, msg((2, ""))))
    found = protobuf.decode(body("v1", "Pod", (2, msg((1, volume)))))
    assert found["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]


def test_what_json_has_inline_is_inline() -> None:
    reference = msg((1, msg((1, "secret"))), (2, "key"))
    variable = msg((1, "A"), (3, msg((4, reference))))
    found = of_container((1, "c"), (7, variable))
    assert found["env"][0]["valueFrom"] == {"secretKeyRef": {"name": "secret", "key": "key"}}


@pytest.mark.parametrize(
    ("port", "wanted"),
    [(msg((1, 0), (2, 8080), (3, "")), 8080), (msg((1, 1), (2, 0), (3, "http")), "http")],
    ids=["number", "name"],
)
def test_int_or_string(port: bytes, wanted: int | str) -> None:
    probe = msg((1, msg((2, msg((1, "/"), (2, port))))), (2, 0))
    assert of_container((1, "c"), (11, probe))["readinessProbe"] == {"httpGet": {"path": "/", "port": wanted}}


def test_quantities_and_lists() -> None:
    resources = msg((1, msg((1, "cpu"), (2, msg((1, "500m"))))))
    found = of_container((1, "c"), (3, "sh"), (3, "-c"), (8, resources))
    assert found == {"name": "c", "command": ["sh", "-c"], "resources": {"limits": {"cpu": "500m"}}}


def test_bytes_are_base64_and_negative_numbers_are_negative() -> None:
    secret = protobuf.decode(body("v1", "Secret", (2, msg((1, "a"), (2, b"\x00\xff")))))
    assert secret["data"] == {"a": "AP8="}
    options = protobuf.decode(body("v1", "DeleteOptions", (1, -1), (4, "Background")))
    assert (options["gracePeriodSeconds"], options["propagationPolicy"]) == (-1, "Background")


def test_extra_of_a_user_is_a_list() -> None:
    review = msg((5, msg((1, "k"), (2, msg((1, "a"), (1, "b"))))))
    found = protobuf.decode(body("authorization.k8s.io/v1", "SubjectAccessReview", (2, review)))
    assert found["spec"]["extra"] == {"k": ["a", "b"]}


def test_micro_times_keep_their_microseconds() -> None:
    lease = msg((4, msg((1, 1_700_000_000), (2, 5_000))))
    found = protobuf.decode(body("coordination.k8s.io/v1", "Lease", (2, lease)))
    assert found["spec"]["renewTime"] == "2023-11-14T22:13:20.000005Z"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            NAMESPACE,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}, "spec": {}, "status": {}},
            id="namespace",
        ),
        pytest.param(
            DEPLOYMENT,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {
                            "containers": [
                                {
                                    "name": "nginx",
                                    "image": "nginx:1",
                                    "ports": [{"containerPort": 80}],
                                    "resources": {},
                                }
                            ]
                        },
                    },
                    "strategy": {},
                },
                "status": {},
            },
            id="deployment",
        ),
        pytest.param(
            TOKEN_REQUEST,
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "metadata": {},
                "spec": {
                    "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "s"},
                    "expirationSeconds": 3600,
                },
                "status": {"token": ""},
            },
            id="token-request",
        ),
    ],
)
def test_what_kubectl_sends_is_what_its_json_says(text: str, wanted: Json) -> None:
    assert protobuf.decode(base64.b64decode(text)) == wanted


def test_an_envelope_without_a_kind_takes_the_callers() -> None:
    data = protobuf.PREFIX + msg((2, msg((3, "Opaque"))))
    assert protobuf.decode(data, "v1", "Secret") == {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}


def test_options_of_meta_come_with_any_api_version() -> None:
    found = protobuf.decode(body("apps/v1", "DeleteOptions", (2, msg((1, "u"))), (3, 0), (5, "All")))
    assert found == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u"},
        "orphanDependents": False,
        "dryRun": ["All"],
    }


def test_raw_json_and_objects_within_objects() -> None:
    def data_of(raw: bytes) -> Any:
        return protobuf.decode(body("apps/v1", "ControllerRevision", (2, msg((1, raw)))))["data"]

    assert data_of(b'{"spec":null}') == {"spec": None}
    assert data_of(body("v1", "Secret", (3, "x"))) == {"apiVersion": "v1", "kind": "Secret", "type": "x"}
    managed = msg((1, "m"), (7, msg((1, b'{"f:data":{}}'))))
    secret = protobuf.decode(body("v1", "Secret", (1, msg((17, managed)))))
    assert secret["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {}}


@pytest.mark.parametrize("seconds", [None, -62135596800], ids=["empty", "year-one"])
def test_no_time_is_left_out(seconds: int | None) -> None:
    moment = b"" if seconds is None else msg((1, seconds))
    assert protobuf.decode(body("v1", "Secret", (1, msg((8, moment)))))["metadata"] == {}


def test_numbers_may_come_packed() -> None:
    context = msg((4, varint(5) + varint(1 << 31)), (4, 7))  # PodSecurityContext.supplementalGroups
    pod = protobuf.decode(body("v1", "Pod", (2, msg((14, context)))))
    assert pod["spec"]["securityContext"] == {"supplementalGroups": [5, 1 << 31, 7]}


def test_envelopes_in_envelopes_end_somewhere() -> None:
    data = body("v1", "Secret")
    for _ in range(protobuf.MAX_DEPTH):
        data = body("apps/v1", "ControllerRevision", (2, msg((1, data))))
    with pytest.raises(ValueError, match="nested deeper than 100"):
        protobuf.decode(data)


def test_a_body_of_ever_so_many_values_is_refused() -> None:
    containers = msg((2, b"")) * (protobuf.MAX_VALUES + 1)
    with pytest.raises(ValueError, match="more than 500000 values"):
        protobuf.decode(body("v1", "Pod", (2, containers)))
    packed = msg((14, msg((4, b"\x01" * protobuf.MAX_VALUES))))
    with pytest.raises(ValueError, match="more than 500000 values"):
        protobuf.decode(body("v1", "Pod", (2, packed)))


def test_every_kind_there_is_can_be_read() -> None:
    unread = {kind for kind in kinds.ALL if not protobuf.knows(kind.api_version, kind.kind)}
    assert unread == set(ELSEWHERE)
    assert not protobuf.knows("example.com/v1", "Gadget")


def test_fields_of_a_newer_client_are_passed_over() -> None:
    assert protobuf.decode(body("v1", "Secret", (999, "x"), (998, 7), (3, "Opaque")))["type"] == "Opaque"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"kind":"Pod"}', id="json"),
        pytest.param(protobuf.PREFIX, id="nothing-in-it"),
        pytest.param(body("v1", "Nonsense"), id="unknown-kind"),
        pytest.param(body("example.com/v1", "Pod"), id="unknown-group"),
        pytest.param(protobuf.PREFIX + b"\x0a\xff", id="cut-short"),
        pytest.param(protobuf.PREFIX + b"\x0a" + b"\xff" * 11, id="endless-number"),
        pytest.param(body("v1", "Pod", (2, 5)), id="number-for-a-message"),
        pytest.param(body("v1", "Secret", (3, b"\xff\xfe")), id="not-utf-8"),
        pytest.param(protobuf.PREFIX + msg((1, 7)), id="number-for-the-kind"),
        pytest.param(protobuf.PREFIX + msg((3, "gzip")), id="compressed"),
        pytest.param(body("v1", "Secret", (0, "x")), id="field-zero"),
        pytest.param(body("v1", "Secret") + b"\x13", id="group"),
        pytest.param(body("v1", "Secret", (1, msg((8, msg((1, 1 << 60)))))), id="year-of-the-far-future"),
        pytest.param(body("v1", "Secret", (1, msg((8, msg((1, "x")))))), id="text-for-a-time"),
        pytest.param(body("apps/v1", "ControllerRevision", (2, msg((1, b"{")))), id="broken-json-within"),
    ],
)
def test_what_is_malformed_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        protobuf.decode(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_value_error(data: bytes) -> None:
    inner = varint(2 << 3 | 2) + varint(len(data)) + data
    head = protobuf.PREFIX + msg((1, msg((1, "v1"), (2, "Pod"))))
    try:
        assert protobuf.decode(head + inner)["kind"] == "Pod"
    except ValueError:
        return


def definition_of(message: str) -> Json | None:
    """The OpenAPI definition of a message."""
    package, _, name = message.rpartition(".")
    below = "apimachinery.pkg.apis" if package.startswith("meta.") else "api"
    return schema.definitions().get(f"io.k8s.{below}.{package}.{name}")


def rows_of(message: str) -> list[tuple[str, str]]:
    """(JSON name, type) of a message's fields in the table."""
    rows = (row.split(" ") for row in protobuf._table()["messages"][message].split(", ") if row)
    return [(name, type_) for _, name, type_ in rows]


MESSAGES = [name for name in protobuf._table()["messages"] if definition_of(name) is not None]


def test_the_table_agrees_with_the_openapi_definitions() -> None:
    checked = 0
    for message in MESSAGES:
        properties: dict[str, Any] = (definition_of(message) or {}).get("properties", {})
        for name, type_ in rows_of(message):
            scalar = type_.lstrip("=[]")
            if name != "." and scalar in JSON_TYPES:
                wanted = "array" if "[]" in type_ else JSON_TYPES[scalar]
                assert wanted in properties[name].get("type", [wanted]), f"{message}.{name}"
                checked += 1
    assert checked > 400


def test_the_table_has_the_fields_of_the_openapi_definitions_and_no_others() -> None:
    type_meta = {"apiVersion", "kind"}  # of the envelope
    differences = []
    for message in MESSAGES:
        names = {name for name, _ in rows_of(message)}
        properties = set((definition_of(message) or {}).get("properties", ()))
        # where a message is inlined, the other properties are that one's
        wrong = names - properties - {"."} if "." in names else names ^ properties
        differences += [f"{message}.{name}" for name in wrong - type_meta]
    assert sorted(differences) == NEWER_THAN_THE_TABLE
