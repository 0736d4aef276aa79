"""InterPodAffinity: a table of upstream's documented behaviour, and random clusters against a naive reference."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from machinery.api.codec import Json
from scheduler.cache import NodeTable
from scheduler.framework import Code, CycleState
from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.pods import Pod, pod_of
from scheduler.terms import Term
from tests.scheduler import objects
from tests.scheduler.objects import StoresOnly

ZONE, HOST = "zone", "kubernetes.io/hostname"
NODES = [objects.node(f"n{number}", labels={ZONE: f"z{number // 2}"}) for number in range(4)] + [objects.node("bare")]


def _term(key: str = ZONE, labels: Json | None = None, **more: Any) -> Json:
    return {"topologyKey": key, "labelSelector": {"matchLabels": labels or {"app": "db"}}, **more}


def _affinity(*terms: Json, anti: bool = False, weight: int = 0) -> Json:
    field = "podAntiAffinity" if anti else "podAffinity"
    if not weight:
        return {field: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}
    entries = [{"weight": weight, "podAffinityTerm": term} for term in terms]
    return {field: {"preferredDuringSchedulingIgnoredDuringExecution": entries}}


def _pod(name: str, namespace: str = "default", labels: Json | None = None, affinity: Json | None = None) -> Pod:
    obj = objects.pod_object(name, labels=labels)
    obj["metadata"]["namespace"] = namespace
    obj["spec"]["affinity"] = affinity or {}
    return pod_of(obj)


def _plugin(namespaces: Mapping[str, Json] | None = None, args: Json | None = None) -> InterPodAffinity:
    stores = StoresOnly()
    plugin = InterPodAffinity(objects.handle(stores), args)
    for name, labels in (namespaces or {}).items():
        stores.stores["namespaces"].put({"metadata": {"name": name, "labels": labels}})
    return plugin


def _table(placed: Sequence[tuple[Pod, str]] = (), nodes: Sequence[Json] = NODES) -> NodeTable:
    table = objects.table(*nodes)
    for pod, node in placed:
        table.add_pod(pod, node)
    return table


def _fitting(plugin: InterPodAffinity, pod: Pod, table: NodeTable) -> set[str]:
    state = CycleState()
    if plugin.pre_filter(state, pod, table).code is Code.SKIP:
        return objects.named(table, table.all())
    return objects.named(table, plugin.filter(state, pod, table).fits)


DB = _pod("db", labels={"app": "db"})
WEB = {"app": "web"}


@pytest.mark.parametrize(
    ("pod", "placed", "expected"),
    [
        pytest.param(_pod("a"), [(DB, "n0")], {"n0", "n1", "n2", "n3", "bare"}, id="no-terms"),
        pytest.param(_pod("a", affinity=_affinity(_term())), [(DB, "n0")], {"n0", "n1"}, id="the-zone-of-another"),
        pytest.param(_pod("a", affinity=_affinity(_term(HOST))), [(DB, "n0")], {"n0"}, id="the-node-of-another"),
        pytest.param(_pod("a", affinity=_affinity(_term())), [], set(), id="nobody-is-there"),
        pytest.param(
            _pod("a", labels={"app": "db"}, affinity=_affinity(_term())),
            [],
            {"n0", "n1", "n2", "n3"},
            id="the-first-of-its-kind-needs-only-the-label",
        ),
        pytest.param(
            _pod("a", labels={"app": "db"}, affinity=_affinity(_term())), [(DB, "n3")], {"n2", "n3"}, id="the-second"
        ),
        pytest.param(_pod("a", affinity=_affinity(_term())), [(DB, "bare")], set(), id="a-node-without-the-label"),
        pytest.param(
            _pod("a", affinity=_affinity(_term(), _term(labels={"tier": "x"}))),
            [(DB, "n0"), (_pod("x", labels={"tier": "x"}), "n1")],
            set(),
            id="one-pod-has-to-match-all-terms",
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(), _term(HOST, {"tier": "x"}))),
            [(_pod("x", labels={"app": "db", "tier": "x"}), "n1")],
            {"n1"},
            id="and-it-does",
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(), anti=True)), [(DB, "n0")], {"n2", "n3", "bare"}, id="away-from-a-zone"
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(), anti=True)),
            [(_pod("db", "other", {"app": "db"}), "n0")],
            {"n0", "n1", "n2", "n3", "bare"},
            id="pods-of-other-namespaces-are-others",
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(namespaces=["other"]), anti=True)),
            [(_pod("db", "other", {"app": "db"}), "n0"), (DB, "n2")],
            {"n2", "n3", "bare"},
            id="unless-they-are-named",
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(namespaceSelector={"matchLabels": {"team": "x"}}), anti=True)),
            [(_pod("db", "other", {"app": "db"}), "n0"), (DB, "n2")],
            {"n2", "n3", "bare"},
            id="or-chosen-by-labels",
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(namespaceSelector={}), anti=True)),
            [(_pod("db", "other", {"app": "db"}), "n0"), (DB, "n2")],
            {"bare"},
            id="or-all",
        ),
        pytest.param(
            _pod("a", labels=WEB),
            [(_pod("x", affinity=_affinity(_term(labels=WEB), anti=True)), "n0")],
            {"n2", "n3", "bare"},
            id="what-another-cannot-bear",
        ),
        pytest.param(
            _pod("a", labels={"app": "other"}),
            [(_pod("x", affinity=_affinity(_term(labels=WEB), anti=True)), "n0")],
            {"n0", "n1", "n2", "n3", "bare"},
            id="what-does-not-bother-it",
        ),
        pytest.param(
            _pod("a", labels={"app": "db", "rev": "2"}, affinity=_affinity(_term(matchLabelKeys=["rev"]), anti=True)),
            [(_pod("x", labels={"app": "db", "rev": "1"}), "n0"), (_pod("y", labels={"app": "db", "rev": "2"}), "n2")],
            {"n0", "n1", "bare"},
            id="match-label-keys",
        ),
        pytest.param(
            _pod(
                "a", labels={"app": "db", "rev": "2"}, affinity=_affinity(_term(mismatchLabelKeys=["rev"]), anti=True)
            ),
            [(_pod("x", labels={"app": "db", "rev": "1"}), "n0"), (_pod("y", labels={"app": "db", "rev": "2"}), "n2")],
            {"n2", "n3", "bare"},
            id="mismatch-label-keys",
        ),
    ],
)
def test_where_a_pod_may_go(pod: Pod, placed: list[tuple[Pod, str]], expected: set[str]) -> None:
    plugin = _plugin({"default": {}, "other": {"team": "x"}})
    assert _fitting(plugin, pod, _table(placed)) == expected


def test_reasons_are_upstreams_and_each_node_has_one() -> None:
    both = {**_affinity(_term()), **_affinity(_term(HOST, WEB), anti=True)}
    angry = _pod("angry", labels={"app": "db"}, affinity=_affinity(_term(HOST, {"app": "new"}), anti=True))
    table = _table([(angry, "n0"), (_pod("w", labels=WEB), "n1")])
    plugin, state = _plugin(), CycleState()
    pod = _pod("a", labels={"app": "new"}, affinity=both)
    plugin.pre_filter(state, pod, table)
    verdict = plugin.filter(state, pod, table)
    reasons = {reason: objects.named(table, rows) for reason, rows in verdict.reasons}
    assert reasons == {
        "node(s) didn't match pod affinity rules": {"n2", "n3", "bare"},
        "node(s) didn't match pod anti-affinity rules": {"n1"},
        "node(s) didn't satisfy existing pods anti-affinity rules": {"n0"},
    }
    assert verdict.unresolvable is not None
    assert objects.named(table, verdict.unresolvable) == {"n2", "n3", "bare"}


def _scores(plugin: InterPodAffinity, pod: Pod, table: NodeTable) -> dict[str, float]:
    state = CycleState()
    fits = table.all()
    if plugin.pre_score(state, pod, table, fits).code is Code.SKIP:
        return {}
    scores = plugin.normalize(state, plugin.score(state, pod, table), fits)
    return {table.names[row]: float(scores[row]) for row in range(table.size)}


@pytest.mark.parametrize(
    ("pod", "placed", "expected"),
    [
        pytest.param(_pod("a"), [(DB, "n0")], {}, id="nothing-to-say"),
        pytest.param(
            _pod("a", affinity=_affinity(_term(), weight=5)),
            [(DB, "n0")],
            {"n0": 100, "n1": 100, "n2": 0, "n3": 0, "bare": 0},
            id="drawn-to-a-zone",
        ),
        pytest.param(
            _pod("a", affinity=_affinity(_term(HOST), anti=True, weight=5)),
            [(DB, "n0")],
            {"n0": 0, "n1": 100, "n2": 100, "n3": 100, "bare": 100},
            id="away-from-a-node",
        ),
        pytest.param(
            _pod("a", labels=WEB),
            [(_pod("x", affinity=_affinity(_term(labels=WEB), weight=3)), "n2")],
            {"n0": 0, "n1": 0, "n2": 100, "n3": 100, "bare": 0},
            id="another-is-drawn-to-it",
        ),
        pytest.param(
            _pod("a", labels=WEB),
            [(_pod("x", affinity=_affinity(_term(labels=WEB))), "n2")],
            {"n0": 0, "n1": 0, "n2": 100, "n3": 100, "bare": 0},
            id="a-required-term-of-another-counts-a-little",
        ),
    ],
)
def test_where_a_pod_would_rather_be(pod: Pod, placed: list[tuple[Pod, str]], expected: dict[str, float]) -> None:
    assert _scores(_plugin(), pod, _table(placed)) == expected


def test_arguments_change_what_counts_for_scores() -> None:
    likes = _pod("x", affinity=_affinity(_term(labels=WEB)))
    assert _scores(_plugin(args={"hardPodAffinityWeight": 0}), _pod("a", labels=WEB), _table([(likes, "n2")])) == {}
    ignoring = _plugin(args={"ignorePreferredTermsOfExistingPods": True})
    prefers = _pod("x", affinity=_affinity(_term(labels=WEB), weight=3))
    assert _scores(ignoring, _pod("a", labels=WEB), _table([(prefers, "n2")])) == {}


# random clusters


class Naive:
    """The rules read out loud: one node, one pod, one term at a time."""

    def __init__(self, nodes: Sequence[Json], placed: Sequence[tuple[Pod, str]]) -> None:
        self.labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in nodes}
        self.placed = placed

    def fits(self, pod: Pod, node: str) -> bool:
        """Whether a node passes."""
        own = [term for term in pod.terms if term.required]
        affinity = [term for term in own if not term.anti]
        if affinity and not self._has_company(pod, affinity, node):
            return False
        if any(self._beside(term, [term], node) for term in own if term.anti):
            return False
        return not any(
            term.required and term.anti and _about(term, pod) and self._same_domain(term, where, node)
            for other, where in self.placed
            for term in other.terms
        )

    def score(self, pod: Pod, node: str) -> int:
        """The raw score."""
        total = 0
        for other, where in self.placed:
            for term in pod.terms:
                if not term.required and _about(term, other) and self._same_domain(term, where, node):
                    total += -term.weight if term.anti else term.weight
            for term in other.terms:
                if _about(term, pod) and self._same_domain(term, where, node):
                    if not term.required:
                        total += -term.weight if term.anti else term.weight
                    elif not term.anti:
                        total += 1
        return total

    def _has_company(self, pod: Pod, terms: list[Term], node: str) -> bool:
        if any(term.key not in self.labels[node] for term in terms):
            return False
        matching = [where for other, where in self.placed if all(_about(term, other) for term in terms)]
        anywhere = any(term.key in self.labels[where] for where in matching for term in terms)
        if not anywhere and all(_about(term, pod) for term in terms):
            return True
        return all(any(self._same_domain(term, where, node) for where in matching) for term in terms)

    def _beside(self, term: Term, terms: list[Term], node: str) -> bool:
        return any(_about(term, other) and self._same_domain(term, where, node) for other, where in self.placed)

    def _same_domain(self, term: Term, one: str, other: str) -> bool:
        value = self.labels[one].get(term.key)
        return value is not None and value == self.labels[other].get(term.key)


def _about(term: Term, pod: Pod) -> bool:
    return term.matches(pod.key.namespace, pod.labels, {})


def _random_pod(chance: random.Random, name: str) -> Pod:
    labels = {"app": chance.choice("abc"), "tier": chance.choice("xy")}
    affinity: Json = {}
    for anti in (False, True):
        terms = [
            _term(chance.choice((ZONE, HOST)), {chance.choice(("app", "tier")): chance.choice("abcxy")})
            for _ in range(chance.choice((0, 0, 0, 1, 2)))
        ]
        field = "podAntiAffinity" if anti else "podAffinity"
        hard = _affinity(*terms[:1], anti=anti)[field] if terms and chance.random() < 0.5 else {}
        soft = _affinity(*terms, anti=anti, weight=chance.randint(1, 9))[field] if terms else {}
        affinity[field] = {**hard, **soft}
    return _pod(name, chance.choice(("default", "other")), labels, affinity)


@pytest.mark.parametrize("seed", range(60))
def test_all_nodes_at_once_is_one_node_after_the_other(seed: int) -> None:
    chance = random.Random(seed)
    nodes = [
        objects.node(f"n{number}", labels={ZONE: f"z{chance.randrange(3)}"} if chance.random() < 0.8 else {})
        for number in range(chance.randint(1, 9))
    ]
    placed = [
        (_random_pod(chance, f"p{number}"), f"n{chance.randrange(len(nodes))}")
        for number in range(chance.randint(0, 12))
    ]
    table, plugin = _table(placed, nodes), _plugin()
    for number in range(4):  # later ones meet counts that are kept up to date
        pod = _random_pod(chance, f"new{number}")
        naive = Naive(nodes, placed)
        assert _fitting(plugin, pod, table) == {name for name in naive.labels if naive.fits(pod, name)}
        state = CycleState()
        if plugin.pre_score(state, pod, table, table.all()).code is not Code.SKIP:
            scores = plugin.score(state, pod, table)
            assert {table.names[row]: int(scores[row]) for row in range(table.size)} == {
                name: naive.score(pod, name) for name in naive.labels
            }
        where = f"n{chance.randrange(len(nodes))}"
        table.add_pod(pod, where)
        placed.append((pod, where))
        if chance.random() < 0.5:
            gone, place = placed.pop(0)
            table.remove_pod(gone, place)
    assert np.all(table.all())
