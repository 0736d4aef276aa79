"""The table of a pod's life."""

import pytest

from kubelet.pod_state import ORDER, TRANSITIONS, ImpossibleTransition, PodEvent, PodState, after


def test_no_transition_goes_backwards() -> None:
    assert all(ORDER.index(new) >= ORDER.index(old) for (old, _), new in TRANSITIONS.items())


def test_every_state_takes_updates_and_wishes_to_stop() -> None:
    for state in PodState:
        assert after(state, PodEvent.UPDATED) is state
        assert after(state, PodEvent.STOP_ASKED) is not PodState.SYNCING


def test_every_state_can_be_left_but_the_last() -> None:
    left = {old for (old, _), new in TRANSITIONS.items() if new is not old}
    assert left == set(PodState) - {PodState.FINISHED}


def test_an_event_out_of_place_is_a_bug() -> None:
    with pytest.raises(ImpossibleTransition, match="'cleaned' while syncing"):
        after(PodState.SYNCING, PodEvent.CLEANED)
