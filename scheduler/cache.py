"""What the scheduler knows of the cluster: a table with one row per node, and pods that were placed but not confirmed.

Watching the API server is not here, and neither is any policy.

Theory of operation. Upstream copies changed NodeInfos into a snapshot at the start of each attempt, because its cycles
run beside its event handlers. Here both run on one event loop and an attempt never awaits between its first filter and
`assume`, so the table itself is the snapshot: nothing can change under a plugin.

- A column is a numpy array with room to grow; its views end at `size`, the highest row ever used. A row belongs to a
  node as long as the node exists or pods are still on it, so row numbers stay valid while pods are counted by them.
  Rows that are free, or whose node is gone while its pods are not, are not `live`: `all()` leaves them out, and so
  must every mask a plugin gives back (`runtime` makes sure of it).
- Everything is incremental: an event about one pod changes one row. Sums are kept per resource (cpu in milli, the rest
  in whole units); a resource gets its column when it is first heard of.
- Label values, taints and pod labels are interned. A label key that some pod asked about becomes a column of small
  integers, so a selector over ten thousand nodes is a comparison of integers; nodes with equal taints share one number,
  so tolerations are checked once per different set and not once per node; pods with the same namespace and labels are
  counted together per node, so "how many pods like this one are there" costs the number of nodes that have some.
- A pod that was placed is *assumed*: it counts from that moment, before the API server knows. The informer confirms it;
  `forget` undoes it when binding fails. It never expires by itself, however late the informer is (upstream's default
  too): else its resources would be given away twice. Informers lose nothing; what is gone when they list again, they
  say is gone.

Refused: a pandas or structured array for the columns (slower to grow, no gain for masks), rows kept dense by moving the
last one into a hole (every count by row would have to move too).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from machinery.api import meta, nodes, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector
from scheduler.pods import ANY_ADDRESS, HostPort, Pod
from scheduler.terms import Term

Mask: TypeAlias = NDArray[np.bool_]
Vector: TypeAlias = NDArray[np.float64]
Amounts: TypeAlias = NDArray[np.int64]
Ids: TypeAlias = NDArray[np.int32]
Taints: TypeAlias = tuple[tuple[str, str, str], ...]
LabelSet: TypeAlias = frozenset[tuple[str, str]]
_Item = TypeVar("_Item", bound=np.generic)
_Key = TypeVar("_Key")

_FIRST_ROWS: Final = 16
_MOST_COUNTS: Final = 32  # of a namespace; each costs a look at every pod that comes or goes there
_BY_LABELS: Final = "*"  # stands for the namespace of terms that choose theirs by labels


class Interner:
    """Small integers for texts; 0 stands for "not there"."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self.texts: list[str] = [""]

    def id_of(self, text: str) -> int:
        """The number of a text, given out on first sight."""
        number = self._ids.get(text)
        if number is None:
            number = self._ids[text] = len(self.texts)
            self.texts.append(text)
        return number

    def known(self, text: str) -> int:
        """The number of a text, or -1 if no node has it."""
        return self._ids.get(text, -1)


class LabelColumn:
    """One label key over all nodes."""

    def __init__(self, ids: Ids, values: Interner) -> None:
        self.ids = ids
        self._values = values

    def present(self) -> Mask:
        """Rows that have the label."""
        mask: Mask = self.ids != 0
        return mask

    def values(self) -> Sequence[str]:
        """The texts behind the ids 1, 2 …; 0 is "not there"."""
        return self._values.texts[1:]

    def domains(self) -> int:
        """One more than the highest id: the length of an array indexed by `ids`."""
        return len(self._values.texts)

    def one_of(self, values: Iterable[str]) -> Mask:
        """Rows whose label has one of the values."""
        wanted = [self._values.known(value) for value in values]
        mask: Mask = np.isin(self.ids, wanted)
        return mask

    def where(self, accepts: Callable[[str], bool]) -> Mask:
        """Rows that have the label with a value that `accepts` likes; it is asked once per different value."""
        verdicts = np.array([False, *map(accepts, self._values.texts[1:])])
        answer: Mask = verdicts[self.ids]
        return answer


