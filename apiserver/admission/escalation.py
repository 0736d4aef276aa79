"""Nobody grants more than they have: roles and bindings are checked against the rules their writer holds.

Upstream does this in the storage of the RBAC kinds (registry/rbac/*/policybased); here it is the last plugin of the
chain, and no flag turns it off. The verbs `escalate` (on roles) and `bind` (on the role referred to) allow what is
refused otherwise.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from apiserver.authz import attributes as authz
from apiserver.authz.attributes import Authorizer, Rule
from apiserver.authz.escalation import described, uncovered
from apiserver.request import User
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_ROLES = (kinds.ROLES, kinds.CLUSTER_ROLES)
_BINDINGS = (kinds.ROLE_BINDINGS, kinds.CLUSTER_ROLE_BINDINGS)
_EVERYTHING = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)
_WRITES = (Operation.CREATE, Operation.UPDATE)


class HeldRules(Protocol):
    """Where the rules somebody holds come from (rbac.RBAC)."""

    def rules_for(self, user: User, namespace: str) -> tuple[Sequence[Rule], bool]:
        """The rules of a user in a namespace."""


class EscalationCheck(Plugin):
    """Refuses grants of what the writer does not hold."""

    name: ClassVar[str] = "RBACEscalationCheck"

    def __init__(self, authorizer: Authorizer, held: HeldRules | None) -> None:
        self._authorizer = authorizer
        self._held = held

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Check roles and bindings that are created or changed."""
        if attributes.obj is None or attributes.operation not in _WRITES or attributes.subresource:
            return
        if attributes.kind in _ROLES:
            self._check_role(attributes, attributes.obj)
        elif attributes.kind in _BINDINGS:
            await self._check_binding(attributes, attributes.obj, reader)

    def _check_role(self, attributes: Attributes, role: Json) -> None:
        old = attributes.old
        if old is not None and all(old.get(part) == role.get(part) for part in ("rules", "aggregationRule")):
            return
        if self._may(attributes, "escalate", attributes.kind, meta.name_of(role)):
            return
        self._check_held(attributes, role.get("rules") or [])
        if role.get("aggregationRule") or (old or {}).get("aggregationRule"):
            self._check_full(attributes)

    def _check_full(self, attributes: Attributes) -> None:
        """What an aggregated role will hold is for others to say: only who holds everything may write one."""
        rules = self._held.rules_for(attributes.user, attributes.namespace)[0] if self._held else ()
        if uncovered(rules, _EVERYTHING):
            raise attributes.forbidden("must have cluster-admin privileges to use the aggregationRule")

    async def _check_binding(self, attributes: Attributes, binding: Json, reader: Reader) -> None:
        old = attributes.old or {}
        reference = binding.get("roleRef") or {}
        if old.get("roleRef") == reference and old.get("subjects") == binding.get("subjects"):
            return
        kind = kinds.ROLES if reference.get("kind") == "Role" else kinds.CLUSTER_ROLES
        name = reference.get("name") or ""
        if self._may(attributes, "bind", kind, name):
            return
        role = await reader.get(kind, attributes.namespace if kind.namespaced else "", name)
        if role is None:
            raise errors.not_found(kind, name)
        self._check_held(attributes, role.get("rules") or [])

    def _may(self, attributes: Attributes, verb: str, kind: Kind, name: str) -> bool:
        if "system:masters" in attributes.user.groups or self._held is None:
            return True
        question = authz.Attributes(
            attributes.user,
            verb,
            group=kind.group,
            version=kind.version,
            resource=kind.plural,
            namespace=attributes.namespace,
            name=name,
        )
        return self._authorizer.decide(question).allowed

    def _check_held(self, attributes: Attributes, wanted: list[Json]) -> None:
        rules = self._held.rules_for(attributes.user, attributes.namespace)[0] if self._held else ()
        missing = uncovered(rules, wanted)
        if missing:
            groups = " ".join(f'"{group}"' for group in attributes.user.groups)
            who = f'user "{attributes.user.name}" (groups=[{groups}])'
            raise attributes.forbidden(
                f"{who} is attempting to grant RBAC permissions not currently held:\n{described(missing)}"
            )
