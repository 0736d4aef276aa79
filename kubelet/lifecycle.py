"""postStart and preStop hooks. When they are called is `pod_runtime`'s.

Upstream: pkg/kubelet/lifecycle/handlers.go.
"""

from kubelet.cri.client import RuntimeProblem
from kubelet.probing import Outcome, Prober, Target
from machinery.aio.clock import REAL, Clock
from machinery.api.codec import Json


class Hooks:
    """Carries hooks out."""

    def __init__(self, prober: Prober, clock: Clock = REAL) -> None:
        self._prober = prober
        self._clock = clock

    async def run(self, handler: Json, target: Target, timeout: float) -> str:
        """Carry one out within so many seconds; returns what went wrong, empty when nothing did."""
        if "sleep" in handler:
            await self._clock.sleep(min(float(handler["sleep"].get("seconds") or 0), timeout))
            return ""
        try:
            outcome = await self._outcome(handler, target, timeout)
        except RuntimeProblem as problem:
            return str(problem)
        return "" if outcome.ok else outcome.text

    async def _outcome(self, handler: Json, target: Target, timeout: float) -> Outcome:
        if "httpGet" in handler:
            return await self._prober.http_get(handler["httpGet"], target, timeout)
        outcome = await self._prober.check({**handler, "timeoutSeconds": timeout}, target)
        if outcome.ok or "exec" not in handler:
            return outcome
        command = " ".join(handler["exec"].get("command") or ())
        return Outcome(False, f"command '{command}' exited with an error: {outcome.text}")
