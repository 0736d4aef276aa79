"""Whether a container that has ended runs again: by its rules, its own policy, its pod's. Pure readings of the dict.

Upstream: pkg/api/v1/pod/util.go, KEP-5307 (rules), KEP-5532 (RestartAllContainers).
"""

from itertools import chain
from typing import Final

from machinery.api import pods
from machinery.api.codec import Json

CONDITION: Final = "AllContainersRestarting"
_RESTART: Final = "Restart"
_RESTART_ALL: Final = "RestartAllContainers"


def policy_of(container: Json, pod: Json) -> str:
    """The container's own policy where it has one, else the pod's."""
    return container.get("restartPolicy") or (pod.get("spec") or {}).get("restartPolicy") or "Always"


def will_restart(container: Json, pod: Json, exit_code: int) -> bool:
    """The first rule that fits the exit code decides, else the policy (upstream: ContainerShouldRestart)."""
    if _action(container, exit_code) in (_RESTART, _RESTART_ALL):
        return True
    policy = policy_of(container, pod)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def restarts_all(container: Json, exit_code: int) -> bool:
    """Whether all containers of its pod begin anew when it ends so."""
    return _action(container, exit_code) == _RESTART_ALL


def may_restart_all(pod: Json) -> bool:
    """Whether some end of some container lets all begin anew (upstream: AllContainersCouldRestart)."""
    everyone = chain(pods.init_containers_of(pod), pods.containers_of(pod))
    return any(rule.get("action") == _RESTART_ALL for one in everyone for rule in one.get("restartPolicyRules") or ())


def _action(container: Json, exit_code: int) -> str:
    """What the first rule that fits says; rules without a policy of the container's own count for nothing."""
    rules = container.get("restartPolicyRules") or () if container.get("restartPolicy") else ()
    return next((rule.get("action") or "" for rule in rules if _fits(rule, exit_code)), "")


def _fits(rule: Json, exit_code: int) -> bool:
    codes = rule.get("exitCodes") or {}
    listed = exit_code in (codes.get("values") or ())
    return listed if codes.get("operator") == "In" else codes.get("operator") == "NotIn" and not listed
