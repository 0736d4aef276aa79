"""Reading what the machine says about itself."""

import socket

import pytest

from cluster import machine
from cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", (1, 6)),
        ("containerd github.com/containerd/containerd/v2 2.1.9 abc", (2, 1)),
        ("containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da", (1, 7)),
    ],
)
def test_a_version_is_found_in_what_containerd_prints(text: str, version: tuple[int, int]) -> None:
    assert machine.parse_version(text) == version


def test_a_text_without_a_version_is_refused() -> None:
    with pytest.raises(ClusterError, match="no version"):
        machine.parse_version("unknown")


def test_a_missing_program_names_its_package() -> None:
    assert "package etcd-server" in machine.missing_program("etcd")
    assert machine.missing_program("unheard-of") == "this machine has no unheard-of"


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(ClusterError, match=r"sh -c .*: it went wrong"):
        machine.run("sh", "-c", "echo it went wrong >&2; exit 3")


def test_a_taken_port_is_replaced_and_no_port_is_given_twice() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        chosen = machine.free_ports("127.0.0.1", [taken, taken, 27990], 27900)
    assert taken not in chosen and len(set(chosen)) == 3 and 27990 in chosen
