"""Pods of deleted nodes, with the collector in this process: its own times are too long for a test."""

import asyncio
import contextlib

from controller_manager.pod_gc import Limits, PodGC
from machinery.api import kinds, meta, pods
from machinery.client.config import load_kubeconfig
from machinery.client.informer import Informers
from machinery.client.rest import Client
from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.controller_manager.world import World


async def test_pods_of_a_deleted_node_are_failed_deleted_and_replaced(world: World, server: ApiserverProcess) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    gone = world.node_names[0]
    doomed = [pod for pod in await world.running() if pods.node_of(pod) == gone]
    assert doomed
    world.nodes.alive.discard(gone)
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    await world.client.patch(kinds.PODS, meta.name_of(doomed[0]), world.namespace, hold)
    await world.client.delete(kinds.NODES, gone)
    async with Client(load_kubeconfig(server.kubeconfig)) as client:
        informers = Informers(client)
        collector = PodGC(client, informers, Limits(period=0.2, quarantine=0.5))
        tasks = [asyncio.create_task(informers.run()), asyncio.create_task(collector.run())]

        async def held_as_failed() -> bool:
            pod = await world.client.get(kinds.PODS, meta.name_of(doomed[0]), world.namespace)
            target = meta.find_condition(pod["status"]["conditions"], "DisruptionTarget") or {}
            return (pods.phase_of(pod), target.get("message")) == ("Failed", "PodGC: node no longer exists")

        await world.eventually(held_as_failed)
        await world.client.patch(
            kinds.PODS, meta.name_of(doomed[0]), world.namespace, {"metadata": {"finalizers": None}}
        )

        async def replaced() -> bool:
            where = [pods.node_of(pod) for pod in await world.items(kinds.PODS)]
            return where == [world.node_names[1]] * 2

        await world.eventually(replaced)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
