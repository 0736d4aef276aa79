"""Who may ask, from flags and files to authenticator and authorizers. Each of them is a module of authn or authz."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from apiserver.authn import front_proxy, keys, oidc, token_file
from apiserver.authn.authenticator import Authenticator
from apiserver.authn.bootstrap import BootstrapTokens
from apiserver.authn.front_proxy import FrontProxy
from apiserver.authn.oidc import OIDC
from apiserver.authn.service_accounts import Signer, Verifier
from apiserver.authn.token_file import TokenFile
from apiserver.authn.tokens import Lookup, TokenAuthenticator
from apiserver.authz.attributes import Authorizer, RuleLister
from apiserver.authz.authorizer import AlwaysAllow, AlwaysDeny, Masters, Union
from apiserver.authz.node import NodeAuthorizer, NodeGraph
from apiserver.authz.rbac import RBAC, WATCHED
from apiserver.config import Config
from apiserver.following import Apply
from machinery.api import codec, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

MODES: Final = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC")


@dataclass(slots=True)
class Access:
    """What decides about requests, and what it has to follow to do so."""

    authenticator: Authenticator
    authorizer: Authorizer
    signer: Signer | None = None
    verifier: Verifier | None = None
    rbac: RBAC | None = None
    listers: list[RuleLister] = field(default_factory=list)
    followed: list[tuple[Kind, Apply]] = field(default_factory=list)


def create(config: Config, lookup: Lookup) -> Access:
    """Read the files the flags name; raises OSError and ValueError, which say what is wrong with them."""
    members: list[Authorizer] = [Masters()]
    verifier = _verifier(config, lookup)
    access = Access(_authenticator(config, lookup, verifier), Union(members), _signer(config), verifier)
    for mode in config.authorization_mode:
        members.append(_authorizer(mode, access))
    return access


def audiences(config: Config) -> list[str]:
    """What tokens for this server are made out to."""
    return list(config.api_audiences or config.service_account_issuer)


def published_trust(config: Config) -> dict[str, str]:
    """What other servers read of kube-system/extension-apiserver-authentication; raises OSError."""
    trust = {}
    if config.client_ca_file:
        trust["client-ca-file"] = Path(config.client_ca_file).read_text()
    if config.requestheader_client_ca_file:
        trust["requestheader-client-ca-file"] = Path(config.requestheader_client_ca_file).read_text()
        trust["requestheader-allowed-names"] = _list_text(config.requestheader_allowed_names)
        trust["requestheader-username-headers"] = _list_text(config.requestheader_username_headers)
        trust["requestheader-uid-headers"] = _list_text(config.requestheader_uid_headers)
        trust["requestheader-group-headers"] = _list_text(config.requestheader_group_headers)
        trust["requestheader-extra-headers-prefix"] = _list_text(config.requestheader_extra_headers_prefix)
    return trust


def _list_text(values: Sequence[str]) -> str:
    return codec.dumps(list(values)).decode()


def issuer_documents(config: Config, access: Access, host: str) -> tuple[Json, Json] | None:
    """OpenID configuration and keys of the token issuer, if this server is one."""
    verifier = access.verifier
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
        access.followed += [
            (kinds.PODS, graph.apply),
            (kinds.RESOURCE_SLICES, graph.apply_slice),
            (kinds.PERSISTENT_VOLUMES, graph.apply_volume),
            (kinds.VOLUME_ATTACHMENTS, graph.apply_attachment),
            (kinds.POD_CERTIFICATE_REQUESTS, graph.apply_certificate_request),
        ]
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


def _verifier(config: Config, lookup: Lookup) -> Verifier | None:
    if not config.service_account_issuer:
        return None
    return Verifier(_verification_keys(config), config.service_account_issuer, audiences(config), lookup)


def _authenticator(config: Config, lookup: Lookup, verifier: Verifier | None) -> Authenticator:
    tokens: list[TokenAuthenticator] = []
    if config.token_auth_file:
        tokens.append(TokenFile(token_file.load(config.token_auth_file)))
    if verifier is not None:
        tokens.append(verifier)
    if config.enable_bootstrap_token_auth:
        tokens.append(BootstrapTokens(lookup, audiences(config)))
    if config.oidc_issuer_url:
        tokens.append(OIDC(_oidc_settings(config)))
    # With AlwaysAllow an anonymous client could do everything (upstream turns it off then as well).
    anonymous = config.anonymous_auth and "AlwaysAllow" not in config.authorization_mode
    return Authenticator(tokens, anonymous, _front_proxy(config))


def _oidc_settings(config: Config) -> oidc.Settings:
    required = dict(pair.split("=", 1) for pair in config.oidc_required_claim)
    return oidc.Settings(
        issuer=config.oidc_issuer_url,
        client_id=config.oidc_client_id,
        ca_file=config.oidc_ca_file,
        username_claim=config.oidc_username_claim,
        username_prefix=config.oidc_username_prefix,
        groups_claim=config.oidc_groups_claim,
        groups_prefix=config.oidc_groups_prefix,
        required_claims=required,
        algorithms=config.oidc_signing_algs,
    )


def _front_proxy(config: Config) -> FrontProxy | None:
    if not config.requestheader_client_ca_file:
        return None
    settings = front_proxy.Settings(
        ca_file=config.requestheader_client_ca_file,
        allowed_names=config.requestheader_allowed_names,
        username_headers=config.requestheader_username_headers,
        uid_headers=config.requestheader_uid_headers,
        group_headers=config.requestheader_group_headers,
        extra_prefixes=config.requestheader_extra_headers_prefix,
    )
    return FrontProxy(settings, Path(config.client_ca_file).read_bytes() if config.client_ca_file else b"")


def _verification_keys(config: Config) -> Sequence[keys.VerificationKey]:
    files = config.service_account_key_file or [config.service_account_signing_key_file]
    return [key for file in files if file for key in keys.load_public(file)]


def _signer(config: Config) -> Signer | None:
    if not config.service_account_signing_key_file or not config.service_account_issuer:
        return None
    return Signer(keys.load_private(config.service_account_signing_key_file), config.service_account_issuer[0])
