"""Service accounts, their tokens, the root CA, and the process as such."""

import base64

import httpx
import pytest

from controller_manager.service_account_tokens import ACCOUNT_NAME, TYPE
from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.integration.apiserver_process import ADMIN_TOKEN, ApiserverProcess
from tests.integration.controller_manager.process import ControllerManagerProcess
from tests.integration.controller_manager.world import World


async def test_a_namespace_gets_its_account_and_root_ca_and_gets_them_back(
    world: World, server: ApiserverProcess
) -> None:
    async def both_are_there() -> bool:
        ca = await world.find(kinds.CONFIG_MAPS, "kube-root-ca.crt") or {}
        account = await world.find(kinds.SERVICE_ACCOUNTS, "default")
        return account is not None and ca.get("data") == {"ca.crt": server.ca_file.read_text()}

    await world.eventually(both_are_there)
    await world.client.delete(kinds.SERVICE_ACCOUNTS, "default", world.namespace)
    await world.client.patch(kinds.CONFIG_MAPS, "kube-root-ca.crt", world.namespace, {"data": {"ca.crt": "forged"}})
    await world.eventually(both_are_there)


async def test_a_token_secret_is_filled_works_and_goes_with_its_account(world: World, server: ApiserverProcess) -> None:
    metadata: Json = {"name": "robot", "namespace": world.namespace}
    await world.client.create(
        kinds.SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    )
    metadata = {"name": "robot-token", "namespace": world.namespace, "annotations": {ACCOUNT_NAME: "robot"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": TYPE, "metadata": metadata}
    await world.client.create(kinds.SECRETS, secret)
    token = ""

    async def filled() -> bool:
        nonlocal token
        found = await world.client.get(kinds.SECRETS, "robot-token", world.namespace)
        token = base64.b64decode((found.get("data") or {}).get("token", "")).decode()
        return bool(token)

    await world.eventually(filled)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = await world.client.create(kinds.TOKEN_REVIEWS, review)
    assert answer["status"]["user"]["username"] == f"system:serviceaccount:{world.namespace}:robot"
    await world.client.delete(kinds.SERVICE_ACCOUNTS, "robot", world.namespace)

    async def gone() -> bool:
        return await world.find(kinds.SECRETS, "robot-token") is None

    await world.eventually(gone)


async def test_each_controller_acts_as_its_own_account(world: World) -> None:
    await world.deploy(replicas=1)
    await world.rolled_out()
    found = await world.client.list(kinds.SERVICE_ACCOUNTS, "kube-system")
    names = {meta.name_of(account) for account in found["items"]}
    assert {"deployment-controller", "replicaset-controller", "root-ca-cert-publisher"} <= names


async def test_a_second_manager_waits_and_takes_over(
    world: World, server: ApiserverProcess, manager: ControllerManagerProcess
) -> None:
    second = ControllerManagerProcess(server)
    second.start()
    try:
        assert "became leader" not in second.log()
        manager.stop()
        await world.deploy(replicas=2)
        await world.rolled_out(seconds=60)
        assert "became leader" in second.log()
    finally:
        second.stop()
        manager.start()


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        *((path, "", 200) for path in ("/healthz", "/livez", "/readyz")),
        ("/metrics", "", 403),
        ("/metrics", "nobodys", 401),
        ("/metrics", ADMIN_TOKEN, 200),
    ],
)
async def test_health_and_metrics_are_served(
    manager: ControllerManagerProcess, path: str, token: str, status: int
) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(verify=False, trust_env=False, headers=headers) as client:
        assert (await client.get(f"https://127.0.0.1:{manager.port}{path}")).status_code == status


async def test_an_account_that_was_revoked_is_made_anew(world: World) -> None:
    await world.client.delete(kinds.SERVICE_ACCOUNTS, "deployment-controller", "kube-system")
    await world.deploy(replicas=1)
    await world.rolled_out()
