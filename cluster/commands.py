"""What the command line offers about the cluster itself: up, down, status, logs of a component. The work is elsewhere.

`register(app)` adds the commands to a typer application; `component_logs` and `component_names` are for the `logs`
verb, which shares its name with the one for pods.
"""

import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from cluster import api, control, images, kubeconfigs
from cluster import demo as demo_module
from cluster import down as down_module
from cluster import join as join_module
from cluster import status as status_module
from cluster import tokens as tokens_module
from cluster import up as up_module
from cluster.config import ClusterConfig, Layout, load
from cluster.errors import ClusterError
from cluster.plan import LOOPBACK
from cluster.progress import Progress

images_app = typer.Typer(no_args_is_help=True, help="Make images from directories and packages; load them into nodes.")

tokens_app = typer.Typer(no_args_is_help=True, help="Bootstrap tokens, with which other machines join.")

Home = Annotated[
    Path | None,
    typer.Option("--home", envvar="SKIFF_HOME", help="Where the cluster keeps its things; one cluster per home."),
]
Component = Annotated[str, typer.Argument(help="A process as `skiff status` calls it, such as apiserver or kubelet-b.")]
FOLLOW_EVERY: Final = 0.2  # seconds


def register(app: typer.Typer) -> None:
    """Mount up, down, status, stop, start, restart, kubeconfig, demo and `image` on `app`; `logs` is the caller's."""
    for command in (up, down, status, kubeconfig, demo, start, stop, restart):
        app.command()(command)
    app.command()(join)
    app.add_typer(images_app, name="image")
    app.add_typer(tokens_app, name="token")


def reporting(problem: Exception) -> typer.Exit:
    """Show a ClusterError to a person; raise what comes back."""
    typer.echo(f"error: {problem}", err=True)
    return typer.Exit(1)


def existing(home: Path | None) -> tuple[ClusterConfig, Layout]:
    """The cluster of a home; exits with a message where there is none."""
    layout = Layout.of(home)
    config = load(layout)
    if config is None:
        raise reporting(ClusterError(f"there is no cluster in {layout.home}: `skiff up` makes one"))
    return config, layout


def up(
    nodes: Annotated[
        int,
        typer.Option(
            help="How many nodes, each in a network namespace with its own containerd.",
            show_default="2, or as many as there are",
        ),
    ] = 0,
    simulated: Annotated[int, typer.Option(help="How many nodes without containers instead; needs no root.")] = 0,
    registry_mirror: Annotated[str, typer.Option(help="URL of a registry that every image is pulled from.")] = "",
    bind_address: Annotated[
        str, typer.Option(help="Address the API server listens on (default: only the nodes').")
    ] = "",
    base_port: Annotated[int, typer.Option(help="First of the control plane's ports, for clusters side by side.")] = 0,
    home: Home = None,
) -> None:
    """Bring a cluster up on this machine; a second run changes nothing."""
    progress, layout = Progress(), Layout.of(home)
    wish = up_module.Wish(nodes, simulated, registry_mirror, bind_address, base_port)
    try:
        up_module.up(layout, wish, progress)
    except ClusterError as problem:
        raise reporting(problem) from problem
    progress.say(f"\nReady after {progress.elapsed():.1f} s.")
    say_what_next(layout, progress)


def say_what_next(layout: Layout, progress: Progress) -> None:
    """Where the kubeconfig is and what to try."""
    progress.say(f"Kubeconfig: [bold]{layout.admin_kubeconfig}[/bold]\n\nTry:")
    progress.say(f"  export KUBECONFIG={layout.admin_kubeconfig}")
    progress.say("  kubectl get nodes -o wide")
    for line in ("get pods -A", "status", "logs apiserver", "down"):
        progress.say(f"  {own_name()} {line}")


def own_name() -> str:
    """How a person here types our own command: its path where it is not in PATH."""
    installed = Path(sys.executable).with_name("skiff")
    if shutil.which("skiff") or not installed.exists():
        return "skiff"
    return os.path.relpath(installed) if installed.is_relative_to(Path.cwd()) else str(installed)


