"""Objects and lists in the forms that clients ask for: protobuf, YAML, indented, metadata alone."""

import json
import struct

import pytest
import yaml

from apiserver.handlers import rendering
from apiserver.resources import columns
from machinery.api import errors, protobuf, times
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import Caller

MAPS = "/api/v1/namespaces/a/configmaps"
PROTOBUF = {"accept": "application/vnd.kubernetes.protobuf"}
_BUDGET = protobuf._Budget()


def _map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _partial(kind: str, media: str = "application/json") -> dict[str, str]:
    return {"accept": f"{media};as={kind};g=meta.k8s.io;v=v1"}


async def test_an_object_in_protobuf_is_its_json(api: Caller) -> None:
    created = await api("POST", MAPS, _map("x", k="v"), PROTOBUF)
    assert created.content_type == "application/vnd.kubernetes.protobuf"
    assert protobuf.decode(created.raw) == (await api("GET", f"{MAPS}/x")).json


async def test_a_scale_in_protobuf_is_its_json(api: Caller) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    deployments = "/apis/apps/v1/namespaces/a/deployments"
    await api("POST", deployments, {"metadata": {"name": "web"}, "spec": spec})
    answer = await api("GET", f"{deployments}/web/scale", None, PROTOBUF)
    assert protobuf.decode(answer.raw)["spec"] == {"replicas": 3}


async def test_a_list_in_protobuf_has_all_its_items(api: Caller) -> None:
    for number in range(rendering.CHUNK + 3):
        await api("POST", MAPS, _map(f"x-{number:03}", k="v"))
    plain = (await api("GET", f"{MAPS}?limit=60")).json
    answer = await api("GET", f"{MAPS}?limit=60", None, PROTOBUF)
    unknown = protobuf._values(answer.raw[4:])
    fields = list(protobuf._records(unknown[2]))
    assert [number for number, _, _ in fields] == [1] + [2] * len(plain["items"])
    assert protobuf._values(fields[0][2])[2].decode() == plain["metadata"]["resourceVersion"]
    item = b"\x12" + _varint(len(fields[5][2])) + fields[5][2]
    assert protobuf.decode(protobuf.PREFIX + item, "v1", "ConfigMap")["metadata"]["name"] == "x-004"


async def test_a_watch_in_protobuf_frames_its_events_by_length(api: Caller) -> None:
    await api("POST", MAPS, _map("x", k="v"))
    answer = await api("GET", f"{MAPS}?watch=1&timeoutSeconds=1", None, PROTOBUF)
    assert answer.content_type == "application/vnd.kubernetes.protobuf;stream=watch"
    (size,) = struct.unpack(">I", answer.raw[:4])
    event = protobuf._values(answer.raw[4 : 4 + size])
    assert event[1] == b"ADDED"
    assert protobuf.decode(protobuf._values(event[2])[1])["data"] == {"k": "v"}
    assert len(answer.raw) == 4 + size


async def test_metadata_in_protobuf_is_an_object_of_its_own(api: Caller) -> None:
    await api("POST", MAPS, _map("x", k="v"))
    answer = await api("GET", f"{MAPS}/x", None, _partial("PartialObjectMetadata", PROTOBUF["accept"]))
    envelope = protobuf._open(answer.raw)
    assert (envelope.api_version, envelope.kind) == ("meta.k8s.io/v1", "PartialObjectMetadata")
    metadata = protobuf._message(protobuf._fields_of("meta.v1.ObjectMeta"), protobuf._values(envelope.raw)[1], _BUDGET)
    assert metadata == (await api("GET", f"{MAPS}/x")).json["metadata"]


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        (
            MAPS,
            "PartialObjectMetadata",
            "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
        ),
        (
            f"{MAPS}/x",
            "PartialObjectMetadataList",
            "you requested PartialObjectMetadataList, but the requested object is not a list type (*core.ConfigMap)",
        ),
    ],
)
async def test_the_metadata_form_must_be_of_the_object_or_of_the_list(
    api: Caller, path: str, kind: str, text: str
) -> None:
    await api("POST", MAPS, _map("x"))
    with pytest.raises(errors.NotAcceptable) as refusal:
        await api("GET", path, None, _partial(kind))
    assert refusal.value.message == text


async def test_nothing_is_written_for_who_accepts_no_answer(api: Caller) -> None:
    with pytest.raises(errors.NotAcceptable):
        await api("POST", MAPS, _map("x"), {"accept": "text/html"})
    with pytest.raises(errors.NotFound):
        await api("GET", f"{MAPS}/x")


@pytest.mark.parametrize("count", [2, rendering.CHUNK + 1])
@pytest.mark.parametrize("accept", ["application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"])
async def test_people_are_shown_indented_json(
    api: Caller, monkeypatch: pytest.MonkeyPatch, count: int, accept: str
) -> None:
    started = times.now()
    monkeypatch.setattr(columns, "_clock", lambda: started)  # or an age may differ between two answers
    for number in range(count):
        await api("POST", MAPS, _map(f"x-{number}", k="v"))
    plain = await api("GET", MAPS, None, {"accept": accept})
    for query, agent in (("", "curl/8"), ("?pretty=true", "Go-http-client/1.1")):
        shown = await api("GET", MAPS + query, None, {"user-agent": agent, "accept": accept})
        assert shown.json == plain.json
        assert shown.raw.decode() == json.dumps(shown.json, indent=2)
    assert (await api("GET", f"{MAPS}?pretty=0", None, {"user-agent": "curl/8", "accept": accept})).raw == plain.raw


async def test_a_large_list_in_yaml_is_the_same_list(api: Caller) -> None:
    for number in range(rendering.CHUNK + 1):
        await api("POST", MAPS, _map(f"x-{number}", k="größe"))
    answer = await api("GET", MAPS, None, {"accept": "application/yaml"})
    assert answer.content_type == "application/yaml"
    assert yaml.load(answer.raw, Loader=yaml.CBaseLoader)["items"][0]["data"] == {"k": "größe"}


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
