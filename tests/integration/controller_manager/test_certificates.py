"""A machine becomes a node: it asks for a certificate, is approved by RBAC's word, and is let in as that node only."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.client.config import ClientConfig, load_kubeconfig
from machinery.client.rest import Client
from machinery.component import tls
from tests.controller_manager import test_certificates as requests
from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.controller_manager.world import World

_BOOTSTRAPPER = "system:bootstrap:abcdef"


def _request(name: str, *usages: str, cn: str, org: str = "system:nodes") -> Json:
    made = requests.csr(*usages, cn=cn, org=org)
    return {**made, "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"} | {
        "metadata": {"name": name}
    }


async def _allow(world: World, role: str) -> None:
    binding: Json = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{world.namespace}-{role.rpartition(':')[2]}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": _BOOTSTRAPPER}],
    }
    await world.client.create(kinds.CLUSTER_ROLE_BINDINGS, binding)


async def test_a_machine_joins_by_a_certificate_request(world: World, server: ApiserverProcess) -> None:
    name = f"{world.namespace}-join"
    await _allow(world, "system:node-bootstrapper")
    await _allow(world, "system:certificates.k8s.io:certificatesigningrequests:nodeclient")
    async with Client(load_kubeconfig(server.kubeconfig_for(_BOOTSTRAPPER, "system:bootstrappers"))) as joining:
        await joining.create(kinds.CERTIFICATE_SIGNING_REQUESTS, _request(name, *requests.CLIENT, cn="system:node:new"))
        await joining.create(
            kinds.CERTIFICATE_SIGNING_REQUESTS, _request(f"{name}-2", *requests.CLIENT, cn="root", org="system:masters")
        )

        async def is_issued() -> bool:
            return bool((await world.client.get(kinds.CERTIFICATE_SIGNING_REQUESTS, name))["status"].get("certificate"))

        await world.eventually(is_issued)
        issued = await joining.get(kinds.CERTIFICATE_SIGNING_REQUESTS, name)
        greedy = await joining.get(kinds.CERTIFICATE_SIGNING_REQUESTS, f"{name}-2")
    condition = meta.find_condition(issued["status"]["conditions"], "Approved") or {}
    assert (condition["reason"], condition["message"]) == (
        "AutoApproved",
        "Auto approving kubelet client certificate after SubjectAccessReview.",
    )
    assert not (greedy.get("status") or {}).get("conditions")
    assert isinstance(requests.KEY, ec.EllipticCurvePrivateKey)
    identity = ClientConfig(
        server.url,
        ca=server.ca_file.read_bytes(),
        certificate=base64.b64decode(issued["status"]["certificate"]),
        key=tls.private_pem(requests.KEY),
    )
    async with Client(identity) as node:
        with pytest.raises(errors.NotFound):
            await node.get(kinds.NODES, "new")
        with pytest.raises(errors.Forbidden, match="system:node:new"):
            await node.get(kinds.SECRETS, "any", world.namespace)


async def test_what_a_signer_may_not_sign_fails_with_its_reason(world: World) -> None:
    name = f"{world.namespace}-bad"
    csr = await world.client.create(
        kinds.CERTIFICATE_SIGNING_REQUESTS, _request(name, *requests.CLIENT, cn="root", org="system:masters")
    )
    condition = {"type": "Approved", "status": "True", "reason": "ByHand", "message": "a mistake"}
    csr["status"] = {"conditions": [condition]}
    await world.client.update(kinds.CERTIFICATE_SIGNING_REQUESTS, csr, subresource="approval")

    async def has_failed() -> bool:
        found = await world.client.get(kinds.CERTIFICATE_SIGNING_REQUESTS, name)
        failed = meta.find_condition(found["status"]["conditions"], "Failed") or {}
        return failed.get("message") == "subject organization is not system:nodes"

    await world.eventually(has_failed)
