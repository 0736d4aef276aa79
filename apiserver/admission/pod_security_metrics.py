"""How often pod security was evaluated and what came of it, under upstream's names. Who evaluates is `pod_security`.

Upstream: k8s.io/pod-security-admission/metrics/metrics.go.
"""

from typing import Final

from prometheus_client import Counter

from apiserver.admission.attributes import Attributes
from apiserver.admission.pod_security_policy import LevelVersion
from apiserver.version import MINOR
from machinery.api import kinds

_REQUEST: Final = ("request_operation", "resource", "subresource")
_EVALUATIONS: Final = Counter(
    "pod_security_evaluations_total",
    "Evaluations of a policy; requests that were ignored or exempt are left out.",
    ("decision", "policy_level", "policy_version", "mode", *_REQUEST),
)
_EXEMPTIONS: Final = Counter("pod_security_exemptions_total", "Requests that were exempt.", _REQUEST)
_ERRORS: Final = Counter(
    "pod_security_errors_total",
    "Errors in the way of an evaluation; after one that is not fatal the restricted level may have been evaluated.",
    ("fatal", *_REQUEST),
)
#: what upstream shows from the start, before anything was counted
for _operation in ("create", "update"):
    _EVALUATIONS.labels("allow", "privileged", "latest", "enforce", _operation, "pod", "")
    for _resource in ("pod", "controller"):
        _EXEMPTIONS.labels(_operation, _resource, "")


def evaluated(attributes: Attributes, mode: str, policy: LevelVersion, *, allowed: bool) -> None:
    """One policy was held against a pod or a template."""
    decision = "allow" if allowed else "deny"
    _EVALUATIONS.labels(decision, policy.level, _version(policy), mode, *_request(attributes)).inc()


def exempted(attributes: Attributes) -> None:
    """Nobody looked: the configuration says so."""
    _EXEMPTIONS.labels(*_request(attributes)).inc()


def failed(attributes: Attributes) -> None:
    """The labels of the namespace could not be read; what was evaluated is a guess on the safe side."""
    _ERRORS.labels("false", *_request(attributes)).inc()


def _version(policy: LevelVersion) -> str:
    if policy.level == "privileged" or policy.minor is None:
        return "latest"
    return policy.version if policy.minor <= int(MINOR) else "future"


def _request(attributes: Attributes) -> tuple[str, str, str]:
    resource = "pod" if attributes.kind == kinds.PODS else "controller"
    return attributes.operation.value.lower(), resource, attributes.subresource
