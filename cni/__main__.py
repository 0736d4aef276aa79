"""`python -m cni`: flags and the tasks of the process."""

import asyncio
import sys
from pathlib import Path

from cni import config, host
from cni.agent import Agent
from cni.config import Flags
from cni.plan import Settings
from machinery.aio.process import CommandFailed
from machinery.api import times
from machinery.client import config as client_config
from machinery.client.informer import Informers
from machinery.client.rest import Client
from machinery.component import flags, logs, run
from machinery.component.health import serve_health


def main() -> None:
    """Read the flags and run."""
    options = flags.parse(Flags, sys.argv[1:], prog="cni")
    logs.setup("cni", options.v)
    run.run(lambda: clean_up(options) if options.cleanup else serve(options))


async def clean_up(options: Flags) -> None:
    """Take everything away; raises Stop when that fails."""
    try:
        await host.clean_up(Path(options.cni_conf_dir), settings_of(options))
    except CommandFailed as problem:
        raise run.Stop(str(problem)) from problem


async def serve(options: Flags) -> None:
    """Everything the process does; raises Stop when it cannot start."""
    try:
        server = client_config.load(options.kubeconfig, options.master)
        sync_period = times.duration(options.sync_period)
        address, _, port = options.healthz_bind_address.rpartition(":")
        health = (address, int(port or "0"))
    except (client_config.ConfigError, ValueError) as problem:
        raise run.Stop(str(problem)) from problem
    async with Client(server, "cni") as client, asyncio.TaskGroup() as group:
        informers = Informers(client)
        agent = Agent(client, informers, config.node_name(options), Path(options.cni_conf_dir), settings_of(options))
        group.create_task(informers.run(), name="informers")
        group.create_task(serve_health(*health, {"sync": lambda: agent.problem}), name="health")
        await agent.run(sync_period)


def settings_of(options: Flags) -> Settings:
    """The part of the flags that decides about the network."""
    return Settings(options.bridge, options.cni_data_dir, options.cluster_cidr, options.mtu)


if __name__ == "__main__":
    main()
