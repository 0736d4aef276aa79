"""Who may do what, for every kind, verb and usual user: asked of a real server, and worked out from upstream's policy.

The policy is `bootstrap_policy.txt`, which knows nothing of apiserver/authz. The diff shows the kinds both differ on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest

from apiserver.rows import ROWS
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.integration.apiserver_process import ADMIN_TOKEN, ApiserverProcess, tls_context

VERBS: Final = {
    "get": "g",
    "list": "l",
    "watch": "w",
    "create": "c",
    "update": "u",
    "patch": "p",
    "delete": "d",
    "deletecollection": "D",
}
AUTHENTICATED: Final = "system:authenticated"
ACCOUNTS: Final = "system:serviceaccounts"
#: column → user, groups; admin, edit and view are bound in the namespace `web` only
USERS: Final = {
    "admin": ("matrix-admin", (AUTHENTICATED,)),
    "edit": ("matrix-edit", (AUTHENTICATED,)),
    "view": ("matrix-view", (AUTHENTICATED,)),
    "node": ("system:node:n1", ("system:nodes", AUTHENTICATED)),
    "scheduler": ("system:kube-scheduler", (AUTHENTICATED,)),
    "manager": ("system:kube-controller-manager", (AUTHENTICATED,)),
    "anonymous": ("system:anonymous", ("system:unauthenticated",)),
    "other": ("system:serviceaccount:db:default", (ACCOUNTS, f"{ACCOUNTS}:db", AUTHENTICATED)),
}
#: user or group → its roles (upstream: testdata/cluster-role-bindings.yaml; a node's role is the node authorizer's)
ROLES: Final = {
    AUTHENTICATED: ("system:basic-user", "system:discovery", "system:public-info-viewer"),
    "system:unauthenticated": ("system:public-info-viewer",),
    ACCOUNTS: ("system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery"),
    "system:nodes": ("system:node",),
    "system:kube-scheduler": ("system:kube-scheduler", "system:volume-scheduler"),
    "system:kube-controller-manager": ("system:kube-controller-manager",),
}
#: the same within `web`
ROLES_IN_WEB: Final = {
    "matrix-view": ("system:aggregate-to-view",),
    "matrix-edit": ("system:aggregate-to-view", "system:aggregate-to-edit"),
    "matrix-admin": ("system:aggregate-to-view", "system:aggregate-to-edit", "system:aggregate-to-admin"),
}
PATHS: Final = (
    *("/api", "/api/v1", "/apis", "/apis/apps/v1", "/openapi", "/openapi/v3", "/version", "/version/"),
    *("/healthz", "/healthz/etcd", "/livez", "/readyz", "/metrics", "/debug/pprof/", "/logs/"),
    *("/.well-known/openid-configuration", "/openid/v1/jwks", "/"),
)
REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

#: role → (group, resource) → letters
Policy = dict[str, dict[tuple[str, str], str]]


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The rows of bootstrap_policy.txt."""
    found: Policy = {}
    for row in Path(__file__).with_name("bootstrap_policy.txt").read_text().splitlines():
        if not row.startswith("#"):
            role, group, letters, *resources = row.split()
            of_role = found.setdefault(role, {})
            for resource in resources:
                key = ("" if group == '""' else group, resource)
                of_role[key] = of_role.get(key, "") + letters
    return found


def subjects() -> Iterator[tuple[Kind, str]]:
    """Every kind that is served, and each of its subresources."""
    for row in sorted(ROWS, key=lambda row: (row.kind.group, row.kind.plural, row.kind.version)):
        yield row.kind, ""
        for subresource in row.subresources:
            yield row.kind, subresource


def roles_of(user: str, *, in_web: bool) -> list[str]:
    """The roles that count for a request in `web`, or for one outside of all namespaces."""
    name, groups = USERS[user]
    tables = (ROLES, ROLES_IN_WEB) if in_web else (ROLES,)
    return [role for table in tables for subject in (name, *groups) for role in table.get(subject, ())]


