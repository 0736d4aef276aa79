"""Claims on devices, of pods and containers, in upstream's words."""

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api import codec, names
from machinery.api.codec import Json

P = "spec.resourceClaims[0]"
C = "spec.containers[0].resources.claims"
ONE: Json = {"name": "one", "resourceClaimName": "x"}
TWO: Json = {"name": "two", "resourceClaimTemplateName": "y"}
BOTH: Json = {**ONE, **TWO}
NEITHER: Json = {"name": "one"}


def _problems(claims: list[Json], named: list[Json]) -> list[str]:
    spec: Json = {"containers": [{"name": "c", "image": "x", "resources": {"claims": named}}], "resourceClaims": claims}
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _shown(claim: Json) -> str:
    return codec.dumps(claim).decode()


@pytest.mark.parametrize(
    ("claims", "texts"),
    [
        pytest.param([ONE, TWO], [], id="fine"),
        pytest.param([{"resourceClaimName": "x"}], [f"{P}.name: Required value"], id="no-name"),
        pytest.param([ONE, ONE], ['spec.resourceClaims[1].name: Duplicate value: "one"'], id="twice"),
        pytest.param(
            [{**ONE, "name": "A"}],
            [f'{P}.name: Invalid value: "A": {text}' for text in names.is_dns_label("A")],
            id="name",
        ),
        pytest.param(
            [BOTH],
            [
                f"{P}: Invalid value: {_shown(BOTH)}: at most one of `resourceClaimName` or "
                "`resourceClaimTemplateName` may be specified"
            ],
            id="both",
        ),
        pytest.param(
            [NEITHER],
            [
                f"{P}: Invalid value: {_shown(NEITHER)}: must specify one of: `resourceClaimName`, "
                "`resourceClaimTemplateName`"
            ],
            id="neither",
        ),
        pytest.param(
            [{"name": "one", "resourceClaimTemplateName": ""}],
            [f'{P}.resourceClaimTemplateName: Invalid value: "": {text}' for text in names.is_dns_subdomain("")],
            id="no-template",
        ),
    ],
)
def test_what_is_wrong_with_a_pods_claims(claims: list[Json], texts: list[str]) -> None:
    assert _problems(claims, []) == texts


@pytest.mark.parametrize(
    ("named", "texts"),
    [
        pytest.param(
            [{"name": "one"}, {"name": "two", "request": "a"}, {"name": "two", "request": "b"}], [], id="fine"
        ),
        pytest.param([{}], [f"{C}[0]: Required value"], id="no-name"),
        pytest.param(
            [{"name": "three"}],
            [f'{C}[0]: Not found: "three": must be one of the names in pod.spec.resourceClaims: one, two'],
            id="not-of-the-pod",
        ),
        pytest.param(
            [{"name": "one", "request": "A"}],
            [f'{C}[0].request: Invalid value: "A": {text}' for text in names.is_dns_label("A")],
            id="request",
        ),
        pytest.param(
            [{"name": "one", "request": "a"}, {"name": "one", "request": "a"}],
            [f'{C}[1]: Duplicate value: "one/a"'],
            id="request-twice",
        ),
        pytest.param(
            [{"name": "one"}, {"name": "one", "request": "a"}], [f'{C}[1]: Duplicate value: "one"'], id="all-then-one"
        ),
        pytest.param(
            [{"name": "one", "request": "a"}, {"name": "one"}], [f'{C}[1]: Duplicate value: "one"'], id="one-then-all"
        ),
    ],
)
def test_what_is_wrong_with_claims_that_a_container_names(named: list[Json], texts: list[str]) -> None:
    assert _problems([ONE, TWO], named) == texts


def test_no_claims_to_name() -> None:
    text = f'{C}[0]: Not found: "one": must be one of the names in pod.spec.resourceClaims which is empty'
    assert _problems([], [{"name": "one"}]) == [text]
