"""DefaultBinder: binds by the pod's binding subresource.

What differs from upstream: when the connection breaks, the API server is asked what came of the binding. Upstream takes
it for failed, and may give the resources of a pod away that is bound.
"""

from typing import ClassVar

from machinery.aio.backoff import Backoff
from machinery.api import errors, kinds, meta, pods
from machinery.client.rest import ConnectionProblem
from scheduler.framework import OK, Code, CycleState, Handle, Status
from scheduler.pods import Pod


class DefaultBinder:
    """POST pods/NAME/binding."""

    name: ClassVar[str] = "DefaultBinder"

    def __init__(self, handle: Handle) -> None:
        self._client = handle.client
        self._clock = handle.clock

    async def bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        """OK once the API server has taken it; the uid keeps it from binding a pod of the same name made since."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": pod.key.namespace, "name": pod.key.name, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._client.create(kinds.PODS, binding, subresource="binding", name=pod.key.name)
        except (errors.StatusError, ConnectionProblem) as problem:
            if isinstance(problem, errors.StatusError) and problem.status_code < 500:
                return Status(Code.ERROR, (str(problem),))
            return await self._what_came_of_it(pod, node, problem)
        return OK

    async def _what_came_of_it(self, pod: Pod, node: str, problem: Exception) -> Status:
        """OK if the pod is bound to the node after all; asks until there is an answer."""
        backoff = Backoff()
        while True:
            await self._clock.sleep(backoff.next())  # the request may still be under way
            try:
                found = await self._client.get(kinds.PODS, pod.key.name, pod.key.namespace)
            except errors.StatusError as refusal:
                return Status(Code.ERROR, (f"{problem}; {refusal}",))
            except ConnectionProblem:
                continue
            bound = meta.uid_of(found) == pod.uid and pods.node_of(found) == node
            return OK if bound else Status(Code.ERROR, (str(problem),))
