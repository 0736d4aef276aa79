"""ValidatingAdmissionPolicy: rules about requests in CEL. Who is asked, and what comes of it, is `policy_dispatch`'s.

The plugin itself only looks whether there are any: CEL is loaded with the first one.
"""

from typing import Any, Self

from apiserver.admission.attributes import Attributes
from apiserver.admission.chain import Plugin, Tools
from apiserver.admission.matching import is_exempt
from apiserver.admission.reader import Reader
from machinery.api import kinds, lazy


class ValidatingAdmissionPolicy(Plugin):
    """Refuses, warns, records."""

    name = "ValidatingAdmissionPolicy"

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._dispatcher: Any = None  # a policy_dispatch.Dispatcher

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """Expressions may ask the authorizer."""
        return cls(tools)

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises the first denial, under the reason its policy chose."""
        policies = reader.all(kinds.VALIDATING_POLICIES)
        if not policies or is_exempt(attributes.kind):
            return
        if self._dispatcher is None:
            self._dispatcher = lazy.load("apiserver.admission.policy_dispatch").Dispatcher(self._tools.authorizer)
        await self._dispatcher.validate(attributes, reader, policies)
