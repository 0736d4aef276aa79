"""How Services differ from the default strategy (upstream: pkg/registry/core/service/strategy.go)."""

from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.core.services.defaults import service_defaults
from machinery.api import names
from machinery.api.codec import Json


class ServiceStrategy(KindStrategy):
    """Status is the service controller's; fields that no longer fit the type go."""

    returns_deleted_object = True
    drops_status = True

    def name_check(self, name: str) -> list[str]:
        """A DNS label that starts with a letter: it becomes a host name."""
        return names.is_dns1035_label(name)

    def defaults(self, obj: Json) -> None:
        """Upstream's defaults, in place."""
        service_defaults(obj)

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """No status but the empty one."""
        obj["status"] = {"loadBalancer": {}}
