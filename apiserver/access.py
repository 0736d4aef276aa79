"""Who may ask, from flags and files to authenticator and authorizers. Each of them is a module of authn or authz."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from apiserver.authn import keys, token_file
from apiserver.authn.authenticator import Authenticator
from apiserver.authn.service_accounts import Lookup, Signer, Verifier
from apiserver.authz.attributes import Authorizer, RuleLister
from apiserver.authz.authorizer import AlwaysAllow, AlwaysDeny, Masters, Union
from apiserver.authz.node import NodeAuthorizer, NodeGraph
from apiserver.authz.rbac import RBAC, WATCHED
from apiserver.config import Config
from apiserver.following import Apply
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

MODES: Final = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC")


@dataclass(slots=True)
class Access:
    """What decides about requests, and what it has to follow to do so."""

    authenticator: Authenticator
    authorizer: Authorizer
    signer: Signer | None = None
    rbac: RBAC | None = None
    listers: list[RuleLister] = field(default_factory=list)
    followed: list[tuple[Kind, Apply]] = field(default_factory=list)


def create(config: Config, lookup: Lookup) -> Access:
    """Read the files the flags name; raises OSError and ValueError, which say what is wrong with them."""
    members: list[Authorizer] = [Masters()]
    access = Access(_authenticator(config, lookup), Union(members), _signer(config))
    for mode in config.authorization_mode:
        members.append(_authorizer(mode, access))
    return access


def audiences(config: Config) -> list[str]:
    """What tokens for this server are made out to."""
    return list(config.api_audiences or config.service_account_issuer)


def issuer_documents(config: Config, access: Access, host: str) -> tuple[Json, Json] | None:
    """OpenID configuration and keys of the token issuer, if this server is one."""
    verifier = access.authenticator.verifier
    if access.signer is None or verifier is None:
        return None
    configuration = {
        "issuer": access.signer.issuer,
        "jwks_uri": config.service_account_jwks_uri or f"https://{host}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.algorithm for key in verifier.keys}),
    }
    return configuration, keys.jwks(verifier.keys)


def _authorizer(mode: str, access: Access) -> Authorizer:
    if mode == "Node":
        graph = NodeGraph()
        access.followed.append((kinds.PODS, graph.apply))
        return NodeAuthorizer(graph)
    if mode == "RBAC":
        access.rbac = RBAC()
        access.listers.append(access.rbac)
        access.followed += [(kind, partial(access.rbac.follow, kind)) for kind in WATCHED]
        return access.rbac
    if mode == "AlwaysAllow":
        access.listers.append(AlwaysAllow())
        return AlwaysAllow()
    if mode == "AlwaysDeny":
        return AlwaysDeny()
    raise ValueError(f'"{mode}" is not a valid mode; --authorization-mode knows {", ".join(MODES)}')


def _authenticator(config: Config, lookup: Lookup) -> Authenticator:
    tokens = token_file.load(config.token_auth_file) if config.token_auth_file else {}
    verifier = None
    if config.service_account_issuer:
        verifier = Verifier(_verification_keys(config), config.service_account_issuer, audiences(config), lookup)
    # With AlwaysAllow an anonymous client could do everything (upstream turns it off then as well).
    anonymous = config.anonymous_auth and "AlwaysAllow" not in config.authorization_mode
    return Authenticator(tokens, verifier, anonymous)


def _verification_keys(config: Config) -> Sequence[keys.VerificationKey]:
    files = config.service_account_key_file or [config.service_account_signing_key_file]
    return [key for file in files if file for key in keys.load_public(file)]


def _signer(config: Config) -> Signer | None:
    if not config.service_account_signing_key_file or not config.service_account_issuer:
        return None
    return Signer(keys.load_private(config.service_account_signing_key_file), config.service_account_issuer[0])
