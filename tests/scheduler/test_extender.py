"""Extenders: a real HTTP server is asked about nodes, scores, victims, and binds."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from machinery.api import meta
from machinery.api.codec import Json
from machinery.component.tls import CertRequest, create_ca, issue
from scheduler import config
from scheduler.config import ExtenderConfig, Profile, SchedulerConfiguration
from scheduler.extender import ExtenderProblem, Extenders
from scheduler.pods import Pod
from scheduler.preemption import Candidate
from tests.ports import free_port
from tests.scheduler.objects import handle, node, pod, pod_object, table
from tests.scheduler.test_scheduler import Setup, running

Answer = Callable[[Json], Any]


class Asked:
    """What an extender was asked, and what it says."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.seen: list[tuple[str, Json]] = []

    async def answer(self, request: Request) -> Response:
        """Remember and answer."""
        verb, body = request.path_params["verb"], await request.json()
        self.seen.append((verb, body))
        found = self.answers[verb](body)
        if isinstance(found, float):
            await asyncio.sleep(found)
            return JSONResponse({})
        return Response(status_code=found) if isinstance(found, int) else JSONResponse(found)


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Signals are pytest's."""


@asynccontextmanager
async def extender(asked: Asked, **tls: Any) -> AsyncIterator[str]:
    """Its address."""
    port = free_port()
    app = Starlette(routes=[Route("/{verb}", asked.answer, methods=["POST"])])
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off", **tls))
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def configured(url: str, **facts: Any) -> ExtenderConfig:
    """An extender's configuration, by the names of the file."""
    return ExtenderConfig.model_validate({"urlPrefix": url, **facts})


@asynccontextmanager
async def placing(asked: Asked, *nodes: Json, **facts: Any) -> AsyncIterator[Setup]:
    """A scheduler with an extender, and nodes beside n1."""
    async with extender(asked) as url, Extenders([configured(url, **facts)]) as extenders:
        async with running(extenders=extenders) as setup:
            for one in nodes:
                setup.informers.tell("nodes", None, one)
            yield setup


async def _until(setup: Setup, holds: Callable[[], object]) -> None:
    for _ in range(500):
        await setup.clock.advance(0)
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


def only(*names: str, refused: dict[str, str] | None = None, hopeless: dict[str, str] | None = None) -> Answer:
    """Lets these nodes pass."""

    def answer(body: Json) -> Json:
        items = [one for one in body["Nodes"]["items"] if meta.name_of(one) in names]
        return {
            "Nodes": {"items": items},
            "FailedNodes": refused or {},
            "FailedAndUnresolvableNodes": hopeless or {},
        }

    return answer


async def test_only_nodes_that_the_extender_lets_pass_are_used() -> None:
    asked = Asked(filter=only("n2"))
    async with placing(asked, node("n2"), node("n3"), filterVerb="filter") as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.bindings)
        assert setup.client.bindings == {"p": "n2"}
    [(_, body)] = asked.seen
    assert body["Pod"]["metadata"]["name"] == "p"
    assert body["NodeNames"] is None
    assert sorted(meta.name_of(one) for one in body["Nodes"]["items"]) == ["n1", "n2", "n3"]


async def test_names_are_enough_for_one_that_knows_the_nodes() -> None:
    asked = Asked(filter=lambda body: {"nodenames": [name for name in body["NodeNames"] if name != "n1"]})
    async with placing(asked, node("n2"), filterVerb="filter", nodeCacheCapable=True) as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.bindings)
        assert setup.client.bindings == {"p": "n2"}
    assert asked.seen[0][1]["Nodes"] is None


