"""The contract between the scheduler and its plugins: statuses, verdicts, extension points. No plugin is here, no loop.

Extension points, their order and their meaning are upstream's (KEP-624; staging/src/k8s.io/kube-scheduler/framework).
What differs: a plugin answers for all nodes at once, with a mask or a vector that has one place per row of the table.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np

from machinery.aio.clock import REAL, Clock
from machinery.api.codec import Json
from machinery.client.informer import Informers
from machinery.client.rest import Client
from scheduler.cache import Amounts, Mask, NodeTable, Vector
from scheduler.pods import Pod
from scheduler.preemption import Candidate
from scheduler.waiting import WaitingPods

MAX_SCORE: Final = 100.0
SortKey: TypeAlias = tuple[Any, ...]


class Code(Enum):
    """How a plugin answered."""

    SUCCESS = "Success"
    ERROR = "Error"
    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"
    SKIP = "Skip"
    WAIT = "Wait"


@dataclass(frozen=True, slots=True)
class Status:
    """An answer with its reasons; `plugin` is filled in by the runtime."""

    code: Code
    reasons: tuple[str, ...] = ()
    plugin: str = ""
    #: how long to WAIT at most
    seconds: float = 0.0

    @property
    def is_rejection(self) -> bool:
        """Whether the pod cannot go on for now, without anything being broken."""
        return self.code in (Code.UNSCHEDULABLE, Code.UNRESOLVABLE)

    @property
    def message(self) -> str:
        """All reasons in one line."""
        return ", ".join(self.reasons)


OK: Final = Status(Code.SUCCESS)
SKIP: Final = Status(Code.SKIP)


def wait(seconds: float) -> Status:
    """A Permit plugin's answer: not yet. `Handle.waiting` has the pod until it is allowed, refused or out of time."""
    return Status(Code.WAIT, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which rows fit, why the others do not, and which of those no preemption can help."""

    fits: Mask
    reasons: tuple[tuple[str, Mask], ...] = ()
    unresolvable: Mask | None = None


@dataclass(slots=True)
class CycleState:
    """What plugins remember during one attempt to place one pod."""

    data: dict[str, Any] = field(default_factory=dict)
    skip_filter: set[str] = field(default_factory=set)
    skip_score: set[str] = field(default_factory=set)


class Resource(Enum):
    """What an event is about."""

    ASSIGNED_POD = "AssignedPod"
    PENDING_POD = "Pod"
    NODE = "Node"
    SERVICE = "Service"
    PERSISTENT_VOLUME = "PersistentVolume"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    STORAGE_CLASS = "StorageClass"
    CSI_NODE = "CSINode"
    CSI_DRIVER = "CSIDriver"
    CSI_STORAGE_CAPACITY = "CSIStorageCapacity"
    VOLUME_ATTACHMENT = "VolumeAttachment"
    RESOURCE_CLAIM = "ResourceClaim"
    RESOURCE_SLICE = "ResourceSlice"
    DEVICE_TAINT_RULE = "DeviceTaintRule"
    DEVICE_CLASS = "DeviceClass"


class Action(Enum):
    """What happened to it."""

    ADD = "Add"
    UPDATE = "Update"
    DELETE = "Delete"

    @classmethod
    def of(cls, old: Json | None, new: Json | None) -> "Action":
        """What an informer's change is."""
        return cls.ADD if old is None else cls.DELETE if new is None else cls.UPDATE


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """A change in the cluster that may help pods that are waiting (upstream: QueueingHint, KEP-4247)."""

    resource: Resource
    action: Action
    old: Json | None = None
    new: Json | None = None

    @property
    def label(self) -> str:
        """Its name in metrics (upstream: ClusterEvent.Label)."""
        return f"{self.resource.value}{self.action.value}"

    @property
    def obj(self) -> Json:
        """The object as it is now, or as it last was."""
        return self.new or self.old or {}


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rows one plugin turned down, for one reason."""

    plugin: str
    reason: str
    rows: Mask


@dataclass(frozen=True, slots=True)
class Nomination:
    """A node that a pod will fit once these pods are gone (upstream: NominatingInfo)."""

    node: str
    victims: tuple[Pod, ...] = ()


@dataclass(slots=True)
class Diagnosis:
    """Why no node took the pod (upstream: framework.Diagnosis and FitError)."""

    total: int
    rejected: list[Rejected] = field(default_factory=list)
    unresolvable: Mask | None = None
    pre_filter_message: str = ""
    post_filter_message: str = ""
    plugins: set[str] = field(default_factory=set)
    #: what a PostFilter plugin has found
    nomination: Nomination | None = None
    #: what it was chosen from, the same among them, for extenders to have a say; may be left out
    candidates: Sequence[Candidate] = ()
    #: what PostFilter plugins want to have done besides
    work: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def message(self) -> str:
        """One line, as upstream's FitError prints it."""
        if not self.total:
            return "no nodes available to schedule pods"
        parts = [f"0/{self.total} nodes are available:"]
        if self.pre_filter_message:
            parts.append(f"{self.pre_filter_message}.")
        elif self.rejected:
            parts.append(", ".join(sorted(f"{count} {reason}" for reason, count in self.histogram().items())) + ".")
        if self.post_filter_message:
            parts.append(self.post_filter_message)
        return " ".join(parts)

    def histogram(self) -> dict[str, int]:
        """How many nodes gave each reason."""
        counts: dict[str, int] = {}
        for one in self.rejected:
            counts[one.reason] = counts.get(one.reason, 0) + int(np.count_nonzero(one.rows))
        return counts


@dataclass(frozen=True, slots=True)
class Opinion:
    """What others than plugins say of nodes, by name: which fit, why the others do not, and scores to add."""

    fits: frozenset[str]
    refused: Mapping[str, str] = field(default_factory=dict)
    hopeless: Set[str] = frozenset()
    scores: Mapping[str, float] = field(default_factory=dict)


class BadArguments(Exception):
    """A plugin cannot work with its `pluginConfig` arguments."""


@dataclass(frozen=True, slots=True)
class Handle:
    """What plugins are given when they are made."""

    client: Client
    informers: Informers
    #: makes choices between equals repeatable; None: they are not
    seed: int | None = None
    #: for what has to be waited for
    clock: Clock = REAL
    #: pods whose Permit plugins said `wait`
    waiting: WaitingPods = field(default_factory=WaitingPods)


class Plugin(Protocol):
    """Every plugin has upstream's name; `events`, where there is one, names the other resources it wants to hear of."""

    name: ClassVar[str]


@runtime_checkable
class PreEnqueuePlugin(Protocol):
    """Decides whether a pod may enter the active queue at all."""

    def pre_enqueue(self, pod: Pod) -> Status:
        """OK, or a rejection that keeps the pod out until an event helps."""


@runtime_checkable
class QueueSortPlugin(Protocol):
    """Orders the active queue."""

    def sort_key(self, pod: Pod, queued_at: float) -> SortKey:
        """Smaller comes first; `queued_at` is in seconds of the monotonic clock."""


@runtime_checkable
class PreFilterPlugin(Protocol):
    """Looks at the pod once before the nodes are filtered."""

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """OK; SKIP when the plugin's filter has nothing to say; a rejection for all nodes at once."""


@runtime_checkable
class FilterPlugin(Protocol):
    """Says which nodes can take the pod.

    A bare mask stands for the plugin's attributes `reason` and `unresolvable` (True when it has none).
    """

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask | Verdict:
        """One answer for each row."""


class Filters(Protocol):
    """A profile's filters, for trials."""

    def fits(self, pod: Pod, nodes: NodeTable, row: int) -> bool:
        """Whether the pod fits a row of the table as it is now, beside the pods that are nominated to it."""

    def asked_before(self, pod: Pod, resource: str) -> Amounts | int:
        """What pods that are nominated, and not less important, ask for of a resource on each row."""

    def only_resources_matter(self, state: CycleState, pod: Pod) -> bool:
        """Whether of all filters only NodeResourcesFit looks at a node's pods for this one."""


@runtime_checkable
class PostFilterPlugin(Protocol):
    """Is asked when no node fits."""

    def post_filter(
        self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis, filters: Filters
    ) -> Status:
        """OK with a nomination in the diagnosis; else a rejection whose message is added to the pod's own."""


@runtime_checkable
class PreScorePlugin(Protocol):
    """Looks at the pod once before the nodes that fit are scored."""

    def pre_score(self, state: CycleState, pod: Pod, nodes: NodeTable, fits: Mask) -> Status:
        """OK, or SKIP when the plugin has no preference."""


@runtime_checkable
class ScorePlugin(Protocol):
    """Says how much it likes each node, from 0 to MAX_SCORE once normalised."""

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """One score for each row; rows that do not fit are ignored."""


@runtime_checkable
class NormalizeScorePlugin(Protocol):
    """Brings its own scores into 0 … MAX_SCORE."""

    def normalize(self, state: CycleState, scores: Vector, fits: Mask) -> Vector:
        """The scores, scaled over the rows that fit."""


@runtime_checkable
class ReservePlugin(Protocol):
    """Keeps something for the pod on its node before it is bound."""

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        """OK, or a failure; then everybody is unreserved."""

    def unreserve(self, state: CycleState, pod: Pod, node: str) -> None:
        """Undo; must not fail and must be idempotent."""


@runtime_checkable
class PermitPlugin(Protocol):
    """Has the last word before binding."""

    def permit(self, state: CycleState, pod: Pod, node: str) -> Status:
        """OK, a rejection, or `wait(seconds)`."""


@runtime_checkable
class PreBindPlugin(Protocol):
    """Prepares what the pod needs on its node."""

    async def pre_bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        """OK or a failure."""


@runtime_checkable
class BindPlugin(Protocol):
    """Binds the pod to its node."""

    async def bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        """OK; SKIP leaves it to the next one."""


@runtime_checkable
class PostBindPlugin(Protocol):
    """Is told when a pod was bound."""

    def post_bind(self, state: CycleState, pod: Pod, node: str) -> None:
        """Clean up."""


@runtime_checkable
class HintPlugin(Protocol):
    """Knows which changes can help a pod it turned down; a plugin without hints is asked again at every change."""

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """Whether another attempt may now succeed as far as this plugin goes."""


class PerNode:
    """Turns plain per-node functions into a plugin: override `fits` or `score_of` and forget about vectors.

    `filter` and `score` exist only on the subclasses PerNodeFilter and PerNodeScore, so that a plugin is registered for
    what it really does.
    """

    name: ClassVar[str] = ""


class PerNodeFilter(PerNode):
    """A filter written for one node."""

    unresolvable: ClassVar[bool] = False

    def fits(self, pod: Pod, node: Json, pods: Sequence[Pod]) -> str:
        """Empty when the pod fits the node with these pods on it, else the reason why not."""
        raise NotImplementedError

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask | Verdict:
        """Ask `fits` node by node."""
        fits = nodes.none()
        reasons: dict[str, Mask] = {}
        for row, node in nodes.objects():
            why = self.fits(pod, node, nodes.pods_on(row))
            if why:
                reasons.setdefault(why, nodes.none())[row] = True
            else:
                fits[row] = True
        return Verdict(fits, tuple(reasons.items()), ~fits if self.unresolvable else None)


class PerNodeScore(PerNode):
    """A score written for one node."""

    def score_of(self, pod: Pod, node: Json, pods: Sequence[Pod]) -> float:
        """0 to MAX_SCORE."""
        raise NotImplementedError

    def score(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Vector:
        """Ask `score_of` node by node."""
        scores = nodes.zeros()
        for row, node in nodes.objects():
            scores[row] = self.score_of(pod, node, nodes.pods_on(row))
        return scores


def normalized(scores: Vector, fits: Mask, *, reverse: bool = False) -> Vector:
    """Scale so that the best row that fits gets MAX_SCORE (upstream: helper.DefaultNormalizeScore)."""
    highest = float(scores[fits].max(initial=0.0))
    if highest == 0.0:
        return np.full_like(scores, MAX_SCORE if reverse else 0.0)
    scaled = np.floor(scores * MAX_SCORE / highest)
    return MAX_SCORE - scaled if reverse else scaled
