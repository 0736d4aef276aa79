"""Whether tolerations cover a taint: shared by the plugins that look at taints."""

from collections.abc import Iterable

from machinery.api.codec import Json


def is_tolerated(taint: tuple[str, str, str], tolerations: Iterable[Json]) -> bool:
    """Whether one of the tolerations covers a taint of key, value, effect (upstream: api/core/v1/toleration.go)."""
    return any(_covers(toleration, *taint) for toleration in tolerations)


def _covers(toleration: Json, key: str, value: str, effect: str) -> bool:
    if toleration.get("effect") and toleration["effect"] != effect:
        return False
    if toleration.get("key") and toleration["key"] != key:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return (toleration.get("value") or "") == value
        case "Lt" | "Gt" as operator:
            return _compares(operator, value, toleration.get("value") or "")
        case _:
            return False


def _compares(operator: str, taint: str, wanted: str) -> bool:
    """Numeric tolerations (KEP-5471): the taint's value is below or above the toleration's."""
    try:
        left, right = int(taint), int(wanted)
    except ValueError:
        return False
    return left < right if operator == "Lt" else left > right
