"""What a Service claims before it is written: families, cluster IPs, node ports; and what it gives back.

Upstream: pkg/registry/core/service/storage/alloc.go. Who has taken what is registry.allocators.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from apiserver.registry.allocators import AllocationError, Allocators, Owner
from apiserver.registry.strategy import Context
from apiserver.resources.core.services import fields
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json

_OTHER: Final = {"IPv4": "IPv6", "IPv6": "IPv4"}

Undo = Callable[[], Awaitable[None]]


class Claim:
    """The addresses and ports of one write: taken on the way, given back where the write fails."""

    def __init__(self, allocators: Allocators, service: Json, *, dry_run: bool) -> None:
        self._allocators = allocators
        self._service = service
        self._dry_run = dry_run
        self._undo: list[Undo] = []
        self._release: list[Undo] = []

    async def finish(self, written: bool) -> None:
        """Give back: after a write what the old object no longer needs, else what was taken for nothing."""
        if self._dry_run:
            return
        for action in self._release if written else self._undo:
            await action()

    async def take(self, old: Json | None = None) -> None:
        """Everything the Service needs and `old` did not have; raises Invalid or InternalError and leaves no trace."""
        try:
            await self._cluster_ip(old or {})
            await self._node_ports(old or {})
            await self._health_port(old or {})
        except errors.StatusError:
            await self.finish(False)
            raise

    async def _cluster_ip(self, old: Json) -> None:
        spec = self._service["spec"]
        before = "" if not fields.needs_cluster_ip(old) or fields.is_headless(old) else old.get("clusterIP") or ""
        wants = fields.needs_cluster_ip(spec) and not fields.is_headless(spec)
        asked = (spec.get("clusterIP") or "") if wants else ""
        if wants and (asked != before or not before):
            address = await self._ip(asked)
            spec["clusterIP"], spec["clusterIPs"] = address, [address]
            self._undo.append(lambda: self._allocators.ips.release(address))
        if before and (not wants or spec["clusterIP"] != before):
            self._release.append(lambda: self._allocators.ips.release(before))

    async def _ip(self, asked: str) -> str:
        owner = Owner(meta.namespace_of(self._service), meta.name_of(self._service))
        try:
            return await self._allocators.ips.allocate(asked, owner, dry_run=self._dry_run)
        except AllocationError as problem:
            if not asked:
                raise errors.InternalError(
                    f"Internal error occurred: failed to allocate a serviceIP: {problem}"
                ) from problem
            why = f"failed to allocate IP {asked}: {problem}"
            raise self._invalid(errors.invalid_value("spec.clusterIPs", [asked], why)) from problem

    async def _node_ports(self, old: Json) -> None:
        spec = self._service["spec"]
        before = _ports_of(old) if fields.needs_node_ports(old) else set()
        held = set(before)
        if fields.needs_node_ports(spec):
            # what was asked for goes first, lest a free choice takes it
            ports = list(enumerate(spec.get("ports") or ()))
            for index, port in sorted(ports, key=lambda item: not item[1].get("nodePort")):
                if port.get("nodePort") not in held:
                    port["nodePort"] = await self._port(port.get("nodePort") or 0, f"spec.ports[{index}].nodePort")
                    held.add(port["nodePort"])
        for number in before - _ports_of(spec):
            self._release.append(self._port_release(number))

    async def _health_port(self, old: Json) -> None:
        spec = self._service["spec"]
        before = old.get("healthCheckNodePort") or 0
        if fields.needs_health_port(spec) and (not before or spec.get("healthCheckNodePort") != before):
            asked = spec.get("healthCheckNodePort") or 0
            spec["healthCheckNodePort"] = await self._port(asked, "spec.healthCheckNodePort")
        if before and spec.get("healthCheckNodePort") != before:
            self._release.append(self._port_release(before))

    async def _port(self, asked: int, path: str) -> int:
        try:
            number = await self._allocators.ports.allocate(asked, dry_run=self._dry_run)
        except AllocationError as problem:
            if asked:
                raise self._invalid(errors.invalid_value(path, asked, str(problem))) from problem
            raise errors.InternalError(
                f"Internal error occurred: failed to allocate a nodePort: {problem}"
            ) from problem
        self._undo.append(self._port_release(number))
        return number

    def _port_release(self, number: int) -> Undo:
        return lambda: self._allocators.ports.release(number)

    def _invalid(self, cause: errors.FieldError) -> errors.Invalid:
        return errors.invalid(kinds.SERVICES, meta.name_of(self._service), [cause])


def _ports_of(spec: Json) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def choose_families(service: Json, family: str) -> None:
    """ipFamilies and ipFamilyPolicy in a cluster of one family, in place; raises Invalid for another family."""
    spec = service["spec"]
    if not fields.needs_cluster_ip(spec):
        return
    asked, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy") or ""
    if fields.is_headless(spec) and not spec.get("selector"):
        # nobody routes to it here: its endpoints may be of both families even so
        families = asked or [family]
        spec["ipFamilyPolicy"] = policy or "RequireDualStack"
        if len(families) < 2 and spec["ipFamilyPolicy"] != "SingleStack":
            families = [*families, _OTHER[families[0]]]
        spec["ipFamilies"] = families
        return
    causes = [
        errors.invalid_value(f"spec.ipFamilies[{index}]", wanted, "not configured on this cluster")
        for index, wanted in enumerate(asked)
        if wanted != family
    ]
    if policy == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        causes = [errors.invalid_value("spec.ipFamilyPolicy", policy, text)]
    if causes:
        raise errors.invalid(kinds.SERVICES, meta.name_of(service), causes)
    spec["ipFamilyPolicy"] = policy or "SingleStack"
    spec["ipFamilies"] = [family]


async def claim(service: Json, old: Json | None, context: Context) -> Callable[[bool], Awaitable[None]] | None:
    """Claim for a create (`old` None) or an update; the answer ends it. None where the server has no ranges."""
    allocators = context.allocators
    if allocators is None:
        return None
    choose_families(service, f"IPv{allocators.ips.network.version}")
    taking = Claim(allocators, service, dry_run=context.dry_run)
    await taking.take((old or {}).get("spec"))
    return taking.finish


async def release(service: Json, context: Context) -> None:
    """Give back everything a deleted Service had."""
    allocators, spec = context.allocators, service.get("spec") or {}
    if allocators is None:
        return
    if fields.needs_cluster_ip(spec) and not fields.is_headless(spec):
        for address in spec.get("clusterIPs") or ():
            await allocators.ips.release(address)
    for number in (*_ports_of(spec), spec.get("healthCheckNodePort") or 0):
        if number:
            await allocators.ports.release(number)
