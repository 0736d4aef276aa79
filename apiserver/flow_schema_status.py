"""The Dangling condition of FlowSchemas: whether the priority level that a schema names is there.

Upstream: k8s.io/apiserver/pkg/util/flowcontrol/apf_controller.go. Every server writes it, and what is right already is
not written again.
"""

from typing import Final

from apiserver.bootstrap import LOOPBACK
from apiserver.lookups import Lookups
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import every
from machinery.api import errors, kinds, meta, times
from machinery.api.codec import Json

_SECONDS: Final = 5.0  # between two looks


class FlowSchemaStatus:
    """Looks now and then."""

    def __init__(self, lookups: Lookups, schemas: Store, clock: Clock = REAL) -> None:
        self._lookups = lookups
        self._schemas = schemas
        self._clock = clock

    async def run(self) -> None:
        """For ever."""
        await every(_SECONDS, "the status of flow schemas", self.write, clock=self._clock)

    async def write(self) -> None:
        """Bring all schemas up to date."""
        levels = {meta.name_of(level) for level in self._lookups.all(kinds.PRIORITY_LEVELS)}
        for schema in self._lookups.all(kinds.FLOW_SCHEMAS):
            wanted = _condition(schema, levels)
            there = meta.find_condition((schema.get("status") or {}).get("conditions"), "Dangling") or {}
            if (there.get("status"), there.get("message")) != (wanted["status"], wanted["message"]):
                await self._write(meta.name_of(schema), wanted)

    async def _write(self, name: str, condition: Json) -> None:
        async def change(schema: Json | None) -> Json:
            if schema is None:
                raise errors.not_found(kinds.FLOW_SCHEMAS, name)
            status = schema.setdefault("status", {})
            now = times.rfc3339(self._clock.now())
            status["conditions"] = meta.set_condition(status.get("conditions"), condition, now)
            return schema

        try:
            await self._schemas.update(change, Context(LOOPBACK, "", name, "status"))
        except errors.NotFound:
            return  # it has just gone


def _condition(schema: Json, levels: set[str]) -> Json:
    level = ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name") or ""
    text = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if level in levels:
        return {"type": "Dangling", "status": "False", "reason": "Found", "message": f"{text} and it exists"}
    return {
        "type": "Dangling",
        "status": "True",
        "reason": "NotFound",
        "message": f"{text} but there is no such object",
    }
