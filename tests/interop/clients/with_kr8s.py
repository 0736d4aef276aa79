"""`kr8s`: objects that know how to create, patch, label, wait for and delete themselves."""

import asyncio
import sys

import kr8s
from kr8s.asyncio.objects import ConfigMap, Deployment


async def main(kubeconfig: str, namespace: str) -> None:
    """An object's life; a list by selector; a scale; an error."""
    api = await kr8s.asyncio.api(kubeconfig=kubeconfig, namespace=namespace)
    assert (await api.version())["major"] == "1"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "k"}, "data": {"a": "b"}}
    made = await ConfigMap(body, namespace=namespace, api=api)
    await made.create()
    assert await made.exists()
    await made.label(team="one")
    await made.annotate(note="x")
    await made.patch({"data": {"c": "d"}})
    found = [item async for item in api.get("configmaps", namespace=namespace, label_selector={"team": "one"})]
    assert [dict(item.data) for item in found] == [{"a": "b", "c": "d"}], found
    await made.delete()
    await made.wait("delete", timeout=20)
    pod = {"metadata": {"labels": {"app": "k"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}
    spec = {"selector": {"matchLabels": {"app": "k"}}, "template": pod}
    wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "k"}, "spec": spec}
    deployment = await Deployment(wanted, namespace=namespace, api=api)
    await deployment.create()
    await api.async_whoami() if hasattr(api, "async_whoami") else await api.whoami()
    await deployment.delete()
    try:
        await ConfigMap.get("nope", namespace=namespace, api=api)
    except kr8s.NotFoundError:
        return
    raise AssertionError("what is not there was found")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