async def test_its_reasons_are_told_and_the_pod_waits_for_any_change() -> None:
    asked = Asked(filter=only(refused={"n1": "too hot"}, hopeless={"n2": "too old"}))
    async with placing(asked, node("n2"), filterVerb="filter") as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.conditions)
        message = setup.client.conditions["p"]["message"]
        assert message.startswith("0/2 nodes are available: 1 too hot, 1 too old.")
        assert "1 No preemption victims found for incoming pod, 1 Preemption is not helpful" in message
        asked.answers["filter"] = only("n3")
        setup.informers.tell("nodes", None, node("n3"))
        await setup.clock.advance(2)
        await _until(setup, lambda: setup.client.bindings)


async def test_its_scores_count_ten_times_its_weight() -> None:
    asked = Asked(prioritize=lambda body: [{"Host": "n2", "Score": 10}, {"Host": "n1", "Score": 0}])
    async with placing(asked, node("n2", cpu="500m"), prioritizeVerb="prioritize", weight=9) as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.bindings)
        assert setup.client.bindings == {"p": "n2"}
    async with extender(asked) as url, Extenders([configured(url, prioritizeVerb="prioritize", weight=3)]) as one:
        opinion = await one.ask(pod("p"), [node("n1"), node("n2")])
        assert opinion.scores == {"n2": 300.0, "n1": 0.0}


@pytest.mark.parametrize("said", [[{"Host": "n2", "Score": "ten"}], [{"Host": ["n2"], "Score": 1}], {"": 5}])
async def test_scores_that_cannot_be_read_do_not_count(said: Any) -> None:
    async with placing(Asked(prioritize=lambda body: said), node("n2"), prioritizeVerb="prioritize", weight=1) as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.bindings)


async def test_it_binds_what_it_is_asked_to_bind() -> None:
    asked = Asked(bind=lambda body: {})
    async with placing(asked, bindVerb="bind") as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.recorder.events)
        assert setup.client.bindings == {}
        assert setup.recorder.events == [("Scheduled", "Successfully assigned default/p to n1")]
    assert asked.seen == [("bind", {"PodName": "p", "PodNamespace": "default", "PodUID": "uid-p", "Node": "n1"})]


async def test_a_binding_it_refuses_gives_the_resources_back() -> None:
    asked = Asked(bind=lambda body: {"Error": "not on my watch"})
    async with placing(asked, bindVerb="bind") as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.conditions)
        assert "not on my watch" in setup.client.conditions["p"]["message"]
        assert setup.used() == [0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(lambda body: 500, "failed filter with extender at URL", id="no-200"),
        pytest.param(lambda body: {"Error": "on fire"}, "on fire", id="an-error"),
        pytest.param(
            lambda body: {"Nodes": {"items": [node("nx")]}},
            'claims a filtered node "nx" which is not found',
            id="a-lie",
        ),
        pytest.param(lambda body: 3.0, "Post", id="no-answer-in-time"),
        pytest.param(lambda body: {"Nodes": {"items": [1]}}, "cannot read the answer", id="nodes-of-another-form"),
        pytest.param(lambda body: {"FailedNodes": ["n1"]}, "cannot read the answer", id="reasons-of-another-form"),
    ],
)
async def test_one_that_cannot_be_heard_fails_the_pod_unless_it_may_be_ignored(answer: Answer, message: str) -> None:
    asked = Asked(filter=answer)
    facts = {"filterVerb": "filter", "httpTimeout": "300ms"}
    async with placing(asked, **facts) as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.conditions)
        condition = setup.client.conditions["p"]
        assert condition["reason"] == "SchedulerError"
        assert message in condition["message"]
    async with placing(asked, ignorable=True, **facts) as setup:
        setup.add_pod("p")
        await _until(setup, lambda: setup.client.bindings)


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("url", ["http://host:port", "http://a..b"])
async def test_an_address_that_cannot_be_one_is_nobodys(url: str, *, blocking: bool) -> None:
    async with Extenders([configured(url, filterVerb="filter")], blocking=blocking) as one:
        with pytest.raises(ExtenderProblem, match="Post"):
            await one.ask(pod("p"), [node("n1")])