def join(  # noqa: PLR0913 - an argument is a flag
    server: Annotated[str, typer.Argument(help="ADDRESS:PORT of the cluster's API server.")],
    token: Annotated[str, typer.Option(help="A bootstrap token of that cluster: `skiff token create` there.")],
    discovery_token_ca_cert_hash: Annotated[
        list[str] | None, typer.Option(help="sha256:… of the cluster's CA, as `skiff token create` prints it.")
    ] = None,
    discovery_token_unsafe_skip_ca_verification: Annotated[
        bool, typer.Option(help="Trust the CA that whoever knows the token names.")
    ] = False,
    node_name: Annotated[str, typer.Option(help="The node's name.", show_default="the host name")] = "",
    node_ip: Annotated[str, typer.Option(help="The node's address.", show_default="the one that leads there")] = "",
    simulated: Annotated[bool, typer.Option(help="A node without containers; needs no root.")] = False,
    home: Home = None,
) -> None:
    """Make this machine a node of a cluster that runs somewhere else."""
    progress, layout = Progress(), Layout.of(home)
    hashes, skip = tuple(discovery_token_ca_cert_hash or ()), discovery_token_unsafe_skip_ca_verification
    wish = join_module.Wish(server, token, hashes, skip, node_name, node_ip, simulated)
    try:
        config = join_module.join(layout, wish, progress)
    except ClusterError as problem:
        raise reporting(problem) from problem
    name = config.nodes[0].name
    progress.say(f"\nThis machine is node [bold]{name}[/bold] after {progress.elapsed():.1f} s.")
    progress.say("For logs and exec an administrator approves the certificate of its kubelet's server:")
    progress.say("  kubectl get csr\n  kubectl certificate approve NAME")


@tokens_app.command("create")
def create_token(
    token: Annotated[str, typer.Argument(help="ID.SECRET to use.", show_default="a random one")] = "",
    ttl: Annotated[float, typer.Option(help="Hours that it is good for; 0: for ever.")] = 24.0,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    home: Home = None,
) -> None:
    """Make a token and print the command to join with."""
    config, layout = existing(home)
    try:
        with api.client(config, layout) as http:
            made = tokens_module.create(http, ttl, description, token)
    except (ClusterError, OSError) as problem:
        raise reporting(problem) from problem
    server = f"{config.api_address}:{config.ports.api}"
    typer.echo(tokens_module.join_command("skiff", server, made, layout.pki / "ca.crt"))


@tokens_app.command("list")
def list_tokens(home: Home = None) -> None:
    """Print the tokens there are."""
    config, layout = existing(home)
    try:
        with api.client(config, layout) as http:
            found = tokens_module.listed(http)
    except (ClusterError, OSError) as problem:
        raise reporting(problem) from problem
    typer.echo(f"{'TOKEN':<25}{'EXPIRES':<22}DESCRIPTION")
    for one in found:
        typer.echo(f"{one.text:<25}{one.expires or '<never>':<22}{one.description}".rstrip())


@tokens_app.command("delete")
def delete_token(
    token: Annotated[str, typer.Argument(help="The token or its ID.")],
    home: Home = None,
) -> None:
    """Delete a token; nodes that joined with it stay."""
    config, layout = existing(home)
    try:
        with api.client(config, layout) as http:
            tokens_module.delete(http, token)
    except (ClusterError, OSError) as problem:
        raise reporting(problem) from problem
    typer.echo(f'bootstrap token "{token.partition(".")[0]}" deleted')


def demo(
    simulated: Annotated[int, typer.Option(help="How many simulated nodes instead of two real ones.")] = 0,
    home: Home = None,
) -> None:
    """Bring a cluster up, run the guestbook on it and show its page."""
    progress, layout = Progress(), Layout.of(home)
    try:
        config = up_module.up(layout, up_module.Wish(simulated=simulated), progress)
        progress.say(f"  nodes ready after {progress.elapsed():.1f} s")
        demo_module.demo(config, layout, progress)
    except (ClusterError, TimeoutError) as problem:
        raise reporting(problem) from problem
    progress.say(f"\nDone after {progress.elapsed():.1f} s.")
    if not config.simulated:
        progress.say(f"The guestbook: [bold]{demo_module.node_port_url(config)}[/bold]")
    say_what_next(layout, progress)


def down(
    purge: Annotated[bool, typer.Option(help="Forget what is stored, too: keys, etcd's data, logs.")] = False,
    home: Home = None,
) -> None:
    """Take the cluster down: no process, mount, namespace or cgroup is left. `up` goes on with what was stored."""
    try:
        there_was = down_module.down(Layout.of(home), Progress(), purge=purge)
    except ClusterError as problem:
        raise reporting(problem) from problem
    if not there_was:
        typer.echo("there is no cluster")


def status(home: Home = None) -> None:
    """What runs, where, since when and how often it was restarted; and whether the nodes are ready."""
    config, layout = existing(home)
    if not control.is_running(layout):
        raise reporting(
            ClusterError("the cluster does not run: `skiff up` starts it, `skiff down` clears what is left")
        )
    status_module.print_status(status_module.read(config, layout), Console(highlight=False))


def kubeconfig(
    content: Annotated[bool, typer.Option(help="Print the file and not its path.")] = False,
    merge: Annotated[Path | None, typer.Option(help="Add the context to this kubeconfig and make it current.")] = None,
    home: Home = None,
) -> None:
    """Print the path of the administrator's kubeconfig."""
    _, layout = existing(home)
    path = layout.admin_kubeconfig
    if merge is not None:
        kubeconfigs.merge_file(path, merge)
        typer.echo(f"context added to {merge}")
        return
    typer.echo(path.read_text() if content else str(path), nl=not content)