def worked_out(policy: Policy, user: str, kind: Kind, subresource: str) -> str:
    """The letters of the verbs that the policy grants a user."""
    key = (kind.group, _resource(kind, subresource))
    letters = ""
    for role in roles_of(user, in_web=kind.namespaced):
        if role == "system:node" and key in policy["node-authorizer"]:
            role = "node-authorizer"
        letters += policy[role].get(key, "") + policy[role].get(("*", "*"), "")
    return "".join(letter if letter in letters else "-" for letter in VERBS.values())


async def review(client: httpx.AsyncClient, user: str, **attributes: Json) -> bool:
    """What the server says."""
    name, groups = USERS[user]
    answer = await client.post(REVIEWS, json={"spec": {"user": name, "groups": list(groups), **attributes}})
    assert answer.status_code == 201, answer.text
    allowed: bool = answer.json()["status"]["allowed"]
    return allowed


async def asked(client: httpx.AsyncClient, user: str, kind: Kind, subresource: str) -> str:
    """The letters of the verbs that the server allows a user."""
    letters = []
    for verb, letter in VERBS.items():
        attributes = {"verb": verb, "group": kind.group, "version": kind.version, "resource": kind.plural}
        attributes |= {"subresource": subresource, "namespace": "web" if kind.namespaced else ""}
        letters.append(letter if await review(client, user, resourceAttributes=attributes) else "-")
    return "".join(letters)


def table(rows: Sequence[tuple[Kind, str]], cells: Sequence[str]) -> list[str]:
    """One line per kind, one column per user."""
    lines = []
    for number, (kind, subresource) in enumerate(rows):
        own = cells[number * len(USERS) : (number + 1) * len(USERS)]
        shown = (f"{user}={letters}" for user, letters in zip(USERS, own, strict=True))
        lines.append(f"{kind.api_version} {_resource(kind, subresource)}: {' '.join(shown)}")
    return lines


def _resource(kind: Kind, subresource: str) -> str:
    return f"{kind.plural}/{subresource}" if subresource else kind.plural


@pytest.fixture
async def reviewer(server: ApiserverProcess) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator, who may ask about everybody."""
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    context = tls_context(server.ca_file)
    async with httpx.AsyncClient(
        base_url=server.url, headers=headers, verify=context, trust_env=False, timeout=60
    ) as client:
        yield client


@pytest.mark.timeout(300)
async def test_every_user_may_what_upstreams_bootstrap_policy_lets_them(
    server: ApiserverProcess, reviewer: httpx.AsyncClient, policy: Policy
) -> None:
    with server.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": "web"}})
        for role in ("admin", "edit", "view"):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
            subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"matrix-{role}"}
            body = {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}
            path = "/apis/rbac.authorization.k8s.io/v1/namespaces/web/rolebindings"
            assert client.post(path, json=body).status_code == 201
    rows = list(subjects())
    limit = asyncio.Semaphore(16)

    async def cell(user: str, row: tuple[Kind, str]) -> str:
        async with limit:
            return await asked(reviewer, user, *row)

    found = await asyncio.gather(*(cell(user, row) for row in rows for user in USERS))
    with server.client() as client:
        client.delete("/api/v1/namespaces/web")
    wanted = [worked_out(policy, user, *row) for row in rows for user in USERS]
    assert table(rows, found) == table(rows, wanted)


async def test_every_user_may_read_the_paths_upstreams_bootstrap_policy_lets_them(
    reviewer: httpx.AsyncClient, policy: Policy
) -> None:
    for user in USERS:
        attributes = ({"verb": "get", "path": path} for path in PATHS)
        found = [path["path"] for path in attributes if await review(reviewer, user, nonResourceAttributes=path)]
        granted = [key[1] for role in roles_of(user, in_web=False) for key in policy[role] if key[0] == "url"]
        assert found == [path for path in PATHS if any(_covers(pattern, path) for pattern in granted)], user


def _covers(pattern: str, path: str) -> bool:
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))
