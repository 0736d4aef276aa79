"""What the command line offers about the cluster itself: up, down, status, logs of a component. The work is in the other modules.

`register(app)` adds the commands to a typer application; `component_logs` and `component_names` are for the `logs` verb,
which shares its name with the one for pods.
"""

from pathlib import Path

import typer

images_app = typer.Typer(no_args_is_help=True, help="Make images from the distribution's packages and load them into nodes.")


def register(app: typer.Typer) -> None:
    """Mount up, down, status, stop, start, restart, kubeconfig, demo and `image` on `app`; `logs` is left to the caller."""
    raise NotImplementedError


def component_names(home: Path | None = None) -> list[str]:
    """Names of the local cluster's processes (etcd, apiserver, kubelet-a …); empty when there is no cluster."""
    raise NotImplementedError


def component_logs(name: str, follow: bool = False, lines: int = -1, home: Path | None = None) -> None:
    """Print a component's log file, the last `lines` of it (-1: all); with `follow`, go on until interrupted."""
    raise NotImplementedError
