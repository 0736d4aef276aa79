"""The chain of admission plugins: first all may change the object, then all may refuse it. Plugins have own files.

Upstream: k8s.io/apiserver/pkg/admission/chain.go. The store calls `mutate` before a strategy prepares and validates,
`validate` after it, as upstream does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from apiserver.admission.attributes import Attributes
from apiserver.admission.reader import Reader
from apiserver.admission.webhook_calls import WebhookCaller
from apiserver.authz.attributes import Authorizer
from machinery.api.codec import Json


@dataclass(frozen=True, slots=True)
class Tools:
    """What some plugins need beside objects."""

    authorizer: Authorizer
    caller: WebhookCaller
    #: --admission-control-config-file: the configuration of each plugin that has one
    configuration: Mapping[str, Json] = field(default_factory=dict)


class Plugin:
    """One plugin; both phases do nothing by default. Raises StatusError to refuse."""

    name: ClassVar[str] = ""

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """A plugin of this server; raises ValueError for a configuration that makes no sense."""
        return cls()

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Change `attributes.obj` in place, or refuse."""

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Refuse, or let pass."""


class Chain:
    """Plugins in their order."""

    def __init__(self, plugins: Sequence[Plugin], reader: Reader) -> None:
        self.plugins = tuple(plugins)
        self._reader = reader

    async def mutate(self, attributes: Attributes) -> None:
        """The mutating phase, again where a webhook changed something; raises the first refusal."""
        for plugin in self.plugins:
            await plugin.mutate(attributes, self._reader)
        if attributes.rounds is not None and attributes.rounds.wanted:
            attributes.rounds.second = True
            for plugin in self.plugins:
                await plugin.mutate(attributes, self._reader)

    async def validate(self, attributes: Attributes) -> None:
        """The validating phase; raises the first refusal."""
        for plugin in self.plugins:
            await plugin.validate(attributes, self._reader)

    async def admit(self, attributes: Attributes) -> None:
        """Both phases in a row, for operations without a strategy between them (delete, connect)."""
        await self.mutate(attributes)
        await self.validate(attributes)
