"""PrioritySort: pods of higher priority first, then those that waited longer."""

from typing import ClassVar

from scheduler.framework import SortKey
from scheduler.pods import Pod


class PrioritySort:
    """The order of the active queue."""

    name: ClassVar[str] = "PrioritySort"

    def sort_key(self, pod: Pod, queued_at: float) -> SortKey:
        """Smaller comes first."""
        return (-pod.priority, queued_at)
