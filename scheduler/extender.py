"""Extenders: processes that the scheduler asks over HTTP about nodes and scores, and may leave the binding to.

Upstream: pkg/scheduler/extender.go, k8s.io/kube-scheduler/extender/v1.

Theory of operation
-------------------
An attempt to place a pod never gives way between its first filter and `assume`: the table is its snapshot. Extenders
take their time, so they are asked before: with the nodes that fit at that moment. What they say is an `Opinion`, and
the attempt is then made on the table as it is by then, with the opinion as one more filter and one more score. A node
that has come to fit meanwhile was not asked about and waits for the next attempt; one that fits no more is out.

What differs from upstream: only the best candidate for preemption is shown to extenders, not all.
"""

import base64
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx

from machinery.api import codec, meta, times
from machinery.api.codec import Json
from machinery.client.config import ClientConfig
from scheduler.config import ExtenderConfig
from scheduler.framework import MAX_SCORE, OK, Code, Nomination, Opinion, Status
from scheduler.pods import Pod

logger = logging.getLogger(__name__)

MOST: Final = 10.0  # an extender's best score


class ExtenderProblem(Exception):
    """An extender that must be heard cannot be, or says that something is wrong."""


@dataclass
class Extender:
    """One of them. `http` is given by `Extenders` while it runs."""

    config: ExtenderConfig
    http: httpx.AsyncClient | None = None
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
        asked = {meta.name_of(node) for node in nodes}
        passed = self._passed(answer)
        if foreign := passed - asked:
            url, name = self.config.url_prefix, min(foreign)
            text = f'extender "{url}" claims a filtered node "{name}" which is not found in the input node list'
            raise ExtenderProblem(text)
        refused = {**opinion.refused, **(answer.get("failednodes") or {})}
        hopeless = answer.get("failedandunresolvablenodes") or {}
        return replace(opinion, fits=passed, refused={**refused, **hopeless}, hopeless={*opinion.hopeless, *hopeless})

    def _passed(self, answer: Json) -> frozenset[str]:
        if self.config.node_cache_capable and answer.get("nodenames") is not None:
            return frozenset(answer["nodenames"])
        items = (_lowered(answer.get("nodes") or {})).get("items") or ()
        return frozenset(meta.name_of(node) for node in items)

    async def prioritize(self, pod: Pod, nodes: Sequence[Json]) -> Mapping[str, float]:
        """Scores to add, by node; raises ExtenderProblem."""
        answer = await self._send(self.config.prioritize_verb, self._arguments(pod, nodes))
        scale = self.config.weight * MAX_SCORE / MOST
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

    async def preempt(self, pod: Pod, nomination: Nomination) -> Nomination | None:
        """The nomination with the victims that the extender agrees to, None if it does not; raises ExtenderProblem."""
        uids = [{"UID": victim.uid} for victim in nomination.victims]
        if self.config.node_cache_capable:
            shown: Json = {"NodeNameToMetaVictims": {nomination.node: {"Pods": uids, "NumPDBViolations": 0}}}
        else:
            victims = [victim.obj for victim in nomination.victims]
            shown = {"NodeNameToVictims": {nomination.node: {"Pods": victims, "NumPDBViolations": 0}}}
        answer = await self._send(self.config.preempt_verb, {"Pod": pod.obj, **shown})
        agreed = (answer.get("nodenametometavictims") or {}).get(nomination.node)
        if agreed is None:
            return None
        wanted = {_lowered(one).get("uid") for one in _lowered(agreed).get("pods") or ()}
        return replace(nomination, victims=tuple(one for one in nomination.victims if one.uid in wanted))

    def _arguments(self, pod: Pod, nodes: Sequence[Json]) -> Json:
        if self.config.node_cache_capable:
            return {"Pod": pod.obj, "Nodes": None, "NodeNames": [meta.name_of(node) for node in nodes]}
        return {"Pod": pod.obj, "Nodes": {"metadata": {}, "items": list(nodes)}, "NodeNames": None}

    async def _send(self, verb: str, arguments: Json) -> Json:
        """The answer with its fields in lower case, as Go reads them; a list stands under an empty name."""
        if self.http is None:
            raise ExtenderProblem(f"extender {self.config.url_prefix} is not connected")
        url = f"{self.config.url_prefix.rstrip('/')}/{verb}"
        body, headers = codec.dumps(arguments), {"content-type": "application/json"}
        try:
            response = await self.http.post(url, content=body, headers=headers)
            if response.status_code != 200:
                text = f"failed {verb} with extender at URL {url}, code {response.status_code}"
                raise ExtenderProblem(text)
            answer = codec.loads(response.content)
        except httpx.HTTPError as problem:
            raise ExtenderProblem(f'Post "{url}": {problem or type(problem).__name__}') from problem
        except ValueError as problem:
            raise ExtenderProblem(f"extender at URL {url}: {problem}") from problem
        return {"": answer} if isinstance(answer, list) else _lowered(answer or {})


class Extenders:
    """All of a configuration; an async context manager."""

    def __init__(self, configs: Sequence[ExtenderConfig]) -> None:
        self._all = [Extender(config) for config in configs]
        self._stack = AsyncExitStack()

    def __bool__(self) -> bool:
        return bool(self._all)

    async def __aenter__(self) -> "Extenders":
        for one in self._all:
            one.http = await self._stack.enter_async_context(_client(one.config))
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

    async def preempt(self, pod: Pod, nomination: Nomination | None) -> Nomination | None:
        """The nomination that all who have a say agree to; raises ExtenderProblem."""
        for one in self._all:
            if nomination is None or not one.config.preempt_verb or not one.is_interested(pod):
                continue
            try:
                nomination = await one.preempt(pod, nomination)
            except ExtenderProblem:
                if not one.config.ignorable:
                    raise
        return nomination


def _client(config: ExtenderConfig) -> httpx.AsyncClient:
    tls, url = config.tls_config, config.url_prefix
    ca = _material(tls.ca_data, tls.ca_file)
    settings = ClientConfig(
        server="https://" if config.enable_https or url.startswith("https") else url,
        ca=ca,
        certificate=_material(tls.cert_data, tls.cert_file),
        key=_material(tls.key_data, tls.key_file),
        insecure=tls.insecure or not ca,  # upstream's rule: without a CA nothing is verified
    )
    context = settings.ssl_context()
    timeout = times.duration(config.http_timeout) or 5.0
    return httpx.AsyncClient(verify=context if context is not None else False, timeout=timeout, trust_env=False)


def _material(data: str, path: str) -> bytes:
    if data:
        return base64.b64decode(data)
    return Path(path).read_bytes() if path else b""


def _containers(pod: Pod) -> list[Json]:
    return [*(pod.spec.get("containers") or ()), *(pod.spec.get("initContainers") or ())]


def _resources(container: Json) -> set[str]:
    resources = container.get("resources") or {}
    return {name for part in ("requests", "limits") for name in resources.get(part) or ()}


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {*one, *other}}


def _lowered(obj: Any) -> Json:
    return {key.lower(): value for key, value in obj.items()} if isinstance(obj, dict) else {}
