"""Which volume each of a pod's unbound claims would get, on every node at once. Pure; what is assumed is given.

Theory of operation (upstream: volumebinding/binder.go findMatchingVolumes, component-helpers FindMatchingVolume).
Claims are served in the order of their size, the smallest first, and each gets the smallest volume that may serve it,
can be used on the node and was not given to a claim before it. Upstream asks that node by node. Here each candidate is
asked once, smallest first, and put down for all rows that it reaches and that have none yet: a local volume costs one
row, not a look at every node. A volume that was made for the claim is its only candidate.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from machinery.api.codec import Json
from scheduler import volumes
from scheduler.cache import Mask, NodeTable

Choices = NDArray[np.int32]

NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Matches:
    """For one claim the number of its volume per row, NONE where there is none."""

    claim: Json
    choices: Choices

    def found(self) -> Mask:
        """The rows that have one."""
        mask: Mask = self.choices != NONE
        return mask


def match(
    claims: Iterable[Json],
    candidates: Sequence[Json],
    nodes: NodeTable,
    reach: Callable[[Json], Mask],
) -> list[Matches]:
    """The volumes for each claim, the smallest claim first; `reach` says on which rows a volume can be used."""
    ordered = sorted(range(len(candidates)), key=lambda number: volumes.size_of(candidates[number]))
    found: list[Matches] = []
    for claim in sorted(claims, key=lambda claim: volumes.size_wanted(claim) or Fraction(0)):
        choices: Choices = np.full(nodes.size, NONE, dtype=np.int32)
        for number in _suitable(claim, candidates, ordered):
            rows = np.flatnonzero(reach(candidates[number]) & (choices == NONE))
            for earlier in found:
                rows = rows[earlier.choices[rows] != number]
            choices[rows] = number
        found.append(Matches(claim, choices))
    return found


def _suitable(claim: Json, candidates: Sequence[Json], ordered: Sequence[int]) -> list[int]:
    numbers = [number for number in ordered if volumes.may_serve(candidates[number], claim)]
    own = [number for number in numbers if volumes.is_reserved_for(candidates[number], claim)]
    return own[:1] or numbers
