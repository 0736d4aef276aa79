"""Every row that discovery and OpenAPI show: kinds with a store, and those that are answered out of hand."""

from typing import Final

from apiserver.handlers import binding, component_status, reviews
from apiserver.registry.resource import Resource
from apiserver.resources import RESOURCES

ROWS: Final[tuple[Resource, ...]] = (
    *RESOURCES,
    *reviews.RESOURCES,
    *binding.RESOURCES,
    *component_status.RESOURCES,
)
