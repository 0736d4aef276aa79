"""`python -m scheduler`: flags, leader election, health, and the tasks of the process."""

import asyncio
import importlib
import sys

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from machinery.api import times
from machinery.api.names import ObjectKey
from machinery.client import config as client_config
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.leader_election import LeaderElection, run_as_leader
from machinery.client.rest import Client
from machinery.component import flags, logs, run
from machinery.component.delegated import delegation
from machinery.component.health import serve_health
from machinery.component.tls import serving_files
from scheduler import config
from scheduler.config import Flags, SchedulerConfiguration
from scheduler.extender import Extenders
from scheduler.framework import Handle
from scheduler.reloading import Reloader
from scheduler.scheduler import Scheduler
from scheduler.sharing import Sharing

_DEBUG = "/debug/pods/{namespace}/{name}"


def main() -> None:
    """Read the flags and run."""
    if sys.argv[1:2] == ["simulate"]:
        # not loaded with the process: it prints tables, which takes libraries that a scheduler never needs
        importlib.import_module("scheduler.simulate").main(sys.argv[2:])
        return
    options = flags.parse(Flags, sys.argv[1:], prog="kube-scheduler", no_effect=config.NO_EFFECT)
    logs.setup("scheduler", options.v)
    run.run(lambda: serve(options))


async def serve(options: Flags) -> None:
    """Everything the process does; raises Stop when the configuration cannot be used."""
    try:
        configuration = config.load(options.config)
        profiles = config.check(configuration)
        kubeconfig = options.kubeconfig or configuration.client_connection.kubeconfig
        server = client_config.load(kubeconfig, options.master)
    except (config.ConfigError, client_config.ConfigError) as problem:
        raise run.Stop(str(problem)) from problem
    async with (
        Client(server, "kube-scheduler") as client,
        Extenders(configuration.extenders) as extenders,
        asyncio.TaskGroup() as group,
    ):
        informers = Informers(client, trim=Sharing())
        recorder = EventRecorder(client, config.DEFAULT_SCHEDULER)
        handle = Handle(client, informers)
        try:
            runtimes = {name: config.build(profile, handle) for name, profile in profiles.items()}
        except config.ConfigError as problem:
            raise run.Stop(str(problem)) from problem
        backoff = (configuration.pod_initial_backoff_seconds, configuration.pod_max_backoff_seconds)
        scheduler = Scheduler(handle, recorder, runtimes, backoff=backoff, extenders=extenders)
        if options.reload_plugins:
            group.create_task(Reloader(profiles, handle, scheduler).run(), name="plugins")
        group.create_task(informers.run(), name="informers")
        group.create_task(recorder.run(), name="events")
        group.create_task(_serve_health(options, client, scheduler), name="health")
        await _lead(client, options, configuration, scheduler)


async def _lead(client: Client, options: Flags, configuration: SchedulerConfiguration, scheduler: Scheduler) -> None:
    file = configuration.leader_election
    elect = options.leader_elect if file.leader_elect is None else file.leader_elect
    if not elect:
        await scheduler.run()
        return
    election = LeaderElection(
        name=file.resource_name or options.leader_elect_resource_name,
        namespace=file.resource_namespace or options.leader_elect_resource_namespace,
        identity=config.identity(),
        lease_seconds=times.duration(file.lease_duration or options.leader_elect_lease_duration),
        renew_deadline=times.duration(file.renew_deadline or options.leader_elect_renew_deadline),
        retry=times.duration(file.retry_period or options.leader_elect_retry_period),
    )
    await run_as_leader(client, election, scheduler.run)


async def _serve_health(options: Flags, client: Client, scheduler: Scheduler) -> None:
    async def why(request: Request) -> Response:
        found = scheduler.attempts.get(ObjectKey(request.path_params["namespace"], request.path_params["name"]))
        if found is None:
            return PlainTextResponse("no attempt is remembered\n", 404)
        return JSONResponse(found.describe(scheduler.cache.nodes))

    readers = await delegation(options, client)
    with serving_files(
        "kube-scheduler", options.tls_cert_file, options.tls_private_key_file, options.cert_dir
    ) as files:
        checks, more = {"ping": lambda: None}, [Route(_DEBUG, why)]
        await serve_health(options.bind_address, options.secure_port, checks, more, tls=files, delegation=readers)


if __name__ == "__main__":
    main()
