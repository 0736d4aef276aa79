"""Quotas on a real server: many at once get exactly what is there."""

import asyncio
from collections import Counter

from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.client.config import load_kubeconfig
from machinery.client.rest import Client
from tests.integration.apiserver_process import ApiserverProcess


async def test_of_a_hundred_at_once_ten_fit_into_a_quota_of_ten(server: ApiserverProcess) -> None:
    async with Client(load_kubeconfig(server.kubeconfig)) as client:
        namespace: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "race"}}
        await client.create(kinds.NAMESPACES, namespace)
        quota: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "ten", "namespace": "race"}}
        created = await client.create(kinds.RESOURCE_QUOTAS, {**quota, "spec": {"hard": {"configmaps": "10"}}})
        status = {"hard": {"configmaps": "10"}, "used": {"configmaps": "0"}}
        await client.update_status(kinds.RESOURCE_QUOTAS, {**created, "status": status})

        async def create(number: int) -> str:
            metadata: Json = {"name": f"m{number}", "namespace": "race"}
            try:
                await client.create(kinds.CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
            except errors.Forbidden as problem:
                return problem.message.partition(": ")[2]
            return "created"

        seen = Counter(await asyncio.gather(*(create(number) for number in range(100))))
        refusal = "exceeded quota: ten, requested: configmaps=1, used: configmaps=10, limited: configmaps=10"
        assert seen == {"created": 10, refusal: 90}
        listed = await client.list(kinds.CONFIG_MAPS, "race")
        assert len(listed["items"]) == 10
        now = await client.get(kinds.RESOURCE_QUOTAS, "ten", "race")
        assert now["status"]["used"] == {"configmaps": "10"}