async def test_it_is_asked_only_about_pods_that_want_what_it_manages() -> None:
    asked = Asked(filter=only())
    managed = [{"name": "example.com/gpu", "ignoredByScheduler": True}]
    async with placing(asked, filterVerb="filter", managedResources=managed) as setup:
        setup.add_pod("plain")
        await _until(setup, lambda: setup.client.bindings)
    assert asked.seen == []
    async with (
        extender(asked) as url,
        Extenders([configured(url, filterVerb="filter", managedResources=managed)]) as one,
    ):
        wanting = pod("w", containers=[{"name": "c", "resources": {"limits": {"example.com/gpu": "1"}}}])
        assert (await one.ask(wanting, [node("n1")])).fits == frozenset()


def test_what_only_an_extender_counts_the_scheduler_does_not() -> None:
    managed = [{"name": "example.com/gpu", "ignoredByScheduler": True}, {"name": "example.com/tpu"}]
    given = {"extenders": [{"urlPrefix": "http://x", "managedResources": managed}], "profiles": [{}]}
    [profile] = config.check(SchedulerConfiguration.model_validate(given)).values()
    wanting = pod("w", containers=[{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}])
    assert config.build(profile, handle()).fits(wanting, table(node("n1")), 0)
    assert not config.build(Profile(), handle()).fits(wanting, table(node("n1")), 0)


CANDIDATES = (Candidate("n1", (pod("a"), pod("b")), 1), Candidate("n2", (pod("c"),)))


def _others_on(node: str) -> list[Pod]:
    return [pod("d", priority=7)] if node == "n2" else []


def agreeing_to(**victims: list[str]) -> Answer:
    """The nodes that it keeps, and the pods that have to go there."""

    def answer(body: Json) -> Json:
        found = {node: {"Pods": [{"UID": f"uid-{name}"} for name in names]} for node, names in victims.items()}
        return {"NodeNameToMetaVictims": found}

    return answer


async def test_it_is_shown_all_candidates_with_their_victims() -> None:
    asked = Asked(preempt=agreeing_to())
    for knows_nodes in (False, True):
        facts = {"preemptVerb": "preempt", "nodeCacheCapable": knows_nodes}
        async with extender(asked) as url, Extenders([configured(url, **facts)]) as one:
            assert not await one.preempt(pod("p"), CANDIDATES, _others_on)
    whole, named = asked.seen[0][1]["NodeNameToVictims"], asked.seen[1][1]["NodeNameToMetaVictims"]
    assert {node: [meta.name_of(pod) for pod in one["Pods"]] for node, one in whole.items()} == {
        "n1": ["a", "b"],
        "n2": ["c"],
    }
    assert named == {
        "n1": {"Pods": [{"UID": "uid-a"}, {"UID": "uid-b"}], "NumPDBViolations": 1},
        "n2": {"Pods": [{"UID": "uid-c"}], "NumPDBViolations": 0},
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(agreeing_to(n1=["a"], n2=["c"]), {"n1": ["a"], "n2": ["c"]}, id="it-spares-one"),
        pytest.param(agreeing_to(n2=["c"]), {"n2": ["c"]}, id="it-keeps-one-node"),
        pytest.param(agreeing_to(n2=["c", "d"]), {"n2": ["d", "c"]}, id="another-pod-of-the-node-the-important-first"),
        pytest.param(agreeing_to(), {}, id="it-keeps-none"),
    ],
)
async def test_candidates_are_those_that_it_leaves(answer: Answer, expected: dict[str, list[str]]) -> None:
    async with extender(Asked(preempt=answer)) as url:
        async with Extenders([configured(url, preemptVerb="preempt")] * 2) as both:  # the other has its say, too
            left = await both.preempt(pod("p"), CANDIDATES, _others_on)
    assert {one.node: [victim.key.name for victim in one.victims] for one in left} == expected


