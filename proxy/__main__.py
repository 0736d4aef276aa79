"""`python -m proxy`: flags, the node's sysctls, and the tasks of the process."""

import asyncio
import logging
import sys

from machinery.aio.process import CommandFailed
from machinery.api import times
from machinery.client import config as client_config
from machinery.client.informer import Informers
from machinery.client.rest import Client
from machinery.component import flags, health, logs, run
from proxy import config, network
from proxy.config import Flags
from proxy.health_check import health_app, metrics_app
from proxy.iptables import Iptables, has_random_fully
from proxy.proxier import Proxier, Timing
from proxy.rules import RuleConfig

logger = logging.getLogger("proxy")


def main() -> None:
    """Read the flags and run."""
    options = flags.parse(Flags, sys.argv[1:], prog="kube-proxy", no_effect=config.NO_EFFECT)
    logs.setup("proxy", options.v)
    run.run(lambda: clean_up() if options.cleanup else serve(options))


async def clean_up() -> None:
    """Take all rules out; raises Stop when that fails."""
    try:
        await Iptables().clean_up()
    except CommandFailed as problem:
        raise run.Stop(str(problem)) from problem


async def serve(options: Flags) -> None:
    """Everything the process does; raises Stop when it cannot start."""
    try:
        options = config.complete(options)
        server = client_config.load(options.kubeconfig, options.master)
        addresses = [config.endpoint(text) for text in (options.healthz_bind_address, options.metrics_bind_address)]
        network.within([], options.nodeport_addresses)
        tables = Iptables()
        rule_config = await _rule_config(options, tables)
        timing = Timing(times.duration(options.iptables_sync_period), times.duration(options.iptables_min_sync_period))
        network.set_sysctls(sysctls(options))
    except (config.ConfigError, client_config.ConfigError, CommandFailed, ValueError) as problem:
        raise run.Stop(str(problem)) from problem
    async with Client(server, "kube-proxy") as client, asyncio.TaskGroup() as group:
        informers = Informers(client)
        proxier = Proxier(informers, config.node_name(options), rule_config, timing, tables)
        proxier.node_port_cidrs = options.nodeport_addresses
        group.create_task(informers.run(), name="informers")
        for address, app in zip(addresses, (health_app(proxier.health), metrics_app("iptables")), strict=True):
            if address is not None:
                group.create_task(health.serve(app, *address), name=f"serve {address}")
        await proxier.run()


async def _rule_config(options: Flags, tables: Iptables) -> RuleConfig:
    version = await tables.version()
    await tables.check()
    logger.info("using %s", version)
    if not options.cluster_cidr:
        logger.warning("without --cluster-cidr, traffic from outside the cluster to cluster IPs is not masqueraded")
    return RuleConfig(
        cluster_cidr=options.cluster_cidr,
        masquerade_all=options.masquerade_all,
        masquerade_bit=options.iptables_masquerade_bit,
        random_fully=has_random_fully(version),
        localhost_node_ports=options.iptables_localhost_nodeports,
        node_ip="" if options.bind_address in ("", "0.0.0.0", "::") else options.bind_address,
    )


def sysctls(options: Flags) -> dict[str, int]:
    """What the proxy needs of the kernel, by path under /proc/sys; raises ValueError for a duration that is none."""
    timeouts = {
        "tcp_timeout_established": times.duration(options.conntrack_tcp_timeout_established),
        "tcp_timeout_close_wait": times.duration(options.conntrack_tcp_timeout_close_wait),
        "udp_timeout": times.duration(options.conntrack_udp_timeout),
        "udp_timeout_stream": times.duration(options.conntrack_udp_timeout_stream),
    }
    wanted = network.conntrack_sysctls(
        per_core=options.conntrack_max_per_core, minimum=options.conntrack_min, timeouts=timeouts
    )
    if options.iptables_localhost_nodeports:
        wanted["net/ipv4/conf/all/route_localnet"] = 1
    return wanted


if __name__ == "__main__":
    main()
