"""How Services differ from the default strategy (upstream: pkg/registry/core/service/strategy.go)."""

from apiserver.registry.strategy import Context, Finish
from apiserver.resources.base import KindStrategy, keep_status
from apiserver.resources.core.services import allocation, checks
from apiserver.resources.core.services.defaults import service_defaults
from apiserver.resources.core.services.fields import agree_on_addresses, carry_over, drop_what_no_longer_fits
from machinery.api import names
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ServiceStrategy(KindStrategy):
    """Status is the service controller's; addresses are claimed; fields that no longer fit the type go."""

    returns_deleted_object = True

    def name_check(self, name: str) -> list[str]:
        """A DNS label that starts with a letter: it becomes a host name."""
        return names.is_dns1035_label(name)

    def defaults(self, obj: Json) -> None:
        """Upstream's defaults, in place."""
        service_defaults(obj)

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """No status but the empty one."""
        obj["status"] = {"loadBalancer": {}}
        agree_on_addresses(obj["spec"])

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """Keep status and what the server chose; drop what belongs to another type."""
        keep_status(obj, old)
        spec, old_spec = obj["spec"], old.get("spec") or {}
        agree_on_addresses(spec, old_spec)
        carry_over(spec, old_spec)
        drop_what_no_longer_fits(spec, old_spec)

    def check(self, obj: Json) -> list[FieldError]:
        """Ports, addresses, policies."""
        return checks.check(obj)

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The cluster IP stays."""
        return checks.check_update(obj, old)

    async def begin_create(self, obj: Json, context: Context) -> Finish | None:
        """Claim addresses and ports."""
        return await allocation.claim(obj, None, context)

    async def begin_update(self, obj: Json, old: Json, context: Context) -> Finish | None:
        """Claim what a new type or new ports need."""
        return await allocation.claim(obj, old, context)

    async def after_delete(self, obj: Json, context: Context) -> None:
        """Give everything back."""
        await allocation.release(obj, context)
