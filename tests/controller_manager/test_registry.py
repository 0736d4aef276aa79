"""Which controllers --controllers chooses, and the flags."""

import pytest

from controller_manager.config import NO_EFFECT, Flags
from controller_manager.registry import CONTROLLERS, ConfigError, chosen
from machinery.component import flags

ALL = [entry.name for entry in CONTROLLERS if entry.usual]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        pytest.param(["*"], ALL, id="all"),
        pytest.param(["*", "-deployment-controller"], [n for n in ALL if n != "deployment-controller"], id="but-one"),
        pytest.param(["deployment", "namespace"], ["namespace-controller", "deployment-controller"], id="former-names"),
        pytest.param(["*", "disruption", "ttl"], ALL, id="names-that-are-not-here-yet"),
        pytest.param(["bootstrapsigner"], ["bootstrap-signer-controller"], id="off-unless-it-is-named"),
        pytest.param(["-deployment", "*"], [n for n in ALL if n != "deployment-controller"], id="order-is-no-matter"),
        pytest.param([], [], id="none"),
    ],
)
def test_controllers_are_chosen_by_name(wishes: list[str], expected: list[str]) -> None:
    assert [entry.name for entry in chosen(wishes)] == expected


def test_an_unknown_controller_is_refused_in_upstreams_words() -> None:
    with pytest.raises(ConfigError, match='"deploymint" is not in the list of known controllers'):
        chosen(["deploymint"])


def test_durations_are_read_as_upstream_writes_them() -> None:
    arguments = [
        "--node-monitor-grace-period=1m30s",
        "--leader-elect-lease-duration",
        "500ms",
        "--controllers=*,-podgc",
    ]
    read = flags.parse_or_raise(Flags, arguments, no_effect=NO_EFFECT)
    assert (read.node_monitor_grace_period, read.leader_elect_lease_duration) == (90.0, 0.5)
    assert read.controllers == ["*", "-podgc"]


def test_no_flag_is_both_read_and_ignored() -> None:
    assert not {name.replace("_", "-") for name in Flags.model_fields} & NO_EFFECT
