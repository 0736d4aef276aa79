"""Where a webhook's Service leads; calls themselves are made in tests/integration/apiserver/test_webhooks."""

import pytest

from apiserver.admission.webhook_calls import Target, endpoint_of
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects

SERVICE: Json = {"metadata": {"name": "hooks"}, "spec": {"ports": [{"name": "https", "port": 443}]}}
ENDPOINTS: Json = {
    "metadata": {"labels": {"kubernetes.io/service-name": "hooks"}},
    "ports": [{"name": "https", "port": 8443}, {"name": "metrics", "port": 9}],
    "endpoints": [
        {"addresses": ["10.0.0.1"], "conditions": {"ready": False}},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": True}},
    ],
}
TARGET = Target.of({"service": {"name": "hooks", "namespace": "web", "path": "/x"}})


class Services(NoObjects):
    """A Service and its endpoints."""

    def __init__(self, service: Json | None, slices: list[Json]) -> None:
        self._objects = {kinds.SERVICES: [service] if service else [], kinds.ENDPOINT_SLICES: slices}

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """Of one namespace."""
        return self._objects[kind] if namespace == "web" else []


def test_the_url_names_the_service() -> None:
    assert TARGET.url == "https://hooks.web.svc:443/x"


def test_a_ready_endpoint_is_dialled_at_its_own_port() -> None:
    assert endpoint_of(TARGET, Services(SERVICE, [ENDPOINTS])) == "10.0.0.2:8443"


@pytest.mark.parametrize(
    ("service", "slices", "text"),
    [
        pytest.param(None, [], 'service "hooks" not found', id="none"),
        pytest.param(SERVICE, [], 'no endpoints available for service "hooks"', id="nobody-there"),
        pytest.param(
            {**SERVICE, "spec": {"ports": [{"port": 80}]}},
            [ENDPOINTS],
            'no service port 443 found for service "hooks"',
            id="another-port",
        ),
    ],
)
def test_a_service_that_leads_nowhere(service: Json | None, slices: list[Json], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        endpoint_of(TARGET, Services(service, slices))