@pytest.mark.parametrize(
    ("answer", "message", "ignored"),
    [
        pytest.param(lambda body: 500, "code 500", ["n1", "n2"], id="no-200"),
        pytest.param(lambda body: {"NodeNameToMetaVictims": ["n1"]}, "cannot read", ["n1", "n2"], id="another-form"),
        pytest.param(agreeing_to(n1=["d"], n2=["c"]), "UID: uid-d. on node: n1, but", ["n1", "n2"], id="not-there"),
        pytest.param(agreeing_to(n1=[], n2=["c"]), 'at least one victim pod on node "n1"', ["n2"], id="no-victims"),
    ],
)
async def test_an_answer_about_victims_that_makes_no_sense(answer: Answer, message: str, ignored: list[str]) -> None:
    async with extender(Asked(preempt=answer)) as url:
        async with Extenders([configured(url, preemptVerb="preempt")]) as one:
            with pytest.raises(ExtenderProblem, match=message):
                await one.preempt(pod("p"), CANDIDATES, _others_on)
        async with Extenders([configured(url, preemptVerb="preempt", ignorable=True)]) as one:
            left = await one.preempt(pod("p"), CANDIDATES, _others_on)
            assert [candidate.node for candidate in left] == ignored


@pytest.mark.parametrize(
    ("answer", "expected", "victim"),
    [
        pytest.param(agreeing_to(n1=["low"], n2=["middle"]), "n1", "low", id="the-best"),
        pytest.param(agreeing_to(n2=["middle"]), "n2", "middle", id="the-only-one"),
    ],
)
async def test_the_best_of_the_candidates_that_are_left_is_taken(answer: Answer, expected: str, victim: str) -> None:
    async with placing(Asked(preempt=answer), node("n2"), preemptVerb="preempt") as setup:
        for name, priority, where in (("low", 1, "n1"), ("middle", 2, "n2")):
            setup.informers.tell("pods", None, pod_object(name, cpu="4", priority=priority, nodeName=where))
        setup.add_pod("high", cpu="4", priority=10)
        await _until(setup, lambda: setup.client.deleted)
        assert setup.client.deleted == [victim]
        assert setup.scheduler.nominations.less_important_on(expected, 100)


async def test_a_pod_takes_nobodys_place_before_the_extender_agrees() -> None:
    asked = Asked(preempt=lambda body: {"NodeNameToMetaVictims": {}})
    async with placing(asked, preemptVerb="preempt") as setup:
        low = setup.add_pod("low", cpu="4")
        await _until(setup, lambda: setup.client.bindings)
        setup.bound(low, "n1")
        setup.add_pod("high", cpu="4", priority=10)
        await _until(setup, lambda: asked.seen)
        await setup.clock.advance(0)
        assert not setup.scheduler.nominations.less_important_on("n1", 100)


async def test_over_tls_by_a_ca_or_without_one(tmp_path: Path) -> None:
    ca, other = create_ca("extenders"), create_ca("others")
    files = issue(ca, CertRequest("extender", hosts=("127.0.0.1",))).write(tmp_path, "extender")
    asked = Asked(filter=only("n1"))
    async with extender(asked, ssl_certfile=str(files.cert), ssl_keyfile=str(files.key)) as url:
        for tls in ({"caData": b64encode(ca.cert_pem()).decode()}, {}):
            facts = {"filterVerb": "filter", "enableHTTPS": True, "tlsConfig": tls}
            async with Extenders([configured(url, **facts)]) as one:
                assert (await one.ask(pod("p"), [node("n1")])).fits == {"n1"}
        unknown = other.write(tmp_path, "other").cert
        facts = {"filterVerb": "filter", "tlsConfig": {"caFile": str(unknown)}}
        async with Extenders([configured(url, **facts)]) as one:
            with pytest.raises(ExtenderProblem, match="(?i)certificate"):
                await one.ask(pod("p"), [node("n1")])
