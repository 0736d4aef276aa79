"""What a namespace's labels say of pod security: a level and a version for enforcing, auditing and warning.

Upstream: k8s.io/pod-security-admission/api/helpers.go.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from machinery.api import errors
from machinery.api.codec import Json
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

    @property
    def version(self) -> str:
        """`latest` or `v1.24`."""
        return "latest" if self.minor is None else f"v1.{self.minor}"

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    def is_stricter_than(self, other: "LevelVersion") -> bool:
        """By level alone."""
        return LEVELS.index(self.level) > LEVELS.index(other.level)


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to a pod: refused, written to the audit log, told to the client."""

    enforce: LevelVersion
    audit: LevelVersion
    warn: LevelVersion

    def __str__(self) -> str:
        return ", ".join(f"{mode}={getattr(self, mode)}" for mode in MODES if getattr(self, mode) != LevelVersion())

    @property
    def allows_all(self) -> bool:
        """Whether no pod can violate it."""
        return all(part.level == "privileged" for part in (self.enforce, self.audit, self.warn))


PRIVILEGED: Final = Policy(LevelVersion(), LevelVersion(), LevelVersion())


@dataclass(frozen=True, slots=True)
class Configuration:
    """The plugin's own: what counts where a namespace has no labels, and whom nothing of it concerns."""

    defaults: Policy = PRIVILEGED
    users: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


def configuration_of(config: Json) -> Configuration:
    """A PodSecurityConfiguration (pod-security.admission.config.k8s.io/v1); raises ValueError."""
    given, exempt = config.get("defaults") or {}, config.get("exemptions") or {}
    labels = {f"{_PREFIX}{name}": str(value) for name, value in given.items()}
    problems: list[FieldError] = []
    found = {mode: _read(labels, mode, LevelVersion(), problems) for mode in MODES}
    if problems:
        raise ValueError(
            ", ".join(problem.message().replace(f"metadata.labels[{_PREFIX}", "defaults[") for problem in problems)
        )
    return Configuration(
        Policy(found["enforce"], found["audit"], found["warn"]),
        frozenset(exempt.get("usernames") or ()),
        frozenset(exempt.get("namespaces") or ()),
        frozenset(exempt.get("runtimeClasses") or ()),
    )


def policy_of(labels: Mapping[str, str], defaults: Policy = PRIVILEGED) -> tuple[Policy, list[FieldError]]:
    """The policy, and what is wrong with the labels: a bad level enforces `restricted` and warns of nothing.

    Where enforcing is asked and warning is not mentioned, what would be refused is warned of, too (in templates).
    """
    problems: list[FieldError] = []
    found = {mode: _read(labels, mode, getattr(defaults, mode), problems) for mode in MODES}
    asks_to_enforce, asks_to_warn = f"{_PREFIX}enforce" in labels, f"{_PREFIX}warn" in labels
    if asks_to_enforce and not asks_to_warn and found["enforce"].is_stricter_than(found["warn"]):
        told = f"{_PREFIX}warn-version" in labels
        found["warn"] = LevelVersion(found["enforce"].level, found["warn" if told else "enforce"].minor)
    return Policy(found["enforce"], found["audit"], found["warn"]), problems


def _read(labels: Mapping[str, str], mode: str, default: LevelVersion, problems: list[FieldError]) -> LevelVersion:
    key, version_key = f"{_PREFIX}{mode}", f"{_PREFIX}{mode}-version"
    level, version = labels.get(key, default.level), labels.get(version_key, default.version)
    if level not in LEVELS:
        problems.append(_problem(key, level, f"must be one of {', '.join(LEVELS)}"))
        level = "restricted" if mode == "enforce" else "privileged"
    named = _VERSION.fullmatch(version)
    if named is None and version != "latest":
        problems.append(_problem(version_key, version, 'must be "latest" or "v1.x"'))
    return LevelVersion(level, int(named[1]) if named else None)


def _problem(key: str, value: str, why: str) -> FieldError:
    return errors.invalid_value(f"metadata.labels[{key}]", value, why)
