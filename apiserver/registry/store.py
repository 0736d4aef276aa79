"""The generic store (stub)."""

from apiserver.registry.resource import Resource


class Store:
    """All objects of one resource."""

    resource: Resource
