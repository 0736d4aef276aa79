"""The union of authorizers as --authorization-mode orders them. Each authorizer is a module of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.authz.attributes import ALLOW, NO_OPINION, Attributes, Authorizer, Decision, Rule
from apiserver.request import User

MASTERS: Final = "system:masters"


class AlwaysAllow:
    """--authorization-mode=AlwaysAllow."""

    def decide(self, attributes: Attributes) -> Decision:
        """Yes."""
        return ALLOW

    def rules_for(self, user: User, namespace: str) -> tuple[Sequence[Rule], bool]:
        """Everything."""
        every = frozenset("*")
        return [Rule(every, every, every), Rule(every, urls=every)], False


class AlwaysDeny:
    """--authorization-mode=AlwaysDeny."""

    def decide(self, attributes: Attributes) -> Decision:
        """No."""
        return Decision(False, "Everything is forbidden.")


class Masters:
    """system:masters may do everything, before any other authorizer is asked; no rule can take that away."""

    def decide(self, attributes: Attributes) -> Decision:
        """Yes to the group, no opinion on others."""
        return ALLOW if MASTERS in attributes.user.groups else NO_OPINION


@dataclass(frozen=True, slots=True)
class Union:
    """The first authorizer with an opinion decides; the reasons of those without one are kept for the answer."""

    members: Sequence[Authorizer]

    def decide(self, attributes: Attributes) -> Decision:
        """Ask in order."""
        reasons = []
        for member in self.members:
            decision = member.decide(attributes)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))
