"""A filter under test: run with a scope made by hand, ending in an application that notes who arrived."""

from typing import Any

from apiserver.authz.attributes import Attributes, Decision
from apiserver.filters import exchange
from apiserver.filters.exchange import Receive, Scope, Send
from apiserver.filters.request_info import request_info


class End:
    """The end of a chain: keeps the exchanges that reached it."""

    def __init__(self) -> None:
        self.reached: list[exchange.Exchange] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Arrived."""
        self.reached.append(exchange.of(scope))


class Only:
    """An authorizer that allows the listed (verb, resource, name) and remembers the questions."""

    def __init__(self, *allowed: tuple[str, str, str]) -> None:
        self.allowed = allowed
        self.asked: list[Attributes] = []

    def decide(self, attributes: Attributes) -> Decision:
        """Look it up."""
        self.asked.append(attributes)
        return Decision((attributes.verb, attributes.resource, attributes.name) in self.allowed, "no rule")


def scope_of(method: str, path: str, *headers: tuple[str, str], query: str = "", **extensions: Any) -> Scope:
    """A scope in which an exchange has begun."""
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "extensions": extensions,
    }
    trip = exchange.begin(scope)
    trip.info = request_info(method, path, trip.query)
    return scope


async def nothing() -> Any:
    """A receive nobody should call."""
    raise AssertionError("no filter reads the body")


async def drop(message: Any) -> None:
    """A send."""
