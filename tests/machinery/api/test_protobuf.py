"""Protobuf bodies, against messages put together by hand and against the OpenAPI definitions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.api import protobuf, schema
from machinery.api.codec import Json

#: fields that upstream's sources of the table have and the packaged definitions do not (renamed between the two)
KNOWN_DIFFERENCES = {
    "core/v1.NodeAllocatableResourceClaimStatus": {"resources"},
    "resource/v1.Device": {"nodeAllocatableResourceMappings"},
}
JSON_TYPES = {"s": "string", "i": "integer", "b": "boolean", "y": "string", "d": "number"}


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
    return protobuf.MAGIC + msg((1, msg((1, api_version), (2, kind))), (2, msg(*fields)), (3, ""), (4, ""))


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
    assert "status" not in found
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


def test_fields_of_a_newer_client_are_passed_over() -> None:
    assert protobuf.decode(body("v1", "Secret", (999, "x"), (998, 7), (3, "Opaque")))["type"] == "Opaque"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"kind":"Pod"}', id="json"),
        pytest.param(protobuf.MAGIC, id="nothing-in-it"),
        pytest.param(body("v1", "Nonsense"), id="unknown-kind"),
        pytest.param(body("example.com/v1", "Pod"), id="unknown-group"),
        pytest.param(protobuf.MAGIC + b"\x0a\xff", id="cut-short"),
        pytest.param(protobuf.MAGIC + b"\x0a" + b"\xff" * 11, id="endless-number"),
        pytest.param(body("v1", "Pod", (2, 5)), id="number-for-a-message"),
        pytest.param(body("v1", "Secret", (3, b"\xff\xfe")), id="not-utf-8"),
    ],
)
def test_what_is_malformed_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        protobuf.decode(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_value_error(data: bytes) -> None:
    inner = varint(2 << 3 | 2) + varint(len(data)) + data
    head = protobuf.MAGIC + msg((1, msg((1, "v1"), (2, "Pod"))))
    try:
        assert protobuf.decode(head + inner)["kind"] == "Pod"
    except ValueError:
        return


def definition_of(message: str) -> Json | None:
    """The OpenAPI definition of a message."""
    package, _, name = message.rpartition(".")
    inner = f"io.k8s.api.{package.replace('/', '.')}.{name}"
    if package.startswith("meta/"):
        inner = f"io.k8s.apimachinery.pkg.apis.{package.replace('/', '.')}.{name}"
    return schema.definitions().get(inner)


def test_the_table_agrees_with_the_openapi_definitions() -> None:
    checked = 0
    for message, line in protobuf._lines().items():
        definition = definition_of(message)
        if definition is None:
            continue
        properties: dict[str, Any] = definition.get("properties", {})
        for entry in line.split():
            _, name, rest = entry.split(":", 2)
            type_, _, flags = rest.partition("|")
            if "n" in flags or name in KNOWN_DIFFERENCES.get(message, ()):
                continue
            assert name in properties, f"{message}.{name}"
            if type_ in JSON_TYPES:
                wanted = "array" if "r" in flags else JSON_TYPES[type_]
                assert wanted in properties[name].get("type", [wanted]), f"{message}.{name}"
                checked += 1
    assert checked > 700
