"""What a pod's record answers about the attempts of its containers."""

from tests.kubelet.pods import exited, record, running


def test_the_last_attempt_that_ended_is_found_behind_the_one_that_runs() -> None:
    first, second = exited(id="1", created_at=1), exited(id="2", created_at=2)
    seen = record(first, second, running(id="3", created_at=3))
    assert seen.last_ended("main") == second
    assert seen.last_ended("other") is None
    assert record(running()).last_ended("main") is None
