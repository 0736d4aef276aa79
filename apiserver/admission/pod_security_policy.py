"""What a namespace's labels say of pod security: a level and a version for enforcing, auditing and warning.

Upstream: k8s.io/pod-security-admission/api/helpers.go.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from machinery.api import errors
from machinery.api.errors import FieldError

LEVELS: Final = ("privileged", "baseline", "restricted")
MODES: Final = ("enforce", "audit", "warn")
_PREFIX: Final = "pod-security.kubernetes.io/"
_VERSION: Final = re.compile(r"v1\.(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class LevelVersion:
    """`restricted:v1.24`; `minor` None is `latest`."""

    level: str = "privileged"
    minor: int | None = None

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor is None else f'v1.{self.minor}'}"

    def is_stricter_than(self, other: "LevelVersion") -> bool:
        """By level alone."""
        return LEVELS.index(self.level) > LEVELS.index(other.level)


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to a pod: refused, written to the audit log, told to the client."""

    enforce: LevelVersion
    audit: LevelVersion
    warn: LevelVersion

    @property
    def allows_all(self) -> bool:
        """Whether no pod can violate it."""
        return all(part.level == "privileged" for part in (self.enforce, self.audit, self.warn))


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[FieldError]]:
    """The policy, and what is wrong with the labels: a bad level enforces `restricted` and warns of nothing.

    Where enforcing is asked and warning is not mentioned, what would be refused is warned of, too (in templates).
    """
    problems: list[FieldError] = []
    found = {mode: _read(labels, mode, problems) for mode in MODES}
    asks_to_enforce, asks_to_warn = f"{_PREFIX}enforce" in labels, f"{_PREFIX}warn" in labels
    if asks_to_enforce and not asks_to_warn and found["enforce"].is_stricter_than(found["warn"]):
        told = f"{_PREFIX}warn-version" in labels
        found["warn"] = LevelVersion(found["enforce"].level, found["warn" if told else "enforce"].minor)
    return Policy(found["enforce"], found["audit"], found["warn"]), problems


def _read(labels: Mapping[str, str], mode: str, problems: list[FieldError]) -> LevelVersion:
    key, version_key = f"{_PREFIX}{mode}", f"{_PREFIX}{mode}-version"
    level, version = labels.get(key, "privileged"), labels.get(version_key, "latest")
    if level not in LEVELS:
        problems.append(_problem(key, level, f"must be one of {', '.join(LEVELS)}"))
        level = "restricted" if mode == "enforce" else "privileged"
    named = _VERSION.fullmatch(version)
    if named is None and version != "latest":
        problems.append(_problem(version_key, version, 'must be "latest" or "v1.x"'))
    return LevelVersion(level, int(named[1]) if named else None)


def _problem(key: str, value: str, why: str) -> FieldError:
    return errors.invalid_value(f"metadata.labels[{key}]", value, why)
