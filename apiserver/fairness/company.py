"""Who asks at the same time as whom, and what each of them may have under way for it. Queues and turns are `queues`'.

Theory of operation
-------------------
All requests run on one thread: with two hundred of one client under way, the request of another one is worked on only
after a step of each of them. Three cases:

* One client was there in the last second: there is nobody to be fair to. Many requests begin in one turn of the loop;
  they share their messages to etcd, which costs less.
* Several, all of whom ask for much: few begin in a turn, and nobody is held back further. They share what there is.
* Among them one who asks now and then, a person at a terminal or a kubelet: as long as such a request is there, one
  begins in a turn, and those who ask for much have only their share under way. The share is small while the thread is
  busy, for every request more makes all turns longer. It grows while the thread waits, for etcd or a webhook: then
  requests under way cost nobody anything.

Who asks for much has had several requests under way at once in the last second.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

PACE_ALONE: Final = 32  # requests that begin in one turn of the loop, of a client that is alone
PACE: Final = 2  # the same where several clients are there
PACE_BESIDE_FEW: Final = 1  # and where one of them asks now and then
_COMPANY_SECONDS: Final = 1.0  # for how long a client that asked counts as one that is there
_FEW_SECONDS: Final = 0.02  # for how long others are held back for a request of who asks now and then
_MUCH: Final = 3  # requests at once
_SHARES: Final = range(1, 65)  # of requests that one client has under way beside who asks now and then
WINDOW_SECONDS: Final = 0.05  # over which the thread's work is looked at
_BUSY: Final = (0.5, 0.7)  # of that time: below, shares grow; above, they shrink
_MOST_REMEMBERED: Final = 1000


def thread_seconds() -> float:
    """For how long this thread has worked or waited for a CPU, in seconds; where Linux does not tell, has worked."""
    try:
        worked, waited = Path("/proc/thread-self/schedstat").read_bytes().split()[:2]
    except (OSError, ValueError):
        return time.thread_time()
    return (int(worked) + int(waited)) / 1e9


class Company:
    """The clients, by name. Times are the loop's, in seconds; `worked`: how long the thread had work so far."""

    def __init__(self, worked: Callable[[], float] = thread_seconds) -> None:
        self.pace = PACE_ALONE
        self._under_way: dict[str, int] = {}
        self._last = ""
        self._alone_from = 0.0  # when there will have been one client only
        self._asked_for_much: dict[str, float] = {}
        self._few_until = 0.0
        self._share = _SHARES[0]
        self._worked = worked
        self._looked = (0.0, 0.0)  # when, and what the thread had worked by then

    def asks(self, client: str, now: float) -> None:
        """A client's request has come."""
        if client != self._last:
            if self._last:
                self._alone_from = now + _COMPANY_SECONDS
                self.pace = min(self.pace, PACE)
            self._last = client
        if self.pace == PACE_ALONE:
            return
        if self._under_way.get(client, 0) >= _MUCH - 1:
            self._asked_for_much[client] = now
        elif now - self._asked_for_much.get(client, -_COMPANY_SECONDS) >= _COMPANY_SECONDS:
            self._few_until = now + _FEW_SECONDS
            self.pace = PACE_BESIDE_FEW

    def begins(self, client: str) -> None:
        """One of a client's requests is under way."""
        self._under_way[client] = self._under_way.get(client, 0) + 1

    def ends(self, client: str) -> None:
        """It is over."""
        left = self._under_way.pop(client, 0) - 1
        if left > 0:
            self._under_way[client] = left

    def may_begin(self, client: str) -> bool:
        """Whether another request of a client may begin now."""
        return self.pace != PACE_BESIDE_FEW or self._under_way.get(client, 0) < self._share

    def look(self, now: float) -> None:
        """A new turn of the loop: who is still there, and how busy is the thread?"""
        if self.pace == PACE_ALONE:
            return
        self.pace = PACE_ALONE if now >= self._alone_from else PACE if now >= self._few_until else PACE_BESIDE_FEW
        if len(self._asked_for_much) > _MOST_REMEMBERED:
            self._asked_for_much.clear()
        looked, worked = self._looked
        seconds = now - looked
        if seconds < WINDOW_SECONDS:
            return
        self._looked = now, self._worked()
        busy = (self._looked[1] - worked) / seconds
        if seconds > 4 * WINDOW_SECONDS or busy > _BUSY[1]:  # nobody looked, for nobody waited: begin small
            self._share = max(self._share // 2, _SHARES[0])
        elif busy < _BUSY[0]:
            self._share = min(self._share + 1, _SHARES[-1])
