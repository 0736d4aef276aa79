"""`kubernetes_asyncio`: the same API on asyncio; a watch beside writers."""

import asyncio
import sys

from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.exceptions import ApiException


async def main(kubeconfig: str, namespace: str) -> None:
    """Twenty writers, one watch, an error, server-side apply."""
    await config.load_kube_config(kubeconfig)
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        version = (await core.list_namespaced_config_map(namespace)).metadata.resource_version

        async def write(number: int) -> None:
            body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"a-{number}"), data={})
            await core.create_namespaced_config_map(namespace, body)
            await core.patch_namespaced_config_map(f"a-{number}", namespace, {"data": {"n": str(number)}})
            await core.delete_namespaced_config_map(f"a-{number}", namespace)

        writers = asyncio.gather(*(write(number) for number in range(20)))
        seen: dict[str, list[str]] = {}
        async with watch.Watch().stream(
            core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=30
        ) as events:
            async for event in events:
                seen.setdefault(event["object"].metadata.name, []).append(event["type"])
                if sum(len(types) for types in seen.values()) == 60:
                    break
        await writers
        assert set(map(tuple, seen.values())) == {("ADDED", "MODIFIED", "DELETED")}, seen
        try:
            await core.read_namespaced_secret("nope", namespace)
        except ApiException as problem:
            assert problem.status == 404
        else:
            raise AssertionError("what is not there was found")
        wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied-a"}, "data": {"a": "1"}}
        made = await core.patch_namespaced_config_map(
            "applied-a", namespace, wanted, field_manager="me", _content_type="application/apply-patch+yaml"
        )
        assert made.metadata.managed_fields[0].operation == "Apply"


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
