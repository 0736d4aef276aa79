"""GET of a collection: selected, paged, at the revision asked for."""

from apiserver.handlers import options, rendering
from apiserver.handlers.options import Token
from apiserver.registry.store import Store
from apiserver.request import Answer, Request
from apiserver.storage.listing import Listing, Query
from machinery.api import errors
from machinery.api.codec import Json


class ContinueExpired(errors.Expired):
    """A continue token whose revision is compacted; the Status brings another that goes on inconsistently."""

    def __init__(self, start: str) -> None:
        super().__init__(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
            "the results. Continuing with the provided token results in an inconsistent list - objects that were "
            "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
            "list."
        )
        self._token = Token(options.INCONSISTENT, start).encode()

    def status(self) -> Json:
        """The Status, with metadata.continue."""
        return super().status() | {"metadata": {"continue": self._token}}


async def handle(request: Request, store: Store) -> Answer:
    """The list; raises Expired, and Timeout for a revision that is not reached."""
    listing = await page(request, store, options.list_query(request, store.resource))
    return rendering.list_answer(request, store.resource, listing)


async def page(request: Request, store: Store, query: Query) -> Listing:
    """One page; a token that is too old gets its own refusal."""
    try:
        return await store.list(query)
    except errors.Expired as problem:
        token = request.param("continue")
        if not token:
            raise
        raise ContinueExpired(Token.decode(token).start) from problem
