"""Static tokens from --token-auth-file: CSV lines of token, user, uid and optional groups. Read once, at start."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apiserver.authn.tokens import Found
from apiserver.request import User


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The tokens of the file; they are good for every audience."""

    users: Mapping[str, User]

    async def verify(self, token: str, audiences: Sequence[str] = ()) -> Found | None:
        """See TokenAuthenticator."""
        user = self.users.get(token)
        return (user, list(audiences)) if user is not None else None


def load(path: str) -> dict[str, User]:
    """Token → user; raises ValueError on a line with fewer than three columns (upstream: tokenfile.go)."""
    users: dict[str, User] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 3:
                raise ValueError(f"{path}:{number}: a token needs at least token, user name and user uid")
            groups = tuple(group.strip() for group in row[3].split(",") if group.strip()) if len(row) > 3 else ()
            users[row[0]] = User(row[1], row[2], groups)
    return users
