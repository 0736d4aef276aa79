"""ServiceAccounts; their tokens are minted by the handler of the token subresource."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from machinery.api import kinds


class ServiceAccountStrategy(KindStrategy):
    """Nothing special but what DELETE answers."""

    returns_deleted_object = True


SERVICE_ACCOUNTS: Final = Resource(
    kind=kinds.SERVICE_ACCOUNTS,
    key="serviceaccounts",
    strategy=ServiceAccountStrategy(),
    short_names=("sa",),
    columns=(Column("Secrets", lambda account: len(account.get("secrets") or ())), AGE),
    subresources=("token",),
)
