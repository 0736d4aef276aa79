"""LimitRanger: containers get a namespace's default requests and limits; pods and claims keep to its bounds.

Upstream: plugin/pkg/admission/limitranger/admission.go.
"""

from collections.abc import Iterator
from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, meta, pods, quantity
from machinery.api.codec import Json

_ANNOTATION: Final = "kubernetes.io/limit-ranger"
_LISTS: Final = (("containers", "container"), ("initContainers", "init container"))


class LimitRanger(Plugin):
    """Pods are judged once, on create, claims whenever they change: what a LimitRange forbids later may stay."""

    name = "LimitRanger"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Fill in what containers leave out, and say so in an annotation."""
        pod = attributes.obj
        if pod is None or not attributes.is_for(kinds.PODS, Operation.CREATE):
            return
        told: list[str] = []
        for limit in _limits(reader, attributes.namespace):
            if limit.get("type") == "Container":
                told += _fill(pod.get("spec") or {}, limit)
        if told:
            annotations = pod["metadata"].setdefault("annotations", {})
            annotations[_ANNOTATION] = f"LimitRanger plugin set: {'; '.join(told)}"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden with all that is out of bounds."""
        obj = attributes.obj
        if obj is None:
            return
        found: list[str] = []
        if attributes.is_for(kinds.PODS, Operation.CREATE):
            for limit in _limits(reader, attributes.namespace):
                found += _of_pod(obj, limit)
        elif attributes.is_for(kinds.PERSISTENT_VOLUME_CLAIMS, Operation.CREATE, Operation.UPDATE):
            asked = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
            for limit in _limits(reader, attributes.namespace):
                if limit.get("type") == "PersistentVolumeClaim":
                    found += _of_claim(asked, limit)
        if found:
            raise attributes.forbidden(found[0] if len(found) == 1 else f"[{', '.join(found)}]")


def _limits(reader: Reader, namespace: str) -> Iterator[Json]:
    for limit_range in reader.all(kinds.LIMIT_RANGES):
        if meta.namespace_of(limit_range) == namespace:
            yield from (limit_range.get("spec") or {}).get("limits") or ()


def _fill(spec: Json, limit: Json) -> list[str]:
    told: list[str] = []
    for field, what in _LISTS:
        for container in spec.get(field) or ():
            for part, values in (("requests", limit.get("defaultRequest")), ("limits", limit.get("default"))):
                added = _add(container, part, values or {})
                if added:
                    told.append(f"{', '.join(added)} {part[:-1]} for {what} {container.get('name')}")
    return told


def _add(container: Json, part: str, values: Json) -> list[str]:
    there = (container.get("resources") or {}).get(part) or {}
    added = sorted(values.keys() - there.keys())
    if added:
        resources = container.setdefault("resources", {})
        resources[part] = {**there, **{name: values[name] for name in added}}
    return added


def _of_pod(pod: Json, limit: Json) -> Iterator[str]:
    if limit.get("type") == "Container":
        for container in (*pods.init_containers_of(pod), *pods.containers_of(pod)):
            resources = container.get("resources") or {}
            yield from _bounds(resources.get("requests") or {}, resources.get("limits") or {}, limit)
    elif limit.get("type") == "Pod":
        yield from _bounds(_total(pod, "requests"), _total(pod, "limits"), limit)


def _total(pod: Json, part: str) -> Json:
    """What the containers ask together, as texts."""
    return {name: _text(value, name) for name, value in pods.total_of_containers(pod, part).items()}


def _text(value: int, name: str) -> str:
    return quantity.canonical(f"{value}m" if name == "cpu" else value)


def _bounds(requests: Json, limits: Json, limit: Json) -> Iterator[str]:
    of = limit.get("type")
    for name, least in sorted((limit.get("min") or {}).items()):
        yield from _at_least(name, f"minimum {name} usage per {of} is {least}", requests, limits, least)
    for name, most in sorted((limit.get("max") or {}).items()):
        yield from _at_most(name, f"maximum {name} usage per {of} is {most}", requests, limits, most)
    for name, ratio in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        text = f"{name} max limit to request ratio per {of} is {ratio}"
        yield from _ratio(text, requests.get(name), limits.get(name), ratio)


def _at_least(name: str, text: str, requests: Json, limits: Json, least: str) -> Iterator[str]:
    bound = quantity.parse(least)
    if name not in requests:
        yield f"{text}.  No request is specified"
    elif quantity.parse(requests[name]) < bound:
        yield f"{text}, but request is {requests[name]}"
    elif name in limits and quantity.parse(limits[name]) < bound:
        yield f"{text}, but limit is {limits[name]}"


def _at_most(name: str, text: str, requests: Json, limits: Json, most: str) -> Iterator[str]:
    bound = quantity.parse(most)
    if name not in limits:
        yield f"{text}.  No limit is specified"
    elif quantity.parse(limits[name]) > bound:
        yield f"{text}, but limit is {limits[name]}"
    elif name in requests and quantity.parse(requests[name]) > bound:
        yield f"{text}, but request is {requests[name]}"


def _ratio(text: str, request: str | None, limit: str | None, most: str) -> Iterator[str]:
    if not request or not quantity.parse(request):
        yield f"{text}, but no request is specified or request is 0"
    elif not limit or not quantity.parse(limit):
        yield f"{text}, but no limit is specified or limit is 0"
    elif (ratio := quantity.parse(limit) / quantity.parse(request)) > quantity.parse(most):
        yield f"{text}, but provided ratio is {float(ratio):f}"


def _of_claim(asked: Json, limit: Json) -> Iterator[str]:
    for name, least in sorted((limit.get("min") or {}).items()):
        text = f"minimum {name} usage per PersistentVolumeClaim is {least}"
        yield from _at_least(name, text, asked, {}, least)
    for name, most in sorted((limit.get("max") or {}).items()):
        text = f"maximum {name} usage per PersistentVolumeClaim is {most}"
        if name not in asked:
            yield f"{text}.  No request is specified"
        elif quantity.parse(asked[name]) > quantity.parse(most):
            yield f"{text}, but request is {asked[name]}"