def stop(component: Component, home: Home = None) -> None:
    """Stop a process of the cluster and leave it stopped."""
    _tell("stop", component, home)
    typer.echo(f"{component} stopped")


def start(component: Component, home: Home = None) -> None:
    """Start a process that was stopped."""
    _tell("start", component, home)
    typer.echo(f"{component} started")


def restart(component: Component, home: Home = None) -> None:
    """Stop a process and start it again."""
    _tell("restart", component, home)
    typer.echo(f"{component} restarted")


def _tell(what: str, component: str, home: Path | None) -> None:
    _, layout = existing(home)
    try:
        names = [state.name for state in control.states(layout)]
        if names and component not in names:
            raise ClusterError(f"there is no component called {component}: there are {', '.join(names)}")
        control.ask(layout, what, component)
    except OSError as problem:
        raise reporting(ClusterError("the cluster does not run")) from problem
    except ClusterError as problem:
        raise reporting(problem) from problem


def scheduler_address(home: Path | None = None) -> tuple[str, Path] | None:
    """Where the local cluster's scheduler answers, and the CA of its certificate; None where there is no cluster."""
    layout = Layout.of(home)
    config = load(layout)
    if config is None or config.joined:
        return None
    return f"https://{LOOPBACK}:{config.ports.scheduler}", layout.pki / "ca.crt"


def component_names(home: Path | None = None) -> list[str]:
    """Names that the local cluster's logs go by (etcd, apiserver, kubelet-a …), after `down` too; empty without one."""
    return sorted(log.stem for log in Layout.of(home).logs.glob("*.log"))


def component_logs(name: str, follow: bool = False, lines: int = -1, home: Path | None = None) -> None:
    """Print a component's log file, the last `lines` of it (-1: all); with `follow`, go on until interrupted."""
    path = Layout.of(home).log(name)
    if not path.exists():
        raise reporting(ClusterError(f"{path} is not there"))
    with path.open(errors="replace") as log:
        text = log.readlines()
        sys.stdout.writelines(text if lines < 0 else text[max(0, len(text) - lines) :])
        while follow:
            sys.stdout.write(log.read())
            sys.stdout.flush()
            time.sleep(FOLLOW_EVERY)
            if path.stat().st_size < log.tell():
                log.seek(0)  # the supervisor emptied it


@images_app.command("build")
def image_build(
    reference: Annotated[str, typer.Argument(help="NAME:TAG, or a built-in image; all of those if left out.")] = "",
    from_dir: Annotated[list[Path] | None, typer.Option(help="A directory whose files go in; may be repeated.")] = None,
    packages: Annotated[str, typer.Option(help="The distribution's packages, with commas between.")] = "",
    entrypoint: Annotated[str, typer.Option(help="What its containers always start, quoted as for a shell.")] = "",
    cmd: Annotated[str, typer.Option(help="The arguments or the command that a pod may replace.")] = "",
    home: Home = None,
) -> None:
    """Make an image, as an archive that nodes and Docker can load; no registry and no Docker needed."""
    layout = Layout.of(home)
    wanted = list(images.BUILT_IN.values()) if not reference else [images.BUILT_IN.get(reference)]
    given = images.Image(
        reference,
        directories=tuple(from_dir or ()),
        packages=tuple(name for name in packages.split(",") if name),
        entrypoint=tuple(shlex.split(entrypoint)),
        command=tuple(shlex.split(cmd)),
    )
    for image in wanted:
        chosen = image or given
        archive = layout.images / chosen.file_name
        try:
            if image is None and not (given.directories or given.packages):
                raise ClusterError(f"{reference} is no built-in image: say what goes in with --packages or --from-dir")
            image_id = images.build(chosen, archive)
        except ClusterError as problem:
            raise reporting(problem) from problem
        typer.echo(f"{chosen.reference}  {image_id}  {archive}")


@images_app.command("load")
def image_load(
    archive: Annotated[str, typer.Argument(help="A docker-archive, or the name of an image that was built here.")],
    node: Annotated[str, typer.Option(help="Only into this node.")] = "",
    home: Home = None,
) -> None:
    """Load an image into the nodes' containerd, so that pods start from it without any registry."""
    config, layout = existing(home)
    chosen = [found] if (found := config.node(node)) else list(config.nodes)
    try:
        if config.simulated:
            raise ClusterError("simulated nodes have no containers and so no images")
        if node and not found:
            raise ClusterError(f"there is no node called {node}")
        path = images.find_archive(layout, archive)
        for each in chosen:
            images.load(layout, each, path)
    except ClusterError as problem:
        raise reporting(problem) from problem
    typer.echo(f"{', '.join(images.read_id(path)[1])}: loaded into {', '.join(each.name for each in chosen)}")
