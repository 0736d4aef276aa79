"""What the kubelet's server makes of a request before the runtime hears of it."""

import pytest

from kubelet.cri import api_pb2 as api
from kubelet.server.app import Refused, streams_asked


def test_the_streams_that_are_asked_for_are_joined() -> None:
    assert streams_asked(api.ExecRequest(stdout=True, tty=True)) == ["stdout", "resize"]


@pytest.mark.parametrize("wanted", [api.AttachRequest(), api.ExecRequest(tty=True)])
def test_a_request_without_any_stream_is_refused(wanted: api.ExecRequest | api.AttachRequest) -> None:
    with pytest.raises(Refused, match="you must specify at least 1 of stdin, stdout, stderr"):
        streams_asked(wanted)
