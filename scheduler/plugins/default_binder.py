"""DefaultBinder: binds by the pod's binding subresource."""

from typing import ClassVar

from machinery.api import errors, kinds
from machinery.client.rest import Client, ConnectionProblem
from scheduler.framework import OK, Code, CycleState, Status
from scheduler.pods import Pod


class DefaultBinder:
    """POST pods/NAME/binding."""

    name: ClassVar[str] = "DefaultBinder"

    def __init__(self, client: Client) -> None:
        self._client = client

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
            return Status(Code.ERROR, (str(problem),))
        return OK
