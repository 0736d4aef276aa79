"""Roles (upstream: pkg/registry/rbac/role)."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.columns import CREATED_AT
from apiserver.resources.rbac.rules import RoleStrategy
from machinery.api import kinds

ROLES: Final = Resource(kind=kinds.ROLES, key="roles", strategy=RoleStrategy(), columns=(CREATED_AT,))