@dataclass(frozen=True, slots=True)
class _Question:
    """How many pods match all of these? Whoever asks once will ask again."""

    selectors: tuple[LabelSelector, ...]
    leaving: bool

    def is_about(self, labels: Mapping[str, str]) -> bool:
        """Whether such a pod counts."""
        return all(selector.matches(labels) for selector in self.selectors)


@dataclass(slots=True)
class _Alike:
    """Pods with the same namespace and labels: how many of them are on which row."""

    labels: Mapping[str, str]
    rows: dict[int, int] = field(default_factory=dict)


_NOTHING: Final[Mapping[_Question, Amounts]] = {}


class NodeTable:
    """The cluster as columns. Plugins read it; only the cache changes it."""

    def __init__(self) -> None:
        self.size = 0
        self.names: list[str] = []
        self._frozen: tuple[str, ...] | None = None
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._objects: list[Json | None] = []
        self._pods: list[dict[str, Pod]] = []
        self._versions: list[int] = []
        self._changes = count(1)
        self._resources: dict[str, int] = {}
        self._live: Mask = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self._unschedulable: Mask = np.zeros(_FIRST_ROWS, dtype=np.bool_)
        self._allocatable: Amounts = np.zeros((4, _FIRST_ROWS), dtype=np.int64)
        self._requested: Amounts = np.zeros((4, _FIRST_ROWS), dtype=np.int64)
        self._scored: Amounts = np.zeros((2, _FIRST_ROWS), dtype=np.int64)
        self._labels: dict[str, tuple[Ids, Interner]] = {}
        self._taint_ids: Ids = np.zeros(_FIRST_ROWS, dtype=np.int32)
        self._taint_numbers: dict[Taints, int] = {(): 0}
        self.taint_sets: list[Taints] = [()]
        self._alike: dict[str, dict[LabelSet, _Alike]] = {}
        self._leaving: dict[str, dict[LabelSet, _Alike]] = {}  # the same of pods that are being deleted
        self._counts: dict[str, OrderedDict[_Question, Amounts]] = {}
        self._terms: dict[str, dict[Term, dict[int, int]]] = {}
        self._ports: dict[tuple[str, int], dict[tuple[str, int], int]] = {}
        self._images: dict[str, dict[int, int]] = {}
        self._claims: dict[tuple[str, str], dict[int, int]] = {}

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return int(np.count_nonzero(self._live[: self.size]))

    def all(self) -> Mask:
        """A mask of every node."""
        return self._live[: self.size].copy()

    def none(self) -> Mask:
        """A mask of no node."""
        return np.zeros(self.size, dtype=np.bool_)

    def zeros(self) -> Vector:
        """A score of 0 for every row."""
        return np.zeros(self.size)

    def named(self, name: str) -> Mask:
        """A mask of the node with this name, empty if there is none."""
        mask = self.none()
        row = self._rows.get(name)
        if row is not None:
            mask[row] = self._live[row]
        return mask

    def row_of(self, name: str) -> int | None:
        """The row of the node with this name, None where there is none."""
        row = self._rows.get(name)
        return row if row is not None and self._live[row] else None

    def has(self, name: str) -> bool:
        """Whether a node of this name exists."""
        row = self._rows.get(name)
        return row is not None and bool(self._live[row])

    def frozen_names(self) -> tuple[str, ...]:
        """The names of all rows as they are now; the same tuple until a row gets another node."""
        if self._frozen is None:
            self._frozen = tuple(self.names)
        return self._frozen

    def objects(self) -> Iterator[tuple[int, Json]]:
        """Row and Node object, for every node."""
        return ((row, obj) for row, obj in enumerate(self._objects) if obj is not None)

    def pods_on(self, row: int) -> Sequence[Pod]:
        """The pods of a row, assumed ones among them."""
        return list(self._pods[row].values())

    def version(self, row: int) -> int:
        """Another number whenever the node of a row, or what is on it, has changed."""
        return self._versions[row]

    def touch(self, row: int) -> None:
        """What is to come to a row's node has changed."""
        self._versions[row] = next(self._changes)

    def allocatable(self, resource: str) -> Amounts:
        """What each node offers of a resource: cpu in milli, everything else in whole units."""
        return self._amounts(self._allocatable, resource)

    def requested(self, resource: str) -> Amounts:
        """What the pods on each node ask for."""
        return self._amounts(self._requested, resource)

    def scored_requests(self, resource: str) -> Amounts:
        """As `requested`, with something for containers that ask for nothing when the resource is cpu or memory."""
        if resource in ("cpu", "memory"):
            view: Amounts = self._scored[0 if resource == "cpu" else 1, : self.size]
            return view
        return self.requested(resource)

    def image(self, name: str) -> Mapping[int, int]:
        """The rows whose nodes have an image, and its size there in bytes."""
        return self._images.get(name, {})

    def unschedulable(self) -> Mask:
        """Nodes that are cordoned."""
        return self._unschedulable[: self.size]

    def taint_ids(self) -> Ids:
        """For each row the index of its taints in `taint_sets`."""
        return self._taint_ids[: self.size]

    def label(self, key: str) -> LabelColumn:
        """The column of a label key; made from the nodes' objects when a key is asked for the first time."""
        if key not in self._labels:
            self._labels[key] = (np.zeros(len(self._live), dtype=np.int32), Interner())
            for row, obj in self.objects():
                self._set_label(key, row, meta.labels_of(obj))
        ids, values = self._labels[key]
        return LabelColumn(ids[: self.size], values)

    def count_pods(self, namespace: str, *selectors: LabelSelector, leaving: bool = False) -> Amounts:
        """For each row, how many pods of the namespace match all the selectors; those being deleted if `leaving`.

        To read only: the answer is kept up to date for the next who asks the same.
        """
        known = self._counts.setdefault(namespace, OrderedDict())
        question = _Question(selectors, leaving)
        counts = known.get(question)
        if counts is None:
            counts = known[question] = self._counted(namespace, question)
            if len(known) > _MOST_COUNTS:
                known.popitem(last=False)
        else:
            known.move_to_end(question)
        return counts[: self.size]

    def namespaces(self) -> Iterable[str]:
        """Those that pods were seen in."""
        return self._alike.keys() | self._leaving.keys()

    def terms_about(self, namespace: str) -> Iterator[tuple[Term, Mapping[int, int]]]:
        """Affinity terms of placed pods that may be about pods of a namespace, and how many have them on which row."""
        for bucket in (namespace, _BY_LABELS):
            yield from self._terms.get(bucket, {}).items()

    def _counted(self, namespace: str, question: "_Question") -> Amounts:
        counts = np.zeros(len(self._live), dtype=np.int64)
        for pool in (self._alike, self._leaving) if question.leaving else (self._alike,):
            for alike in pool.get(namespace, {}).values():
                if question.is_about(alike.labels):
                    rows = np.fromiter(alike.rows, dtype=np.intp, count=len(alike.rows))
                    counts[rows] += np.fromiter(alike.rows.values(), dtype=np.int64, count=len(rows))
        return counts

    def port_conflicts(self, wanted: Iterable[HostPort]) -> Mask:
        """Rows where another pod holds one of the ports, on the same address or on all of them."""
        taken = self.none()
        for port in wanted:
            for address, row in self._ports.get((port.protocol, port.port), {}):
                if ANY_ADDRESS in (address, port.address) or address == port.address:
                    taken[row] = True
        return taken

    def rows_with_claim(self, namespace: str, name: str) -> Mapping[int, int]:
        """The rows that have pods which mount a PersistentVolumeClaim, and how many."""
        return self._claims.get((namespace, name), {})

    def mounted_claims(self) -> Iterator[tuple[tuple[str, str], Mapping[int, int]]]:
        """Namespace and name of every claim that pods mount, with the rows that they are on."""
        return iter(self._claims.items())

    def _amounts(self, columns: Amounts, resource: str) -> Amounts:
        number = self._resources.get(resource)
        if number is None:
            return np.zeros(self.size, dtype=np.int64)
        view: Amounts = columns[number, : self.size]
        return view

    # -- changing -----------------------------------------------------------------------------------------------------

    def set_node(self, node: Json) -> None:
        """Add a node or take over its new state; raises ValueError for quantities that are none."""
        offered = pods.amounts((node.get("status") or {}).get("allocatable"))
        row = self._row(meta.name_of(node))
        self._set_images(row, self._objects[row], node)
        self._objects[row] = node
        self.touch(row)
        self._live[row] = True
        self._unschedulable[row] = nodes.is_unschedulable(node)
        self._taint_ids[row] = self._taint_number(node)
        self._allocatable[:, row] = 0
        for resource, amount in offered.items():
            number = self._resource(resource)
            self._allocatable[number, row] = amount
        for key in self._labels:
            self._set_label(key, row, meta.labels_of(node))

    def remove_node(self, name: str) -> None:
        """The node is gone; its row stays while pods are on it."""
        row = self._rows.get(name)
        if row is None:
            return
        self._live[row] = False
        self._set_images(row, self._objects[row], None)
        self._objects[row] = None
        self._release_if_empty(row)

    def add_pod(self, pod: Pod, node: str) -> None:
        """Count a pod on a node, which need not exist yet."""
        row = self._row(node)
        self._pods[row][pod.uid] = pod
        self._add(row, pod, 1)

    def remove_pod(self, pod: Pod, node: str) -> None:
        """Take a pod off a node; `pod` must be as it was added."""
        row = self._rows.get(node)
        if row is None or self._pods[row].pop(pod.uid, None) is None:
            return
        self._add(row, pod, -1)
        self._release_if_empty(row)

    def _add(self, row: int, pod: Pod, sign: int) -> None:
        self.touch(row)
        self._requested[self._resource("pods"), row] += sign
        for resource, amount in pod.requests.items():
            number = self._resource(resource)
            self._requested[number, row] += sign * amount
        self._scored[0, row] += sign * pod.scored[0]
        self._scored[1, row] += sign * pod.scored[1]
        for port in pod.host_ports:
            _count(self._ports.setdefault((port.protocol, port.port), {}), (port.address, row), sign)
        for claim in pod.claims:
            self._count_claim((pod.key.namespace, claim), row, sign)
        self._count_alike(self._leaving if pod.is_terminating else self._alike, row, pod, sign)
        for question, counts in self._counts.get(pod.key.namespace, _NOTHING).items():
            if (question.leaving or not pod.is_terminating) and question.is_about(pod.labels):
                counts[row] += sign
        for term in pod.terms:
            for bucket in term.namespaces if term.namespace_selector is None else (_BY_LABELS,):
                _count(self._terms.setdefault(bucket, {}).setdefault(term, {}), row, sign)
                if not self._terms[bucket][term]:
                    del self._terms[bucket][term]

    def _count_claim(self, claim: tuple[str, str], row: int, sign: int) -> None:
        rows = self._claims.setdefault(claim, {})
        _count(rows, row, sign)
        if not rows:
            del self._claims[claim]

    def _count_alike(self, pool: dict[str, dict[LabelSet, _Alike]], row: int, pod: Pod, sign: int) -> None:
        by_labels = pool.setdefault(pod.key.namespace, {})
        labels = frozenset(pod.labels.items())
        alike = by_labels.setdefault(labels, _Alike(pod.labels))
        _count(alike.rows, row, sign)
        if not alike.rows:
            del by_labels[labels]

    def _row(self, name: str) -> int:
        row = self._rows.get(name)
        if row is not None:
            return row
        row = self._free.pop() if self._free else self._new_row()
        self._rows[name] = row
        self.names[row] = name
        self._frozen = None
        return row

    def _new_row(self) -> int:
        row = self.size
        if row == len(self._live):
            self._grow()
        self.size += 1
        self.names.append("")
        self._objects.append(None)
        self._pods.append({})
        self._versions.append(0)
        return row

    def _grow(self) -> None:
        self._live = _doubled(self._live)
        self._unschedulable = _doubled(self._unschedulable)
        self._taint_ids = _doubled(self._taint_ids)
        self._allocatable = _doubled(self._allocatable)
        self._requested = _doubled(self._requested)
        self._scored = _doubled(self._scored)
        self._labels = {key: (_doubled(ids), values) for key, (ids, values) in self._labels.items()}
        for known in self._counts.values():
            for question, counts in known.items():
                known[question] = _doubled(counts)

    def _release_if_empty(self, row: int) -> None:
        if self._live[row] or self._pods[row]:
            return
        del self._rows[self.names[row]]
        self.names[row] = ""
        self._free.append(row)

    def _resource(self, name: str) -> int:
        number = self._resources.get(name)
        if number is None:
            number = self._resources[name] = len(self._resources)
            if number == len(self._allocatable):
                self._allocatable = np.concatenate([self._allocatable, np.zeros_like(self._allocatable)])
                self._requested = np.concatenate([self._requested, np.zeros_like(self._requested)])
        return number

    def _taint_number(self, node: Json) -> int:
        taints: Taints = tuple(
            (taint.get("key") or "", taint.get("value") or "", taint.get("effect") or "")
            for taint in nodes.taints_of(node)
        )
        number = self._taint_numbers.get(taints)
        if number is None:
            number = self._taint_numbers[taints] = len(self.taint_sets)
            self.taint_sets.append(taints)
        return number

    def _set_images(self, row: int, old: Json | None, new: Json | None) -> None:
        before, after = _images_of(old), _images_of(new)
        for name in before.keys() - after.keys():
            rows = self._images[name]
            del rows[row]
            if not rows:
                del self._images[name]
        for name, size in after.items():
            self._images.setdefault(name, {})[row] = size

    def _set_label(self, key: str, row: int, labels: Mapping[str, str]) -> None:
        ids, values = self._labels[key]
        ids[row] = values.id_of(labels[key]) if key in labels else 0


