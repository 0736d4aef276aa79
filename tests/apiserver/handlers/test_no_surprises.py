"""Whatever a client sends, it is answered by an object or by a Status: handlers raise nothing but StatusError."""

import asyncio
import contextlib
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiserver.registry.registry import Registry
from apiserver.resources.apps.deployments import DEPLOYMENTS
from apiserver.resources.core.configmaps import CONFIG_MAPS
from apiserver.resources.core.pods import PODS
from apiserver.storage.cacher import Cacher
from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.errors import StatusError
from tests.apiserver.handlers.calls import Caller
from tests.fakes.storage import MemoryStorage

_SPEC: Json = {
    "nodeName": "n",
    "containers": [
        {
            "name": "c",
            "image": "i",
            "ports": [{"containerPort": 80}],
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "resources": {"requests": {"cpu": "1"}},
            "livenessProbe": {"httpGet": {"port": 80}},
            "volumeMounts": [{"name": "v", "mountPath": "/x"}],
        }
    ],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "tolerations": [{"key": "a", "operator": "Exists"}],
}
_OBJECTS: list[tuple[str, Json]] = [
    ("/api/v1/namespaces/a/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}),
    (
        "/api/v1/namespaces/a/pods",
        {"apiVersion": "v1", "kind": "Pod", "spec": _SPEC, "status": {"conditions": [{"type": "Ready"}]}},
    ),
    (
        "/apis/apps/v1/namespaces/a/deployments",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "replicas": 1,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
                "selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": _SPEC},
            },
        },
    ),
]
_METADATA: Json = {"labels": {"a": "b"}, "finalizers": ["a/b"], "ownerReferences": [{"kind": "Pod", "uid": "1"}]}
_JUNK: list[Any] = [None, 0, -1, 1.5, True, "", "A B", [], {}, [None], {"a": None}, [{}], 2**62, "1e3", "ä", "9" * 30]
_PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _paths(child, (*path, key))


def _spoiled(obj: Json, chance: random.Random) -> Json:
    """A copy with one to three places cut out or replaced."""
    obj = codec.copy_of(obj)
    for _ in range(chance.randint(1, 3)):
        paths = [path for path in _paths(obj) if path and path[0] not in ("apiVersion", "kind")]
        if not paths:
            break
        *above, last = chance.choice(paths)
        owner: Any = obj
        for key in above:
            owner = owner[key]
        if chance.random() < 0.25:
            del owner[last]
        else:
            owner[last] = codec.loads(codec.dumps(chance.choice(_JUNK)))
    return obj


def _operations(obj: Json, chance: random.Random) -> list[Json]:
    pointers = ["/" + "/".join(map(str, path)) for path in _paths(obj)]
    return [
        {
            "op": chance.choice(["add", "remove", "replace", "move", "copy", "test"]),
            "path": chance.choice(pointers) + chance.choice(["", "/-", "/0", "/x"]),
            "from": chance.choice(pointers),
            "value": chance.choice(_JUNK),
        }
        for _ in range(2)
    ]


async def _try(api: Caller, *call: Any) -> None:
    with contextlib.suppress(StatusError):
        await api(*call)


async def _attack(url: str, kind: Json, chance: random.Random) -> None:
    cacher = Cacher(MemoryStorage())
    running = asyncio.create_task(cacher.run())
    await cacher.wait_until_filled()
    api = Caller(Registry(cacher, [CONFIG_MAPS, PODS, DEPLOYMENTS]))
    obj = {**kind, "metadata": {**_METADATA, "name": "x"}}
    await _try(api, "POST", url, _spoiled(obj, chance))
    await _try(api, "POST", url, {**kind, "metadata": {"name": "x"}})
    await _try(api, "PUT", f"{url}/x", _spoiled(obj, chance))
    for media_type in _PATCHES:
        await _try(
            api, "PATCH", f"{url}/x", _spoiled({"metadata": _METADATA, **kind}, chance), {"content-type": media_type}
        )
    await _try(api, "PATCH", f"{url}/x", _operations(obj, chance), {"content-type": "application/json-patch+json"})
    await _try(api, "GET", url, None, {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    options = {"gracePeriodSeconds": 1, "propagationPolicy": "Orphan", "preconditions": {"uid": "a"}}
    await _try(api, "DELETE", f"{url}/x", _spoiled(options, chance))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), target=st.sampled_from(_OBJECTS))
def test_nonsense_is_refused_and_never_an_internal_error(seed: int, target: tuple[str, Json]) -> None:
    asyncio.run(_attack(*target, random.Random(seed)))
