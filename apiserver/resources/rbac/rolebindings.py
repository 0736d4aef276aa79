"""RoleBindings (upstream: pkg/registry/rbac/rolebinding)."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.rbac.rules import BINDING_COLUMNS, BindingStrategy
from machinery.api import kinds

ROLE_BINDINGS: Final = Resource(
    kind=kinds.ROLE_BINDINGS, key="rolebindings", strategy=BindingStrategy(), columns=BINDING_COLUMNS
)
