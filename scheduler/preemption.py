"""Which pods would have to go so that another one fits, and on which node that hurts least. Nothing is evicted here.

Upstream: pkg/scheduler/framework/preemption, plugins/defaultpreemption (KEP-564, KEP-1280).

Theory of operation
-------------------
A node is a candidate if the pod fits once all pods of lower priority are gone from it. Then as many of them as possible
may stay after all, the more important ones first, those whose disruption budget would be broken before the others;
the rest are the victims. Of the candidates the one is taken with the fewest broken budgets, then the least important
first victim, the smallest sum of priorities, the fewest victims, the youngest first victim.

The table is the snapshot, and nothing else runs meanwhile: pods are taken off it and put back for a trial, and the
profile's own filters say what fits. Where only resources depend on a node's pods (no ports, no affinity, no spreading),
sums of integers answer the same question in a thousandth of the time; and as many pods ask the same of nodes that have
not changed since, the answer is remembered (`Known`) as long as no budget has a say.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import attrgetter
from typing import Final

from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector
from scheduler.cache import Amounts, Mask, NodeTable
from scheduler.pods import Pod

_MOST_KNOWN: Final = 20  # sorts of pods; each costs a little for every node
_OFFSET: Final = 1 << 31  # makes every priority count for something in a sum


@dataclass(frozen=True)
class Candidate:
    """A node, and who has to leave it, the most important first."""

    node: str
    victims: tuple[Pod, ...]
    broken_budgets: int = 0

    @cached_property
    def harm(self) -> tuple[int, int, int, int]:
        """The smaller, the better."""
        total = sum(pod.priority + _OFFSET for pod in self.victims)
        return self.broken_budgets, self.victims[0].priority, total, len(self.victims)

    @cached_property
    def started(self) -> str:
        """When the oldest of the most important victims began; the later, the better."""
        return self.victims[0].started


class Known:
    """What was found out about rows for pods that ask for the same, by sums and without budgets."""

    def __init__(self) -> None:
        self._found: dict[object, dict[int, tuple[int, Candidate | None]]] = {}

    def about(self, trial: "Trial") -> Callable[[int], Candidate | None]:
        """What tells the candidate on a row; it is worked out again only if the row has changed."""
        if len(self._found) > _MOST_KNOWN:
            self._found.clear()
        found, version = self._found.setdefault(trial.needs, {}), trial.nodes.version

        def candidate(row: int) -> Candidate | None:
            known = found.get(row)
            if known is None or known[0] != version(row):
                known = found[row] = version(row), _on(trial, row, ())
            return known[1]

        return candidate


@dataclass(frozen=True, slots=True)
class Trial:
    """How to find out whether the pod fits a row of the table as it is at that moment."""

    pod: Pod
    nodes: NodeTable
    fits: Callable[[int], bool]
    #: only what is asked of the node depends on the pods that are there
    resources_only: bool
    #: what nominated pods ask for, which come first
    asked_before: Callable[[Pod, str], Amounts | int] = lambda pod, resource: 0
    #: what is left of each resource that the pod asks for, on each row
    free: Mapping[str, Amounts] = field(init=False)
    #: equal for pods whose trials end alike, where only resources matter
    needs: object = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", (self.pod.priority, frozenset(self.pod.requests.items())))
        names = (*self.pod.requests, "pods")
        free = {
            name: self.nodes.allocatable(name) - self.nodes.requested(name) - self.asked_before(self.pod, name)
            for name in names
        }
        object.__setattr__(self, "free", free)  # worked out once, of what does not change


def find(
    trial: Trial, rows: Iterable[int], budgets: Sequence[Json], enough: int, known: Known | None = None
) -> list[Candidate]:
    """Candidates among the rows, in their order, until there are enough."""
    found: list[Candidate] = []
    look: Callable[[int], Candidate | None] = partial(_on, trial, budgets=budgets)
    if known is not None and trial.resources_only and not budgets:
        look = known.about(trial)
    for row in rows:
        candidate = look(row)
        if candidate is not None:
            found.append(candidate)
            if len(found) >= enough:
                break
    return found


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The one that hurts least; the first of equals. There must be one."""
    if len(candidates) == 1:
        return candidates[0]
    least = min(candidate.harm for candidate in candidates)
    return max((candidate for candidate in candidates if candidate.harm == least), key=attrgetter("started"))


