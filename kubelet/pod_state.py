"""★ The life of a pod on its node, as a table. What is done in each state is `pod_workers`'.

Theory of operation. A pod lives through four states and never goes back:

    SYNCING      containers are started, restarted and watched, again and again, until somebody asks to stop
    TERMINATING  containers are being stopped; a shorter grace period may still arrive and is taken
    TERMINATED   nothing of it runs; volumes, sandbox and cgroup are being taken away
    FINISHED     nothing is left on the node; only the API object may still be there

Guarantees: a pod that was asked to stop is never started again under the same uid, whatever the API says later (an
update after a stop is only noted); two pods with the same uid never have two tasks; resources are taken away only
after the last process is gone. Refused: upstream's state before 1.22, where each part of the kubelet worked out for
itself from status and timestamps whether a pod was over, and they did not agree.
Upstream: pkg/kubelet/pod_workers.go, KEP-2021.
"""

from enum import Enum
from typing import Final


class PodState(Enum):
    """Where a pod is in its life on this node."""

    SYNCING = "syncing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FINISHED = "finished"


class PodEvent(Enum):
    """What moves it."""

    UPDATED = "updated"  # the API, the runtime, a probe or the clock says: look again
    STOP_ASKED = "stop asked"  # deleted, evicted, orphaned, rejected, or all its containers are over
    CONTAINERS_GONE = "containers gone"
    CLEANED = "cleaned"


S, E = PodState, PodEvent

TRANSITIONS: Final[dict[tuple[PodState, PodEvent], PodState]] = {
    (S.SYNCING, E.UPDATED): S.SYNCING,
    (S.SYNCING, E.STOP_ASKED): S.TERMINATING,
    (S.TERMINATING, E.UPDATED): S.TERMINATING,
    (S.TERMINATING, E.STOP_ASKED): S.TERMINATING,  # again, perhaps with less grace
    (S.TERMINATING, E.CONTAINERS_GONE): S.TERMINATED,
    (S.TERMINATED, E.UPDATED): S.TERMINATED,
    (S.TERMINATED, E.STOP_ASKED): S.TERMINATED,
    (S.TERMINATED, E.CLEANED): S.FINISHED,
    (S.FINISHED, E.UPDATED): S.FINISHED,
    (S.FINISHED, E.STOP_ASKED): S.FINISHED,
}
ORDER: Final = tuple(PodState)


class ImpossibleTransition(Exception):
    """An event arrived in a state that has no row for it: a bug in the caller."""


def after(state: PodState, event: PodEvent) -> PodState:
    """The state that follows; raises ImpossibleTransition."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleTransition(f"{event.value!r} while {state.value}") from None
