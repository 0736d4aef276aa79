"""`python -m controller_manager`: flags, leader election, health, and the tasks of the process."""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from controller_manager import config, registry
from controller_manager.config import Flags
from controller_manager.credentials import AccountClient
from controller_manager.garbage_collector.monitors import MetadataClient
from controller_manager.registry import Context, Work
from machinery.aio.tasks import keep_running
from machinery.client import config as client_config
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.leader_election import LeaderElection, LeadershipLost, run_as_leader
from machinery.client.rest import Client
from machinery.component import flags, logs, run
from machinery.component.delegated import delegation
from machinery.component.health import serve_health
from machinery.component.tls import serving_files

logger = logging.getLogger(__name__)

_PROG = "kube-controller-manager"


def main() -> None:
    """Read the flags and run."""
    # Before the flags: reading them already has something to say.
    logs.setup("controller_manager")
    options = flags.parse(Flags, sys.argv[1:], prog=_PROG, no_effect=config.NO_EFFECT)
    logs.setup("controller_manager", options.v)
    run.run(lambda: serve(options))


async def serve(options: Flags) -> None:
    """Everything the process does; raises Stop when the flags cannot be used or leadership is lost."""
    try:
        server = client_config.load(options.kubeconfig, options.master)
        registry.chosen(options.controllers)
        root_ca = Path(options.root_ca_file).read_bytes() if options.root_ca_file else server.ca
    except (client_config.ConfigError, registry.ConfigError, OSError) as problem:
        raise run.Stop(str(problem)) from problem
    async with Client(server, _PROG) as client, asyncio.TaskGroup() as group:
        group.create_task(_serve_health(options, client), name="health")
        await _lead(client, options, root_ca)


async def _lead(client: Client, options: Flags, root_ca: bytes) -> None:
    if not options.leader_elect:
        await work(client, options, root_ca)
        return
    election = LeaderElection(
        name=options.leader_elect_resource_name,
        namespace=options.leader_elect_resource_namespace,
        identity=config.identity(),
        lease_seconds=options.leader_elect_lease_duration,
        renew_deadline=options.leader_elect_renew_deadline,
        retry=options.leader_elect_retry_period,
    )
    try:
        await run_as_leader(client, election, lambda: work(client, options, root_ca))
    except LeadershipLost as problem:
        raise run.Stop(str(problem)) from problem


async def work(client: Client, options: Flags, root_ca: bytes) -> None:
    """Build and run the controllers that are asked for, until cancelled; raises Stop when one cannot be built."""
    async with AsyncExitStack() as clients, asyncio.TaskGroup() as group:
        informers = Informers(client)
        metadata_client = await clients.enter_async_context(MetadataClient(client.config, f"{_PROG}/metadata"))
        accounts: dict[str, Client] = {}
        if options.use_service_account_credentials:
            for account in registry.ACCOUNTS:
                accounts[account] = await clients.enter_async_context(AccountClient(client, account))

        def recorder_for(sender: Client, component: str) -> EventRecorder:
            recorder = EventRecorder(sender, component)
            group.create_task(recorder.run(), name=f"events of {component}")
            return recorder

        context = Context(
            options,
            informers,
            client,
            metadata_client,
            lambda account: accounts.get(account, client),
            recorder_for,
            root_ca,
        )
        for name, controller in _built(context).items():
            group.create_task(keep_running(name, controller), name=name)
        group.create_task(informers.run(), name="informers")


def _built(context: Context) -> dict[str, Work]:
    """All before the first cache fills: what is added to informers later is told of each object once more."""
    built: dict[str, Work] = {}
    try:
        for entry in registry.chosen(context.flags.controllers):
            controller = entry.build(context)
            if controller is None:
                logger.info("%s has nothing to do with these flags", entry.name)
            else:
                built[entry.name] = controller
    except registry.ConfigError as problem:
        raise run.Stop(str(problem)) from problem
    return built


async def _serve_health(options: Flags, client: Client) -> None:
    readers = await delegation(options, client)
    with serving_files(_PROG, options.tls_cert_file, options.tls_private_key_file, options.cert_dir) as files:
        checks = {"ping": lambda: None}
        await serve_health(options.bind_address, options.secure_port, checks, tls=files, delegation=readers)


if __name__ == "__main__":
    main()
