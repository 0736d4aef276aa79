"""requests and limits of a whole pod, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api.codec import Json

R = "spec.resources"


def _problems(spec: Json) -> list[str]:
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _asking(part: str, *containers: Json, **resources: Any) -> Json:
    mains = [
        {"name": f"c{number}", "image": "x", "resources": {part: amounts}} for number, amounts in enumerate(containers)
    ]
    return {"containers": mains, "resources": resources}


def _with_init(spec: Json, **container: Any) -> Json:
    return {**spec, "initContainers": [{"name": "i", "image": "x", **container}]}


ONE_CPU = {"cpu": "1"}


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param(_asking("requests", ONE_CPU, requests={"cpu": "1", "memory": "1Gi"}), [], id="fine"),
        pytest.param(_asking("requests", {}, requests=ONE_CPU), [], id="containers-that-ask-nothing"),
        pytest.param(_asking("requests", {"memory": "2Gi"}, requests=ONE_CPU), [], id="what-the-pod-leaves-open"),
        pytest.param(
            _asking("requests", {"cpu": "700m"}, {"cpu": "400m"}, requests=ONE_CPU),
            [
                f'{R}.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests '
                "of 1100m"
            ],
            id="less-than-its-containers-ask",
        ),
        pytest.param(
            _asking("requests", {"memory": "1Gi"}, {"memory": "1Gi"}, requests={"memory": "1500Mi"}),
            [
                f'{R}.requests[memory]: Invalid value: "1500Mi": must be greater than or equal to aggregate container '
                "requests of 2Gi"
            ],
            id="less-memory-than-its-containers-ask",
        ),
        pytest.param(
            _with_init(_asking("requests", ONE_CPU, requests=ONE_CPU), resources={"requests": {"cpu": "2"}}),
            [
                f'{R}.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests '
                "of 2"
            ],
            id="less-than-its-init-container-asks",
        ),
        pytest.param(
            _asking("limits", ONE_CPU, {"cpu": "3"}, limits={"cpu": "2"}, requests=ONE_CPU),
            [
                f'{R}.containers[1][cpu].limits: Invalid value: "3": must be less than or equal to pod limits of 2',
            ],
            id="a-container-above-its-pod",
        ),
        pytest.param(
            _asking("limits", *[{"cpu": "1", "hugepages-2Mi": "2Mi"}] * 2, limits={"cpu": "2", "hugepages-2Mi": "2Mi"}),
            [
                f'{R}.limits[hugepages-2Mi]: Invalid value: "2Mi": must be greater than or equal to aggregate '
                "container limits of 4Mi",
            ],
            id="fewer-huge-pages-than-its-containers-have",
        ),
        pytest.param(
            _asking("requests", {}, requests={"ephemeral-storage": "1Gi"}),
            [
                f'{R}.requests[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", '
                '"hugepages-", "memory"'
            ],
            id="what-pods-do-not-share-out",
        ),
        pytest.param(
            _asking("requests", {}, limits={"disk": "1"}, requests={"disk": "1"}),
            [
                f'{R}.limits[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
                f'{R}.requests[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
            ],
            id="no-such-resource",
        ),
        pytest.param(
            _asking("requests", {}, requests={"cpu": "2"}, limits=ONE_CPU),
            [f'{R}.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
            id="request-over-limit",
        ),
        pytest.param(
            _asking("requests", {}, claims=[{"name": "a"}]),
            [f"{R}.claims: Forbidden: claims may not be set for Resources at pod-level"],
            id="claims",
        ),
        pytest.param(
            {**_asking("requests", {}, requests=ONE_CPU), "os": {"name": "windows"}},
            [f"{R}: Forbidden: may not be set for a windows pod"],
            id="windows",
        ),
    ],
)
def test_what_is_wrong_with_a_pods_resources(spec: Json, texts: list[str]) -> None:
    assert _problems(spec) == texts
