"""Extenders: processes that the scheduler asks over HTTP about nodes and scores, and may leave the binding to.

Upstream: pkg/scheduler/extender.go, k8s.io/kube-scheduler/extender/v1.

Theory of operation
-------------------
An attempt to place a pod never gives way between its first filter and `assume`: the table is its snapshot. Extenders
take their time, so they are asked before: with the nodes that fit at that moment. What they say is an `Opinion`, and
the attempt is then made on the table as it is by then, with the opinion as one more filter and one more score. A node
that has come to fit meanwhile was not asked about and waits for the next attempt; one that fits no more is out.

Who takes a pod's place is asked after the attempt: with all candidates for preemption that were found, with their
victims. The best of those that are left is nominated, if the pod still waits by then.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from machinery.api import codec, lazy, meta
from machinery.api.codec import Json
from scheduler.config import ExtenderConfig
from scheduler.framework import MAX_SCORE, OK, Code, Opinion, Status
from scheduler.pods import Pod
from scheduler.preemption import Candidate, by_importance

logger = logging.getLogger(__name__)

MOST: Final = 10.0  # an extender's best score
#: the pods of a node, none of one that is not there
PodsOn = Callable[[str], Iterable[Pod]]


class ExtenderProblem(Exception):
    """An extender that must be heard cannot be, or says that something is wrong."""


class Poster(Protocol):
    """A connection to an extender; `extender_http` has those that are used."""

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to JSON; raises OSError."""