def _images_of(node: Json | None) -> dict[str, int]:
    images = ((node or {}).get("status") or {}).get("images") or ()
    return {name: image.get("sizeBytes") or 0 for image in images for name in image.get("names") or ()}


def _doubled(column: NDArray[_Item]) -> NDArray[_Item]:
    return np.concatenate([column, np.zeros_like(column)], axis=-1)


def _count(counts: dict[_Key, int], key: _Key, change: int) -> None:
    """Add to a count, and drop it at zero."""
    number = counts.get(key, 0) + change
    if number:
        counts[key] = number
    else:
        counts.pop(key, None)


@dataclass(slots=True)
class _Placed:
    """A pod on a node; `assumed` until the informer has shown it."""

    pod: Pod
    node: str
    assumed: bool = False


class Cache:
    """The table, and the bookkeeping of assumed pods (upstream: backend/cache/cache.go)."""

    def __init__(self) -> None:
        self.nodes = NodeTable()
        self._placed: dict[ObjectKey, _Placed] = {}

    def __len__(self) -> int:
        return len(self._placed)

    def count_assumed(self) -> int:
        """How many pods are placed and not confirmed yet."""
        return sum(one.assumed for one in self._placed.values())

    def assume(self, pod: Pod, node: str) -> None:
        """Count a pod on the node that was chosen for it."""
        self._place(_Placed(pod, node, assumed=True))

    def forget(self, key: ObjectKey) -> None:
        """Binding failed: take an assumed pod back. One that was confirmed meanwhile stays."""
        placed = self._placed.get(key)
        if placed is not None and placed.assumed:
            self._take(key)

    def is_assumed(self, key: ObjectKey) -> bool:
        """Whether a pod was placed by us and not confirmed yet."""
        placed = self._placed.get(key)
        return placed is not None and placed.assumed

    def set_pod(self, pod: Pod) -> None:
        """The informer shows a pod on a node: new, changed, or one of the assumed."""
        self._place(_Placed(pod, pod.node_name))

    def remove_pod(self, key: ObjectKey) -> None:
        """The informer shows that a pod is gone or has ended."""
        self._take(key)

    def _place(self, placed: _Placed) -> None:
        self._take(placed.pod.key)
        self._placed[placed.pod.key] = placed
        self.nodes.add_pod(placed.pod, placed.node)

    def _take(self, key: ObjectKey) -> None:
        placed = self._placed.pop(key, None)
        if placed is not None:
            self.nodes.remove_pod(placed.pod, placed.node)
