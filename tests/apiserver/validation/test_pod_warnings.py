"""What is warned of."""

from typing import Any

import pytest

from apiserver.validation import pod_warnings
from machinery.api.codec import Json

C = "spec.containers[0]"


def _spec(**container: Any) -> Json:
    return {"containers": [{"name": "c", **container}]}


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({**_spec(), "terminationGracePeriodSeconds": 0}, []),
        (
            {"terminationGracePeriodSeconds": -1},
            ["spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"],
        ),
        (
            _spec(env=[{"name": "A"}, {"name": "B"}, {"name": "A"}]),
            [f'{C}.env[2]: hides previous definition of "A", which may be dropped when using apply'],
        ),
        (
            _spec(ports=[{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}]),
            [f"{C}.ports[1]: duplicate port definition with {C}.ports[0]"],
        ),
        (_spec(ports=[{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]), []),
        (
            _spec(resources={"limits": {"memory": "500m"}}),
            [f'{C}.resources.limits[memory]: fractional byte value "500m" is invalid, must be an integer'],
        ),
        ({"imagePullSecrets": [{}]}, ['spec.imagePullSecrets[0]: invalid empty name ""']),
    ],
)
def test_what_is_allowed_but_rarely_meant(spec: Json, texts: list[str]) -> None:
    assert pod_warnings.check(spec, "spec") == texts
