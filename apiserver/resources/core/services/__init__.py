"""Services: the row. Its parts are one module each: strategy, defaults, columns, checks, allocation."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.columns import spec_of
from apiserver.resources.core.services.columns import COLUMNS
from apiserver.resources.core.services.strategy import ServiceStrategy
from machinery.api import kinds

SERVICES: Final = Resource(
    kind=kinds.SERVICES,
    key="services/specs",
    strategy=ServiceStrategy(),
    short_names=("svc",),
    categories=("all",),
    columns=COLUMNS,
    fields={
        "spec.clusterIP": lambda service: spec_of(service).get("clusterIP") or "",
        "spec.type": lambda service: spec_of(service).get("type") or "",
    },
    subresources=("status", "proxy"),
)
