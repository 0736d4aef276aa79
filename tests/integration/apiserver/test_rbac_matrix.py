"""Who may do what, for every kind, verb and usual user: asked of a real server, compared with a golden table.

The table is what upstream's bootstrap policy comes to (pkg/auth/authorizer/rbac/bootstrappolicy). It is rewritten
with `UPDATE_GOLDEN=1`, and read in the diff.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from apiserver.rows import ROWS
from machinery.api.kinds import Kind
from tests.integration.apiserver_process import ADMIN_TOKEN, ApiserverProcess, tls_context

GOLDEN: Final = Path(__file__).with_name("rbac_matrix.golden")
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
REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def subjects() -> Iterator[tuple[Kind, str]]:
    """Every kind that is served, and each of its subresources."""
    for row in sorted(ROWS, key=lambda row: (row.kind.group, row.kind.plural, row.kind.version)):
        yield row.kind, ""
        for subresource in row.subresources:
            yield row.kind, subresource


async def may(client: httpx.AsyncClient, user: str, kind: Kind, subresource: str) -> str:
    """The letters of the verbs a user may do."""
    name, groups = USERS[user]
    letters = []
    for verb, letter in VERBS.items():
        attributes = {"verb": verb, "group": kind.group, "version": kind.version, "resource": kind.plural}
        attributes |= {"subresource": subresource, "namespace": "web" if kind.namespaced else ""}
        spec = {"user": name, "groups": list(groups), "resourceAttributes": attributes}
        answer = await client.post(REVIEWS, json={"spec": spec})
        assert answer.status_code == 201, answer.text
        letters.append(letter if answer.json()["status"]["allowed"] else "-")
    return "".join(letters)


async def matrix(server: ApiserverProcess) -> str:
    """One line per kind, one column per user."""
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    context = tls_context(server.ca_file)
    async with httpx.AsyncClient(
        base_url=server.url, headers=headers, verify=context, trust_env=False, timeout=60
    ) as client:
        rows = list(subjects())
        limit = asyncio.Semaphore(16)

        async def cell(user: str, row: tuple[Kind, str]) -> str:
            async with limit:
                return await may(client, user, *row)

        cells = await asyncio.gather(*(cell(user, row) for row in rows for user in USERS))
    width = max(len(_title(*row)) for row in rows)
    lines = [" ".join(["".ljust(width), *(user.ljust(len(VERBS) + 1) for user in USERS)]).rstrip()]
    for number, row in enumerate(rows):
        own = cells[number * len(USERS) : (number + 1) * len(USERS)]
        lines.append(" ".join([_title(*row).ljust(width), *(text.ljust(len(VERBS) + 1) for text in own)]).rstrip())
    return "\n".join(lines) + "\n"


def _title(kind: Kind, subresource: str) -> str:
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return f"{kind.api_version} {resource}"


@pytest.mark.timeout(300)
async def test_every_user_may_what_upstreams_bootstrap_policy_lets_them(server: ApiserverProcess) -> None:
    with server.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": "web"}})
        for role in ("admin", "edit", "view"):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
            subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"matrix-{role}"}
            body = {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}
            path = "/apis/rbac.authorization.k8s.io/v1/namespaces/web/rolebindings"
            assert client.post(path, json=body).status_code == 201
    found = await matrix(server)
    with server.client() as client:
        client.delete("/api/v1/namespaces/web")
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()