@dataclass
class Extender:
    """One of them. `http` is given by `Extenders` while it runs."""

    config: ExtenderConfig
    http: Poster | None = None
    _managed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._managed = frozenset(one.name for one in self.config.managed_resources)

    def is_interested(self, pod: Pod) -> bool:
        """Whether a pod asks for what the extender manages; one that manages nothing in particular takes all."""
        return not self._managed or any(self._managed.intersection(_resources(one)) for one in _containers(pod))

    async def filter(self, pod: Pod, nodes: Sequence[Json], opinion: Opinion) -> Opinion:
        """The opinion with the nodes that the extender lets pass; raises ExtenderProblem."""
        answer = await self._send(self.config.filter_verb, self._arguments(pod, nodes))
        if answer.get("error"):
            raise ExtenderProblem(str(answer["error"]))
        with self._reading():
            passed, refused, hopeless = self._passed(answer), *_reasons(answer)
        asked = {meta.name_of(node) for node in nodes}
        if foreign := passed - asked:
            url, name = self.config.url_prefix, min(foreign)
            text = f'extender "{url}" claims a filtered node "{name}" which is not found in the input node list'
            raise ExtenderProblem(text)
        refused = {**opinion.refused, **refused, **hopeless}
        return replace(opinion, fits=passed, refused=refused, hopeless={*opinion.hopeless, *hopeless})

    def _passed(self, answer: Json) -> frozenset[str]:
        if self.config.node_cache_capable and answer.get("nodenames") is not None:
            return frozenset(answer["nodenames"])
        items = (_lowered(answer.get("nodes") or {})).get("items") or ()
        return frozenset(meta.name_of(node) for node in items)

    async def prioritize(self, pod: Pod, nodes: Sequence[Json]) -> Mapping[str, float]:
        """Scores to add, by node; raises ExtenderProblem."""
        answer = await self._send(self.config.prioritize_verb, self._arguments(pod, nodes))
        scale = self.config.weight * MAX_SCORE / MOST
        with self._reading():
            listed = [_lowered(one) for one in answer.get("") or ()]
            return {one.get("host") or "": float(one.get("score") or 0) * scale for one in listed}

    async def bind(self, pod: Pod, node: str) -> Status:
        """Leave the binding to the extender."""
        key = pod.key
        arguments = {"PodName": key.name, "PodNamespace": key.namespace, "PodUID": pod.uid, "Node": node}
        try:
            answer = await self._send(self.config.bind_verb, arguments)
        except ExtenderProblem as problem:
            return Status(Code.ERROR, (str(problem),))
        return Status(Code.ERROR, (str(answer["error"]),)) if answer.get("error") else OK

    async def preempt(self, pod: Pod, candidates: Sequence[Candidate], pods_on: PodsOn) -> list[Candidate]:
        """The nodes that the extender agrees to, with the victims that it names; raises ExtenderProblem."""
        kind = "NodeNameToMetaVictims" if self.config.node_cache_capable else "NodeNameToVictims"
        shown = {one.node: self._shown(one) for one in candidates}
        answer = await self._send(self.config.preempt_verb, {"Pod": pod.obj, kind: shown})
        known = {(one.node, victim.uid): victim for one in candidates for victim in one.victims}
        agreed = []
        with self._reading():
            told = [(node, _victims(one)) for node, one in (answer.get("nodenametometavictims") or {}).items()]
        for node, (uids, broken) in told:
            known |= {(node, other.uid): other for other in pods_on(node)}
            found = self._agreed(node, uids, broken, known)
            if found.victims:
                agreed.append(found)
            elif not self.config.ignorable:
                raise ExtenderProblem(f'expected at least one victim pod on node "{node}"')
        return agreed

    def _shown(self, candidate: Candidate) -> Json:
        if self.config.node_cache_capable:
            pods = [{"UID": victim.uid} for victim in candidate.victims]
        else:
            pods = [victim.obj for victim in candidate.victims]
        return {"Pods": pods, "NumPDBViolations": candidate.broken_budgets}

    def _agreed(self, node: str, uids: Sequence[str], broken: int, known: Mapping[tuple[str, str], Pod]) -> Candidate:
        """Any pods of the node may be named (upstream: extender.go, convertPodUIDToPod)."""
        for uid in uids:
            if (node, uid) not in known:
                raise ExtenderProblem(
                    f"extender: {self.config.url_prefix} claims to preempt pod (UID: {uid}) on node: {node}, "
                    "but the pod is not found on that node"
                )
        chosen = by_importance(known[node, uid] for uid in uids)
        return Candidate(node, tuple(chosen), broken)

    def _arguments(self, pod: Pod, nodes: Sequence[Json]) -> Json:
        if self.config.node_cache_capable:
            return {"Pod": pod.obj, "Nodes": None, "NodeNames": [meta.name_of(node) for node in nodes]}
        return {"Pod": pod.obj, "Nodes": {"metadata": {}, "items": list(nodes)}, "NodeNames": None}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What is in an answer is of any form: somebody else's code has made it."""
        try:
            yield
        except (AttributeError, TypeError, ValueError) as problem:
            text = f"cannot read the answer of extender {self.config.url_prefix}: {problem}"
            raise ExtenderProblem(text) from problem

    async def _send(self, verb: str, arguments: Json) -> Json:
        """The answer with its fields in lower case, as Go reads them; a list stands under an empty name."""
        if self.http is None:
            raise ExtenderProblem(f"extender {self.config.url_prefix} is not connected")
        url = f"{self.config.url_prefix.rstrip('/')}/{verb}"
        try:
            status, content = await self.http.post(url, codec.dumps(arguments))
            if status != 200:
                raise ExtenderProblem(f"failed {verb} with extender at URL {url}, code {status}")
            answer = codec.loads(content)
        except OSError as problem:
            raise ExtenderProblem(f'Post "{url}": {problem}') from problem
        except ValueError as problem:
            raise ExtenderProblem(f"extender at URL {url}: {problem}") from problem
        return {"": answer} if isinstance(answer, list) else _lowered(answer or {})


