"""What a running server says of itself."""

import time

from tests.integration.apiserver_process import ApiserverProcess


def value_of(server: ApiserverProcess, name: str) -> float:
    """A metric without labels."""
    with server.client() as admin:
        lines = admin.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def long_running(server: ApiserverProcess) -> float:
    """How many watches, logs and tunnels are under way."""
    return value_of(server, "apiserver_longrunning_requests")


class Leaks:
    """What a server has under way, before and after: nothing may stay behind of requests that are over."""

    _NAMES = ("asyncio_tasks", "apiserver_longrunning_requests")

    def __init__(self, server: ApiserverProcess) -> None:
        self._server = server
        self._before = self._now()

    def check(self) -> None:
        """It comes to rest within five seconds (clients that vanished may be noticed late)."""
        deadline = time.monotonic() + 5
        while any(now > before for now, before in zip(self._now(), self._before, strict=True)):
            assert time.monotonic() < deadline, f"{self._NAMES}: {self._before} before, {self._now()} now"
            time.sleep(0.05)

    def _now(self) -> list[float]:
        return [value_of(self._server, name) for name in self._NAMES]
