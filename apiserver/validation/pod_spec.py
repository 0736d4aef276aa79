"""The spec of a Pod or of a template."""

from machinery.api.codec import Json
from machinery.api.errors import FieldError


def check(spec: Json, path: str) -> list[FieldError]:
    """All checks of a pod spec."""
    return []