def by_importance(pods: Iterable[Pod]) -> list[Pod]:
    """The most important first: by priority, then by age (upstream: util.MoreImportantPod)."""
    return sorted(pods, key=_importance)


def _importance(pod: Pod) -> tuple[int, str]:
    return -pod.priority, pod.started


def _on(trial: Trial, row: int, budgets: Sequence[Json]) -> Candidate | None:
    pods = trial.nodes.pods_on(row)
    lower = by_importance(pod for pod in pods if pod.priority < trial.pod.priority)
    if not lower:
        return None
    broken, whole = split_by_budgets(lower, budgets) if budgets else ([], lower)
    stay = _stay_by_sums if trial.resources_only else _stay_by_filters
    staying = stay(trial, row, [*broken, *whole])
    if staying is None:
        return None
    victims = [pod for pod in lower if pod.uid not in staying]
    if not victims:
        return None
    node = trial.nodes.names[row]
    return Candidate(node, tuple(victims), sum(pod.uid not in staying for pod in broken))


def _stay_by_filters(trial: Trial, row: int, lower: Sequence[Pod]) -> set[str] | None:
    """Who may stay, by the profile's filters; None where the pod does not fit even without all of them."""
    nodes, name = trial.nodes, trial.nodes.names[row]
    staying: set[str] = set()
    with _without(nodes, name, lower) as put_back:
        if not trial.fits(row):
            return None
        for pod in lower:
            nodes.add_pod(pod, name)
            if trial.fits(row):
                staying.add(pod.uid)
                put_back.add(pod.uid)
            else:
                nodes.remove_pod(pod, name)
    return staying


@contextmanager
def _without(nodes: NodeTable, name: str, pods: Sequence[Pod]) -> Iterator[set[str]]:
    """The pods are off their node within; those in the set that is given have come back by then."""
    back: set[str] = set()
    for pod in pods:
        nodes.remove_pod(pod, name)
    try:
        yield back
    finally:
        for pod in pods:
            if pod.uid not in back:
                nodes.add_pod(pod, name)


def _stay_by_sums(trial: Trial, row: int, lower: Sequence[Pod]) -> set[str] | None:
    """The same where only resources matter."""
    pod = trial.pod
    asked = [[one.requests.get(name, 0) for name in pod.requests] for one in lower]
    free = [int(trial.free[name][row]) - amount for name, amount in pod.requests.items()]
    places = int(trial.free["pods"][row]) - 1 + len(lower)
    free = [left + sum(amounts) for left, amounts in zip(free, zip(*asked, strict=True), strict=True)]
    if places < 0 or (free and min(free) < 0):
        return None
    staying: set[str] = set()
    for one, amounts in zip(lower, asked, strict=True):
        left = [have - amount for have, amount in zip(free, amounts, strict=True)]
        if places > 0 and (not left or min(left) >= 0):
            staying.add(one.uid)
            free, places = left, places - 1
    return staying


def split_by_budgets(pods: Sequence[Pod], budgets: Sequence[Json]) -> tuple[list[Pod], list[Pod]]:
    """Those whose going would break a disruption budget, and the others; each that goes counts for the next.

    Upstream: filterPodsWithPDBViolation.
    """
    allowed = [((budget.get("status") or {}).get("disruptionsAllowed") or 0) for budget in budgets]
    broken: list[Pod] = []
    whole: list[Pod] = []
    for pod in pods:
        breaks = False
        for place, budget in enumerate(budgets):
            if not _protects(budget, pod):
                continue
            if pod.key.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                continue  # it is counted already
            allowed[place] -= 1
            breaks = breaks or allowed[place] < 0
        (broken if breaks else whole).append(pod)
    return broken, whole


def _protects(budget: Json, pod: Pod) -> bool:
    if meta.namespace_of(budget) != pod.key.namespace or not pod.labels:
        return False
    selector = LabelSelector.from_dict((budget.get("spec") or {}).get("selector"))
    return not selector.empty and selector.matches(pod.labels)


def hopeful(nodes: NodeTable, unresolvable: Mask | None) -> Mask:
    """The nodes that other pods' going may help."""
    return nodes.all() if unresolvable is None else nodes.all() & ~unresolvable
