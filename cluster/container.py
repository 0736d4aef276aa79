"""The cluster in containers, for docker-compose.yml: `certs` writes the keys, `addons` asks the API server for what it
needs beside them, `node NAME` is a node's first process.

The control plane's containers run their component and nothing else; their flags stand in docker-compose.yml. A node
container holds what a node's namespace holds otherwise: containerd, kubelet, proxy and network agent, kept by the same
supervisor. A node gets to see its own keys only.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cluster import addons, api, containerd, control, images, kubeconfigs, machine, pki
from cluster.config import ClusterConfig, Layout, Node, Ports, load, save
from cluster.errors import ClusterError
from cluster.plan import Planner, Programs
from cluster.supervisor import SPECS, Supervisor, is_ready
from machinery.component import tls

OUTPUT: Final = Path("/var/lib/skiff")
API_HOST: Final = "apiserver"


def configuration(addresses: Sequence[str], api_address: str) -> ClusterConfig:
    """The configuration of the cluster in docker-compose.yml; the addresses are the nodes'."""
    nodes = [
        Node(name=f"node-{short}", short=short, address=a) for short, a in zip("abcdefgh", addresses, strict=False)
    ]
    return ClusterConfig(
        id="main",
        nodes=tuple(nodes),
        ports=Ports(),
        api_address=api_address,
        bind_address="0.0.0.0",
        node_subnet=os.environ.get("SKIFF_SUBNET", "172.30.98.0/24"),
        pod_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/16",
        registry_mirror=os.environ.get("SKIFF_REGISTRY_MIRROR", ""),
    )


def write_certs(config: ClusterConfig, output: Path) -> None:
    """Keys and kubeconfigs of the control plane, a directory for each node, `admin.conf` for the user's machine."""
    layout = Layout(output, Path("/run/skiff/main"))
    pki.ensure(layout.pki, pki.certificates(config))
    kubeconfigs.ensure(config, layout)
    for node in config.nodes:
        write_node(config, layout, node)
    # The port is published on the user's machine, so there the API server is on loopback.
    ports = config.ports.model_copy(update={"api": int(os.environ.get("SKIFF_PORT", "6443"))})
    here = config.model_copy(update={"api_address": "127.0.0.1", "ports": ports})
    tls.write_private(layout.admin_kubeconfig, kubeconfigs.text(here, layout.pki, "admin"))


def write_node(config: ClusterConfig, layout: Layout, node: Node) -> None:
    """A home for one node: the configuration and the keys that the node may have."""
    own = Layout(layout.home / node.name, layout.run)
    save(config, own)
    own.pki.mkdir(exist_ok=True)
    (own.home / "kubeconfigs").mkdir(exist_ok=True)
    pairs = [f"{name}-{node.short}.{end}" for name in ("kubelet", "kubelet-server") for end in ("crt", "key")]
    for file in ("ca.crt", *pairs):
        shutil.copy(layout.pki / file, own.pki / file)
    for user in (f"kubelet-{node.short}", "proxy", "cni"):
        shutil.copy(layout.kubeconfig(user), own.kubeconfig(user))


async def run_node(layout: Layout, config: ClusterConfig, node: Node) -> None:
    """Everything a node does, until SIGTERM."""
    prepare_cgroups()
    machine.run("mount", "--make-rshared", "/")
    abilities = containerd.Abilities.of_this_machine()
    containerd.write(config, layout, node, abilities)
    programs = Programs(
        containerd=machine.program("containerd"),
        nsenter="",
        cni_bin=abilities.cni_directory,
        python_env=control.python_env(),
    )
    specs = Planner(config, layout, programs).node(node)
    layout.run.mkdir(parents=True, exist_ok=True)
    layout.processes.write_bytes(SPECS.dump_json(specs))
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(load_images(layout, node))
        await Supervisor(layout.run).main()
        loading.cancel()


async def load_images(layout: Layout, node: Node) -> None:
    """Make the built-in images and load them as soon as containerd answers."""
    ready = next(spec.ready for spec in SPECS.validate_json(layout.processes.read_bytes()) if "containerd" in spec.name)
    archives = []
    for image in images.BUILT_IN.values():
        archive = layout.images / image.file_name
        await asyncio.to_thread(images.build, image, archive)
        archives.append(archive)
    while not await is_ready(ready):  # noqa: ASYNC110 - another process cannot set an event of ours
        await asyncio.sleep(0.1)
    for archive in archives:
        await asyncio.to_thread(images.load, layout, node, archive, again=False)


def prepare_cgroups() -> None:
    """Make the cgroup tree writable, and on version 2 usable."""
    machine.run("mount", "-o", "remount,rw", "/sys", check=False)
    for hierarchy in [machine.CGROUP_ROOT, *machine.cgroup_hierarchies()]:
        machine.run("mount", "-o", "remount,rw,bind", str(hierarchy), check=False)
    if machine.has_unified_cgroups():
        enable_controllers(machine.CGROUP_ROOT)


def enable_controllers(root: Path) -> None:
    """Let children of a version 2 cgroup have limits; for that its own processes must move into a child."""
    ours = root / "init"
    ours.mkdir(exist_ok=True)
    for pid in (root / "cgroup.procs").read_text().split():
        (ours / "cgroup.procs").write_text(pid)
    enabled = " ".join(f"+{name}" for name in (root / "cgroup.controllers").read_text().split())
    (root / "cgroup.subtree_control").write_text(enabled)


def main(argv: Sequence[str]) -> None:
    """`certs ADDRESS…`, `addons` or `node NAME`."""
    if argv[:1] == ["certs"]:
        write_certs(configuration(argv[1:], API_HOST), OUTPUT)
        return
    if argv[:1] == ["addons"]:
        cluster = configuration((), API_HOST)
        with api.client(cluster, Layout.of(OUTPUT)) as http:
            addons.ensure(http, cluster, (OUTPUT / "pki" / "ca.crt").read_bytes())
        return
    layout = Layout.of(OUTPUT)
    config = load(layout)
    node = config.node(argv[1]) if config and argv[:1] == ["node"] and len(argv) > 1 else None
    if config is None or node is None:
        raise ClusterError("say `certs ADDRESS…`, `addons` or `node NAME`; a node needs what `certs` wrote")
    asyncio.run(run_node(layout, config, node))


if __name__ == "__main__":
    main(sys.argv[1:])
