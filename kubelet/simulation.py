"""Simulated nodes: the kubelet on a fake runtime, one or many in a process. No containers, volumes, cgroups, no root.

Many nodes share one connection's watches: a watch of all pods and one of all nodes, handed on by node name.
"""

import ipaddress
import itertools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kubelet.cgroups import NoCgroups
from kubelet.config import KubeletConfig
from kubelet.environment import Sources
from kubelet.kubelet import Kubelet, Surroundings, Watches
from kubelet.node_status import Capacity, NodeIdentity, machine_memory
from kubelet.probing import Outcome, Prober, Target
from kubelet.runtime_fake import FakeRuntime
from kubelet.volumes.plugin import MountedVolume
from machinery.api import nodes, pods, quantity
from machinery.api.codec import Json
from machinery.api.kinds import NODES, PODS, Kind
from machinery.api.names import ObjectKey
from machinery.client.informer import Informers, OnChange
from machinery.client.rest import Client
from machinery.client.store import Lister

_DISK: Final = 100 << 30
_NOWHERE: Final = Path("/nonexistent")


class NoVolumes:
    """Nothing is mounted where nothing runs."""

    async def mount(self, pod: Json, sources: Sources) -> dict[str, MountedVolume]:
        """Each volume is said to be there."""
        names = [volume["name"] for volume in (pod.get("spec") or {}).get("volumes") or ()]
        return {name: MountedVolume(_NOWHERE) for name in names}


class ContentProber(Prober):
    """Checks over the network succeed: nothing listens at a simulated pod's address, or somebody else's does."""

    async def check(self, probe: Json, target: Target) -> Outcome:
        """Ask the fake runtime where the probe is a command."""
        return await super().check(probe, target) if "exec" in probe else Outcome(True)


class SharedWatches:
    """Stands in for Informers: many nodes' watches over two real ones."""

    def __init__(self, informers: Informers) -> None:
        self._informers = informers
        self._handlers: dict[str, OnChange] = {}
        self._pods = informers.watch(PODS, field_selector="spec.nodeName!=", on_change=self._pod_changed)
        self._nodes = informers.watch(NODES)

    def watch(self, kind: Kind, *, on_change: OnChange | None = None, field_selector: str = "") -> Lister:
        """As Informers.watch, for `spec.nodeName=X` of pods and for nodes."""
        if kind is NODES:
            return self._nodes
        if on_change is not None:
            self._handlers[field_selector.removeprefix("spec.nodeName=")] = on_change
        return self._pods

    async def wait_for_sync(self) -> None:
        """Until both are listed."""
        await self._informers.wait_for_sync()

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        node = pods.node_of(new or old or {})
        handler = self._handlers.get(node)
        if handler is not None:
            handler(old, new)


def simulated_capacity(config: KubeletConfig, cores: int) -> Capacity:
    """What the flags say, else this machine's."""
    memory = quantity.to_int(config.simulated_memory) if config.simulated_memory else machine_memory()
    return Capacity(config.simulated_cpu or cores, memory, _DISK, config.max_pods)


def simulated_names(config: KubeletConfig) -> list[str]:
    """One node by its own name, or many by number."""
    if not config.simulated_nodes:
        return [config.node_name]
    return [f"{config.simulated_name_prefix}{number}" for number in range(config.simulated_nodes)]


def simulated_kubelet(config: KubeletConfig, identity: NodeIdentity, client: Client, watches: Watches) -> Kubelet:
    """One node."""
    own = config.model_copy(update={"root_dir": f"{config.root_dir}/{identity.name}", "pod_manifest_path": ""})
    around = Surroundings(
        client=client,
        informers=watches,
        runtime=FakeRuntime(_addresses(identity.name, watches)),
        cgroups=NoCgroups(),
        volumes=lambda folders, objects: NoVolumes(),
        services=None,
        prober=ContentProber,
        host_pods=False,
    )
    return Kubelet(own, identity, around)


def _addresses(name: str, watches: Watches) -> Callable[[], str]:
    """Addresses out of the node's pod CIDR, round and round."""
    numbers = itertools.count(2)
    number = zlib.crc32(name.encode())
    fallback = f"10.{128 + (number >> 8) % 128}.{number % 256}.0/24"  # until somebody gives the node a pod CIDR
    shown = watches.watch(NODES, field_selector=f"metadata.name={name}")

    def next_ip() -> str:
        cidr = nodes.pod_cidr_of(shown.get(ObjectKey("", name)) or {}) or fallback
        network = ipaddress.ip_network(cidr)
        return str(network[next(numbers) % max(network.num_addresses - 3, 1) + 1])

    return next_ip