class Extenders:
    """All of a configuration; an async context manager.

    If they are `blocking`, nothing else runs while one is asked: how long its answer takes changes no order of events.
    """

    def __init__(self, configs: Sequence[ExtenderConfig], *, blocking: bool = False) -> None:
        self._all = [Extender(config) for config in configs]
        self._blocking = blocking
        self._stack = AsyncExitStack()

    def __bool__(self) -> bool:
        return bool(self._all)

    async def __aenter__(self) -> "Extenders":
        for one in self._all:
            http = lazy.load("scheduler.extender_http")  # few schedulers have extenders
            one.http = await self._stack.enter_async_context(http.connected(one.config, blocking=self._blocking))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ask(self, pod: Pod, nodes: Sequence[Json]) -> Opinion:
        """What they say of the nodes that fit; raises ExtenderProblem."""
        opinion = Opinion(frozenset(meta.name_of(node) for node in nodes))
        interested = [one for one in self._all if one.is_interested(pod)]
        for one in interested:
            left = [node for node in nodes if meta.name_of(node) in opinion.fits]
            if one.config.filter_verb and left:
                opinion = await self._filtered(one, pod, left, opinion)
        left = [node for node in nodes if meta.name_of(node) in opinion.fits]
        for one in interested:
            if one.config.prioritize_verb and len(left) > 1:
                opinion = replace(opinion, scores=_added(opinion.scores, await self._scores(one, pod, left)))
        return opinion

    async def _filtered(self, one: Extender, pod: Pod, nodes: Sequence[Json], opinion: Opinion) -> Opinion:
        try:
            return await one.filter(pod, nodes, opinion)
        except ExtenderProblem as problem:
            if not one.config.ignorable:
                raise
            logger.warning(
                "skipping extender %s as it returned error and is ignorable: %s", one.config.url_prefix, problem
            )
            return opinion

    async def _scores(self, one: Extender, pod: Pod, nodes: Sequence[Json]) -> Mapping[str, float]:
        try:
            return await one.prioritize(pod, nodes)
        except ExtenderProblem as problem:  # upstream too: the other scores decide
            logger.warning("no scores from extender %s: %s", one.config.url_prefix, problem)
            return {}

    def binder(self, pod: Pod) -> Extender | None:
        """Who binds a pod instead of the Bind plugins."""
        return next((one for one in self._all if one.config.bind_verb and one.is_interested(pod)), None)

    async def preempt(self, pod: Pod, candidates: Sequence[Candidate], pods_on: PodsOn) -> Sequence[Candidate]:
        """What all who have a say leave of the candidates (upstream: preemption.go, callExtenders).

        Raises ExtenderProblem.
        """
        for one in self._all:
            if not candidates or not one.config.preempt_verb or not one.is_interested(pod):
                continue
            try:
                candidates = await one.preempt(pod, candidates, pods_on)
            except ExtenderProblem as problem:
                if not one.config.ignorable:
                    raise
                logger.warning("skipping extender %s, which is ignorable: %s", one.config.url_prefix, problem)
        return candidates


def _containers(pod: Pod) -> list[Json]:
    return [*(pod.spec.get("containers") or ()), *(pod.spec.get("initContainers") or ())]


def _resources(container: Json) -> set[str]:
    resources = container.get("resources") or {}
    return {name for part in ("requests", "limits") for name in resources.get(part) or ()}


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {*one, *other}}


def _reasons(answer: Json) -> tuple[dict[str, str], dict[str, str]]:
    """Of nodes that do not pass, by name; the second are of those that no preemption helps."""
    return {**(answer.get("failednodes") or {})}, {**(answer.get("failedandunresolvablenodes") or {})}


def _victims(obj: Any) -> tuple[list[str], int]:
    """Their uids, and how many budgets that breaks."""
    victims = _lowered(obj)
    uids = [str(_lowered(one).get("uid") or "") for one in victims.get("pods") or ()]
    return uids, int(victims.get("numpdbviolations") or 0)


def _lowered(obj: Any) -> Json:
    return {key.lower(): value for key, value in obj.items()} if isinstance(obj, dict) else {}
