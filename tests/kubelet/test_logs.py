"""Container logs: rendering, tails, limits, following, and which log is meant."""

import io
from pathlib import Path

import pytest

from kubelet.server import log_choice, logs
from kubelet.server.http import Request
from kubelet.server.logs import LogOptions
from machinery.aio.clock import FakeClock
from machinery.api.codec import Json
from tests.kubelet.pods import pod

LINES = b"".join(b"2026-01-01T00:00:0%d.000000000Z stdout F line %d\n" % (n, n) for n in range(6))


async def never() -> bool:
    return False


async def read(path: Path, options: LogOptions) -> bytes:
    return b"".join([chunk async for chunk in logs.read_log(path, options, never, FakeClock())])


@pytest.mark.parametrize(
    ("line", "options", "wanted"),
    [
        pytest.param(b"T stdout F hello\n", LogOptions(), b"hello\n", id="full"),
        pytest.param(b"T stdout P hel\n", LogOptions(), b"hel", id="partial"),
        pytest.param(b"T stdout F hello\n", LogOptions(timestamps=True), b"T hello\n", id="timestamps"),
        pytest.param(b"T stderr F no\n", LogOptions(stream="stdout"), b"", id="other-stream"),
        pytest.param(b"T stdout F a b  c\n", LogOptions(), b"a b  c\n", id="spaces-stay"),
        pytest.param(b"T stdout F \n", LogOptions(), b"\n", id="empty-line"),
        pytest.param(b"junk\n", LogOptions(), b"", id="no-log-line"),
        pytest.param(
            b"2026-01-01T00:00:00.5Z stdout F old\n",
            LogOptions(since=logs.nanoseconds_of("2026-01-01T00:00:01Z")),
            b"",
            id="too-old",
        ),
    ],
)
def test_lines(line: bytes, options: LogOptions, wanted: bytes) -> None:
    assert logs.render(line, options) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:01.000000001+01:00", 1_000_000_001),
    ],
)
def test_times_keep_their_nanoseconds(text: str, wanted: int) -> None:
    assert logs.nanoseconds_of(text) == wanted


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6, 7])
def test_tails_count_lines(count: int) -> None:
    file = io.BytesIO(LINES)
    file.seek(logs.tail_offset(file, count))
    assert file.read().count(b"\n") == min(count, 6)


def test_a_tail_of_a_file_longer_than_a_block() -> None:
    file = io.BytesIO(b"".join(b"%07d\n" % number for number in range(50_000)))
    assert logs.tail_offset(file, 20_000) == 30_000 * 8


async def test_limits_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LINES)
    assert await read(path, LogOptions(limit=10)) == b"line 0\nlin"


async def test_following_ends_with_the_container_and_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LINES)
    asked = 0

    async def is_running() -> bool:
        nonlocal asked
        asked += 1
        with path.open("ab") as file:
            file.write(b"2026-01-01T00:01:0%dZ stdout F late %d\n" % (asked, asked))
        return asked < 3

    clock = FakeClock()
    clock.sleep = _at_once  # type: ignore[method-assign]
    seen = [line async for line in logs.read_log(path, LogOptions(follow=True, tail=1), is_running, clock)]
    assert b"".join(seen) == b"line 5\nlate 1\nlate 2\nlate 3\n"


async def test_following_goes_on_in_the_new_file_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"T stdout F old\n")
    asked = 0

    async def is_running() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            path.rename(tmp_path / "0.log.1")
            path.write_bytes(b"T stdout F new\n")
        return asked < 3

    clock = FakeClock()
    clock.sleep = _at_once  # type: ignore[method-assign]
    seen = [line async for line in logs.read_log(path, LogOptions(follow=True), is_running, clock)]
    assert b"".join(seen) == b"old\nnew\n"


async def _at_once(seconds: float) -> None:
    return None


def status(state: Json, last: Json | None = None) -> Json:
    one = {"name": "main", "state": state, "lastState": last or {}, "containerID": "containerd://now"}
    return pod() | {"status": {"containerStatuses": [one]}}


ENDED = {"terminated": {"containerID": "containerd://before"}}


@pytest.mark.parametrize(
    ("spec", "previous", "wanted"),
    [
        pytest.param(status({"running": {}}), False, "now", id="running"),
        pytest.param(status(ENDED), False, "before", id="ended"),
        pytest.param(status({"waiting": {"reason": "CrashLoopBackOff"}}, ENDED), False, "before", id="crash-loop"),
        pytest.param(status({"running": {}}, ENDED), True, "before", id="previous"),
    ],
)
def test_the_log_that_is_meant(spec: Json, previous: bool, wanted: str) -> None:
    assert log_choice.container_of(spec, "main", previous=previous) == wanted


@pytest.mark.parametrize(
    ("spec", "name", "previous", "message"),
    [
        pytest.param(
            status({"running": {}}),
            "main",
            True,
            'previous terminated container "main" in pod "web" not found',
            id="no-previous",
        ),
        pytest.param(
            status({"waiting": {"reason": "ContainerCreating"}}),
            "main",
            False,
            'container "main" in pod "web" is waiting to start: ContainerCreating',
            id="not-yet",
        ),
        pytest.param(
            status({"waiting": {"reason": "ImagePullBackOff"}}),
            "main",
            False,
            'container "main" in pod "web" is waiting to start: trying and failing to pull image',
            id="no-image",
        ),
        pytest.param(pod(), "main", False, 'container "main" in pod "web" is not available', id="no-status"),
        pytest.param(pod(), "x", False, "container x is not valid for pod web", id="no-such-container"),
    ],
)
def test_why_there_is_no_log(spec: Json, name: str, previous: bool, message: str) -> None:
    with pytest.raises(log_choice.NoLog) as raised:
        log_choice.container_of(spec, name, previous=previous)
    assert str(raised.value) == message


def request(**query: str) -> Request:
    return Request("GET", "/", "/", {key: [value] for key, value in query.items()}, {}, ())


def test_options_are_read() -> None:
    clock = FakeClock()
    options = log_choice.options_of(request(follow="true", tailLines="5", sinceSeconds="10", stream="Stderr"), clock)
    assert options == LogOptions(follow=True, tail=5, since=int((clock.now().timestamp() - 10) * 1e9), stream="stderr")


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(log_choice.NoLog, match="tailLines"):
        log_choice.options_of(request(tailLines="many"), FakeClock())
