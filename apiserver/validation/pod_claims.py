"""Claims on devices: those of a pod and those its containers name (upstream: validatePodResourceClaims)."""

from typing import Final

from apiserver.validation import fields
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SOURCES: Final = ("resourceClaimName", "resourceClaimTemplateName")
_BOTH: Final = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
_NEITHER: Final = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
_UNKNOWN: Final = "must be one of the names in pod.spec.resourceClaims"


def check(claims: list[Json], path: str) -> list[FieldError]:
    """Names of their own, each from a claim or from a template."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for claim, at in fields.each(claims, path):
        name = claim.get("name") or ""
        if not name:
            found.append(errors.required(f"{at}.name"))
        elif name in seen:
            found.append(errors.duplicate(f"{at}.name", name))
        else:
            found += fields.dns_label(name, f"{at}.name")
        seen.add(name)
        sources = [source for source in _SOURCES if claim.get(source) is not None]
        if len(sources) != 1:
            found.append(errors.invalid_value(at, claim, _BOTH if sources else _NEITHER))
        for source in sources:
            found += fields.satisfies(claim[source], f"{at}.{source}", names.is_dns_subdomain)
    return found


def named(claims: list[Json], of_pod: list[Json] | None, path: str) -> list[FieldError]:
    """Claims of the pod, or single requests of theirs, each once (upstream: validateResourceClaimNames)."""
    known = sorted({claim["name"] for claim in of_pod or () if claim.get("name")})
    found: list[FieldError] = []
    seen: dict[str, set[str]] = {}  # which requests of a claim were named; an empty one is all of them
    for claim, at in fields.each(claims, path):
        name, request = claim.get("name") or "", claim.get("request") or ""
        if not name:
            found.append(errors.required(at))
            continue
        found += _repeated(name, request, seen.setdefault(name, set()), at)
        if name not in known:
            text = f"{_UNKNOWN}: {', '.join(known)}" if known else f"{_UNKNOWN} which is empty"
            found.append(errors.not_found_value(at, name, text))
    return found


def _repeated(name: str, request: str, seen: set[str], path: str) -> list[FieldError]:
    if "" in seen:
        return [errors.duplicate(path, name)]
    found = fields.dns_label(request, f"{path}.request") if request else []
    if request in seen:
        found.append(errors.duplicate(path, f"{name}/{request}"))
    elif not request:
        found += [errors.duplicate(path, name) for _ in seen]
    seen.add(request)
    return found
