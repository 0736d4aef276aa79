"""The file of the audit log: lines, rotation, what is kept."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apiserver.audit import log_file
from apiserver.audit.log_file import Limits, LogFile
from machinery.aio.clock import FakeClock


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte is a hundred bytes."""
    monkeypatch.setattr(log_file, "_MEGABYTE", 100)


def names(folder: Path) -> list[str]:
    """The files that are there."""
    return sorted(path.name for path in folder.iterdir())


def test_each_event_is_a_line_and_a_restart_adds_to_them(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.log"
    for number in range(2):
        log = LogFile(str(path), Limits(megabytes=10))
        log.write([{"auditID": str(number)}])
        log.close()
    assert [json.loads(line)["auditID"] for line in path.read_text().splitlines()] == ["0", "1"]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_full_file_is_set_aside_and_only_so_many_are_kept(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 1, 1, tzinfo=UTC))
    log = LogFile(str(tmp_path / "audit.log"), Limits(megabytes=1, backups=2), clock)
    for number in range(5):
        log.write([{"auditID": str(number), "requestURI": "x" * 60}])
        await clock.advance(60)
    log.close()
    assert names(tmp_path) == [
        "audit-2026-01-01T00-03-00.000.log",
        "audit-2026-01-01T00-04-00.000.log",
        "audit.log",
    ]
    assert json.loads((tmp_path / "audit.log").read_text())["auditID"] == "4"


async def test_what_is_older_than_the_days_allowed_goes_and_others_files_stay(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 1, 1, tzinfo=UTC))
    (tmp_path / "audit-notes.log").write_text("mine")
    log = LogFile(str(tmp_path / "audit.log"), Limits(megabytes=1, days=2), clock)
    for _ in range(3):
        log.write([{"requestURI": "x" * 80}])
        await clock.advance(3 * 86400)
    log.close()
    assert names(tmp_path) == ["audit-2026-01-07T00-00-00.000.log", "audit-notes.log", "audit.log"]
