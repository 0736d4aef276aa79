"""What a namespace may use: ResourceQuotas and LimitRanges, alone and as a part of their namespace."""

from collections.abc import Iterator
from typing import Final

from kubectl.describe.surroundings import Describer, Need, Surroundings
from machinery.api import kinds, meta
from machinery.api.codec import Json

_LIMIT_TITLES: Final = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio"
_LIMIT_RULES: Final = "----\t--------\t---\t---\t---------------\t-------------\t-----------------------"
_LIMIT_FIELDS: Final = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")
_SCOPES: Final = {
    "Terminating": "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before"
    " being actively terminated by the system.",
    "NotTerminating": "Matches all pods that do not have an active deadline. These pods usually include long running"
    " pods whose container command is not expected to terminate.",
    "BestEffort": "Matches all pods that do not have resource requirements set. These pods have a best effort quality"
    " of service.",
    "NotBestEffort": "Matches all pods that have at least one resource requirement set. These pods have a burstable or"
    " guaranteed quality of service.",
}


def needs_of_namespace(obj: Json) -> list[Need]:
    """The quotas and limit ranges in a namespace."""
    name = meta.name_of(obj)
    return [Need("quotas", kinds.RESOURCE_QUOTAS, namespace=name), Need("limits", kinds.LIMIT_RANGES, namespace=name)]


def of_namespace(found: Surroundings) -> Iterator[str]:
    """Both, as `describe namespace` ends."""
    yield ""
    yield from _quotas(found.related["quotas"])
    yield ""
    yield from _limit_ranges(found.related["limits"])


def _quotas(quotas: list[Json]) -> Iterator[str]:
    if not quotas:
        yield "No resource quota."
        return
    yield "Resource Quotas"
    for quota in sorted(quotas, key=meta.name_of):
        yield from (f"  {line}" for line in (f"Name:\t{meta.name_of(quota)}", *_quota(quota, rule="---", bullet="*")))


def _quota(quota: Json, *, rule: str, bullet: str) -> Iterator[str]:
    status: Json = quota.get("status") or {}
    scopes = sorted((quota.get("spec") or {}).get("scopes") or ())
    if scopes:
        yield f"Scopes:\t{', '.join(scopes)}"
        yield from (f"{bullet} {_SCOPES[scope]}" for scope in scopes if scope in _SCOPES)
    yield "Resource\tUsed\tHard"
    yield f"--------\t{rule}\t{rule}"
    used = status.get("used") or {}
    for resource, hard in sorted((status.get("hard") or {}).items()):
        yield f"{resource}\t{used.get(resource, '0')}\t{hard}"


def _limit_ranges(ranges: list[Json]) -> Iterator[str]:
    if not ranges:
        yield "No LimitRange resource."
        return
    yield from ("Resource Limits", f" {_LIMIT_TITLES}", f" {_LIMIT_RULES}")
    for one in ranges:
        yield from (f" {line}" for line in _limits(one))


def _limits(limit_range: Json) -> Iterator[str]:
    for limit in (limit_range.get("spec") or {}).get("limits") or ():
        values = [limit.get(field) or {} for field in _LIMIT_FIELDS]
        for resource in sorted({name for value in values for name in value}):
            columns = "\t".join(str(value.get(resource, "-")) for value in values)
            yield f"{limit.get('type')}\t{resource}\t{columns}"


def resource_quota(found: Surroundings) -> Iterator[str]:
    """What is used of what may be."""
    obj = found.object
    yield from (f"Name:\t{meta.name_of(obj)}", f"Namespace:\t{meta.namespace_of(obj)}")
    yield from _quota(obj, rule="----", bullet=" *")


def limit_range(found: Surroundings) -> Iterator[str]:
    """A line for each kind of object and resource."""
    obj = found.object
    yield from (f"Name:\t{meta.name_of(obj)}", f"Namespace:\t{meta.namespace_of(obj)}", _LIMIT_TITLES, _LIMIT_RULES)
    yield from _limits(obj)


RESOURCE_QUOTA: Final = Describer(resource_quota, has_events=False)
LIMIT_RANGE: Final = Describer(limit_range, has_events=False)
