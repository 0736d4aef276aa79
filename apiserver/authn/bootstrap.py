"""Bootstrap tokens: what a node that is about to join shows, `ID.SECRET` of a Secret in kube-system.

Upstream: plugin/pkg/auth/authenticator/token/bootstrap/bootstrap.go, cluster-bootstrap/token. Expired Secrets are
deleted by the token cleaner of the controller manager; here they only stop being good.
"""

import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.authn.tokens import Found, Lookup
from apiserver.request import User
from machinery.aio.clock import REAL, Clock
from machinery.api import bootstrap_tokens as tokens
from machinery.api import kinds, meta

logger = logging.getLogger(__name__)

USER_PREFIX: Final = "system:bootstrap:"
GROUP: Final = "system:bootstrappers"
_EXTRA_GROUP: Final = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BootstrapTokens:
    """Tells whose a bootstrap token is (flag --enable-bootstrap-token-auth)."""

    lookup: Lookup
    audiences: Sequence[str] = ()
    clock: Clock = REAL

    async def verify(self, token: str, audiences: Sequence[str] = ()) -> Found | None:
        """See TokenAuthenticator. Whatever is wrong with such a token, it is none: upstream tells the log only."""
        parts = tokens.TOKEN.fullmatch(token)
        if parts is None:
            return None
        secret = self.lookup(kinds.SECRETS, tokens.NAMESPACE, f"{tokens.SECRET_PREFIX}{parts[1]}")
        if secret is None or meta.is_being_deleted(secret) or secret.get("type") != tokens.SECRET_TYPE:
            return None
        data = tokens.texts_of(secret)
        why = self._unusable(data, parts[1], parts[2])
        if why:
            logger.info("bootstrap token %s was refused: %s", parts[1], why)
            return None
        groups = (*extra_groups(data), GROUP)
        return User(USER_PREFIX + parts[1], groups=tuple(sorted(groups))), list(audiences or self.audiences)

    def _unusable(self, data: dict[str, str], token_id: str, token_secret: str) -> str:
        if not hmac.compare_digest(data.get("token-secret", "").encode(), token_secret.encode()):
            return "it has another secret"
        if data.get("token-id") != token_id:
            return "its Secret has another id"
        if tokens.is_expired(data, self.clock.now()):
            return "it has expired"
        if data.get("usage-bootstrap-authentication") != "true":
            return "it is not for authentication"
        if any(not _EXTRA_GROUP.fullmatch(group) for group in extra_groups(data)):
            return "a group of it does not begin with system:bootstrappers:"
        return ""


def extra_groups(data: dict[str, str]) -> list[str]:
    """The groups the token brings along."""
    return sorted({group.strip() for group in data.get("auth-extra-groups", "").split(",") if group.strip()})
