"""Simulations: repeatable, of every workload, from snapshots."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
import yaml

from machinery.api import meta, pods
from scheduler import config, simulate
from scheduler.config import ExtenderConfig
from scheduler.extender import Extenders
from scheduler.pods import pod_of
from scheduler.workloads import WORKLOADS, Workload, node, pod
from tests.scheduler.device_objects import claim as devices
from tests.scheduler.device_objects import device, device_class, exactly, slice_of
from tests.scheduler.volume_objects import claim, on_node, storage_class, volume


async def _run(workload: Workload, seed: int = 1) -> tuple[simulate.Simulation, simulate.Result]:
    return await simulate.run(workload, config.SchedulerConfiguration(), seed)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
async def test_every_workload_places_its_pods(name: str) -> None:
    simulation, result = await _run(WORKLOADS[name](30, 12))
    assert (result.placed, result.pods, result.nodes) == (12, 12, 30)
    assert result.evicted == (36 if name == "preemption" else 0)
    placed = dict(simulation.placements())
    if name == "pod-anti-affinity":
        used = [node for key, node in placed.items() if node != "<none>"]
        assert len(set(used)) == len(used)
    if name == "node-affinity":
        zone3 = {f"node-{number}" for number in range(2, 30, 3)}
        assert not zone3 & {node for key, node in placed.items() if "/pod-" in key}


async def test_the_same_seed_gives_the_same_placements_and_another_one_others() -> None:
    def placements(simulation: simulate.Simulation) -> dict[str, str]:
        return dict(simulation.placements())

    first, _ = await _run(WORKLOADS["basic"](40, 30), seed=7)
    again, _ = await _run(WORKLOADS["basic"](40, 30), seed=7)
    other, _ = await _run(WORKLOADS["basic"](40, 30), seed=8)
    assert placements(first) == placements(again) != placements(other)


class _Extender(BaseHTTPRequestHandler):
    """Lets every second node pass, and takes its time, now more and now less."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for each answer
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answer."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(self.path)
        time.sleep(random.random() / 200)
        names = [name for name in body["NodeNames"] if int(name.removeprefix("node-")) % 2]
        answer = json.dumps({"NodeNames": names}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def _extender() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Extender)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


async def test_extenders_are_asked_too_and_placements_stay_the_same() -> None:
    with _extender() as url:
        facts = {"urlPrefix": url, "filterVerb": "filter", "bindVerb": "bind", "nodeCacheCapable": True}
        configured = config.SchedulerConfiguration.model_validate({"extenders": [facts]})
        runs = [await simulate.run(WORKLOADS["basic"](10, 20), configured, 3) for _ in range(2)]
    first, again = (dict(simulation.placements()) for simulation, _ in runs)
    assert first == again
    assert set(first.values()) == {f"node-{number}" for number in (1, 3, 5, 7, 9)}
    assert set(_Extender.asked) == {"/filter"}


@pytest.mark.parametrize("blocking", [True, False])
async def test_nothing_else_happens_while_an_extender_is_asked(*, blocking: bool) -> None:
    happened = []

    async def happen() -> None:
        while True:
            happened.append("something")
            await asyncio.sleep(0)

    with _extender() as url:
        facts = {"urlPrefix": url, "filterVerb": "filter", "nodeCacheCapable": True}
        async with Extenders([ExtenderConfig.model_validate(facts)], blocking=blocking) as extenders:
            task = asyncio.ensure_future(happen())
            opinion = await extenders.ask(pod_of(pod("p")), [node("node-1"), node("node-2")])
            task.cancel()
    assert opinion.fits == {"node-1"}
    assert (not happened) == blocking


async def test_what_does_not_fit_is_left_over_and_said_so() -> None:
    workload = Workload([node("n")], [], [pod("fits", cpu="3"), pod("huge", cpu="100")])
    simulation, result = await _run(workload)
    assert (result.placed, result.pods) == (1, 2)
    attempt = simulation.scheduler.attempts.get(meta.key_of(workload.pods[1]))
    assert attempt is not None and "Insufficient cpu" in attempt.message
    assert "1 placed, 1 not" in simulate.report(result)


def test_a_snapshot_is_a_list_as_kubectl_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there: dict[str, Any] = {**pod("there", cpu="3"), "kind": "Pod"}
    there["spec"] = {**there["spec"], "nodeName": "a"}
    done = {**pod("done", nodeName="a"), "kind": "Pod", "status": {"phase": "Succeeded"}}
    items = [
        {**node("a"), "kind": "Node"},
        {**node("b"), "kind": "Node"},
        there,
        done,
        {**pod("new", cpu="2"), "kind": "Pod"},
    ]
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    loaded = simulate.snapshot(str(path))
    assert [len(part) for part in (loaded.nodes, loaded.before, loaded.pods)] == [2, 1, 1]
    assert pods.node_of(loaded.before[0]) == "a"
    simulate.main(["--snapshot", str(path), "--placements"])
    assert "default/new -> b" in capsys.readouterr().out
    simulate.main(["--snapshot", str(path), "--json", "--placements"])
    assert json.loads(capsys.readouterr().out)["placements"]["default/new"] == "b"


def test_a_snapshot_may_have_volumes_and_devices_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {
        "PersistentVolume": volume("disk", where=on_node("b"), storage_class="local"),
        "PersistentVolumeClaim": claim("data", storage_class="local"),
        "StorageClass": storage_class("local"),
        "DeviceClass": device_class(),
        "ResourceSlice": slice_of("c", device("gpu-0")),
        "ResourceClaim": devices("gpu", exactly()),
    }
    mounts = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    claims = [{"name": "gpu", "resourceClaimName": "gpu"}]
    items = [{**node(name), "kind": "Node"} for name in ("a", "b", "c")]
    items += [{**obj, "kind": kind} for kind, obj in kinds.items()]
    items += [{**pod("disk", volumes=mounts), "kind": "Pod"}, {**pod("gpu", resourceClaims=claims), "kind": "Pod"}]
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    simulate.main(["--snapshot", str(path), "--json", "--placements"])
    assert json.loads(capsys.readouterr().out)["placements"] == {"default/disk": "b", "default/gpu": "c"}


def test_pods_are_those_of_a_workload_or_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pods.yaml"
    path.write_text(yaml.safe_dump({**pod("mine"), "kind": "Pod"}))
    for pods_, count in ((str(path), 1), ("basic", 7)):
        simulate.main(["--nodes", "5", "--count", "7", "--pods", pods_, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert (found["nodes"], found["placed"]) == (5, count)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: .*nothing.yaml"):
        simulate.main(["--snapshot", str(tmp_path / "nothing.yaml")])
