"""Flags: upstream's ways of writing them, and what is said about mistakes."""

import pytest
from pydantic import BaseModel, Field

from machinery.component import flags


class _Flags(BaseModel):
    secure_port: int = Field(6443, description="The port.")
    leader_elect: bool = True
    etcd_servers: list[str] = []
    node_labels: dict[str, str] = {}
    period: float | None = None
    name: str = ""


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        ([], "secure_port", 6443),
        (["--secure-port", "1"], "secure_port", 1),
        (["--secure-port=2"], "secure_port", 2),
        (["--secure_port=2"], "secure_port", 2),
        (["--leader-elect=false"], "leader_elect", False),
        (["--leader-elect", "--name", "x"], "leader_elect", True),
        (["--etcd-servers", "a,b", "--etcd-servers=c"], "etcd_servers", ["a", "b", "c"]),
        (["--node-labels", "a=b,c=d=e"], "node_labels", {"a": "b", "c": "d=e"}),
        (["--period", "1.5"], "period", 1.5),
        (["--name="], "name", ""),
        (["--name", "--odd"], "name", "--odd"),
        (["--ignored", "x", "--ignored=y", "--ignored", "--name=n"], "name", "n"),
    ],
)
def test_flags_are_read_as_upstreams(argv: list[str], field: str, value: object) -> None:
    assert getattr(flags.parse_or_raise(_Flags, argv, no_effect=("ignored",)), field) == value


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--secure-prt=1"], "unknown flag: --secure-prt; did you mean --secure-port?"),
        (["--zzz"], "unknown flag: --zzz"),
        (["stray"], 'unknown command "stray"'),
        (["--secure-port"], "flag needs an argument: --secure-port"),
        (["--secure-port=x"], 'invalid argument "x" for "--secure-port" flag'),
    ],
)
def test_mistakes_are_named(argv: list[str], message: str) -> None:
    with pytest.raises(flags.FlagError, match=message.replace("?", r"\?")):
        flags.parse_or_raise(_Flags, argv)


def test_a_mistake_on_the_command_line_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        flags.parse(_Flags, ["--nope"], prog="kube-test")
    assert exit_.value.code == 2
    assert "unknown flag: --nope" in capsys.readouterr().err


def test_help_lists_flags_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        flags.parse(_Flags, ["--help"], prog="kube-test")
    assert exit_.value.code == 0
    assert "--secure-port\n        The port. (default 6443)" in capsys.readouterr().out
