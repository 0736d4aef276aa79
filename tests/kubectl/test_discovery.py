"""Which resource a word means, and what words and files select."""

import pytest

from kubectl import builder
from kubectl.builder import Listing, Target, Wanted
from kubectl.discovery import ApiResource, Discovery, discover
from kubectl.problems import CliError
from machinery.api.codec import Json
from machinery.api.kinds import Kind

PODS = ApiResource(Kind("", "v1", "Pod", "pods"), "pod", ("po",), ("all",))
SERVICES = ApiResource(Kind("", "v1", "Service", "services"), "service", ("svc",), ("all",))
NODES = ApiResource(Kind("", "v1", "Node", "nodes", namespaced=False), "node", ("no",))
EVENTS = ApiResource(Kind("", "v1", "Event", "events"), "event", ("ev",))
NEW_EVENTS = ApiResource(Kind("events.k8s.io", "v1", "Event", "events"), "event", ("ev",))
DEPLOYMENTS = ApiResource(Kind("apps", "v1", "Deployment", "deployments"), "deployment", ("deploy",), ("all",))
OLD_DEPLOYMENTS = ApiResource(Kind("apps", "v1beta1", "Deployment", "deployments"), "deployment", ("deploy",), ("all",))
SERVER = Discovery([PODS, SERVICES, NODES, EVENTS, DEPLOYMENTS, OLD_DEPLOYMENTS, NEW_EVENTS])


@pytest.mark.parametrize(
    ("word", "resource"),
    [
        pytest.param("pods", PODS, id="plural"),
        pytest.param("pod", PODS, id="singular"),
        pytest.param("po", PODS, id="short"),
        pytest.param("Pod", PODS, id="kind"),
        pytest.param("events", EVENTS, id="the-first-group-wins"),
        pytest.param("events.events.k8s.io", NEW_EVENTS, id="with-group"),
        pytest.param("ev.events", NEW_EVENTS, id="with-the-groups-beginning"),
        pytest.param("deployments.apps", DEPLOYMENTS, id="the-preferred-version"),
        pytest.param("deployments.v1beta1.apps", OLD_DEPLOYMENTS, id="with-version-and-group"),
    ],
)
def test_a_word_means_a_resource(word: str, resource: ApiResource) -> None:
    assert SERVER.find(word) == resource


def test_an_unknown_word_is_refused_with_the_nearest() -> None:
    with pytest.raises(CliError, match='the server doesn\'t have a resource type "foo"$'):
        SERVER.find("foo")
    with pytest.raises(CliError, match=r"\(did you mean deployments\?\)"):
        SERVER.find("deploymnts")


def test_a_category_is_its_resources_once_each() -> None:
    assert SERVER.expand("all") == [PODS, SERVICES, DEPLOYMENTS]
    assert SERVER.expand("po,all,no") == [PODS, SERVICES, DEPLOYMENTS, NODES]


@pytest.mark.parametrize(
    ("words", "wanted", "expected"),
    [
        pytest.param(["po"], Wanted(everything=True), [Listing(PODS, "ns")], id="a-type"),
        pytest.param(["po"], Wanted(everything=True, all_namespaces=True), [Listing(PODS, "")], id="everywhere"),
        pytest.param(["no"], Wanted(everything=True), [Listing(NODES, "")], id="without-namespace"),
        pytest.param(["po"], Wanted(label_selector="a=b"), [Listing(PODS, "ns", "a=b")], id="by-label"),
        pytest.param(["po", "a", "b"], Wanted(), [Target(PODS, "ns", "a"), Target(PODS, "ns", "b")], id="names"),
        pytest.param(
            ["po,svc", "a"], Wanted(), [Target(PODS, "ns", "a"), Target(SERVICES, "ns", "a")], id="types-and-a-name"
        ),
        pytest.param(
            ["po/a", "no/b"], Wanted(), [Target(PODS, "ns", "a"), Target(NODES, "", "b")], id="types-with-names"
        ),
    ],
)
def test_words_select(words: list[str], wanted: Wanted, expected: list[Target | Listing]) -> None:
    assert list(builder.from_words(SERVER, "ns", words, wanted)) == expected


@pytest.mark.parametrize(
    ("words", "wanted", "problem"),
    [
        pytest.param(["po"], Wanted(), builder.NO_NAME, id="no-name"),
        pytest.param(["po", "svc/a"], Wanted(), "there is no need to specify a resource type", id="mixed"),
        pytest.param(["po/a/b"], Wanted(), "arguments in resource/name form must have", id="two-slashes"),
        pytest.param(["po", "a"], Wanted(label_selector="x"), "name cannot be provided when a selector", id="both"),
        pytest.param(["po", "a"], Wanted(all_namespaces=True), "a resource cannot be retrieved by name", id="all"),
    ],
)
def test_words_that_contradict_are_refused(words: list[str], wanted: Wanted, problem: str) -> None:
    with pytest.raises(CliError) as refused:
        list(builder.from_words(SERVER, "ns", words, wanted))
    assert str(refused.value).startswith(problem)


AGGREGATED: Json = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {"name": "apps"},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {
                            "resource": "deployments",
                            "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                            "scope": "Namespaced",
                            "singularResource": "deployment",
                            "verbs": ["get"],
                            "shortNames": ["deploy"],
                            "categories": ["all"],
                            "subresources": [{"subresource": "scale"}],
                        }
                    ],
                }
            ],
        }
    ],
}
LEGACY: dict[str, Json] = {
    "/api": {"kind": "APIVersions", "versions": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [{"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}],
    },
    "/apis/apps/v1": {
        "resources": [
            {
                "name": "deployments",
                "singularName": "deployment",
                "namespaced": True,
                "kind": "Deployment",
                "verbs": ["get"],
                "shortNames": ["deploy"],
                "categories": ["all"],
            },
            {"name": "deployments/scale", "namespaced": True, "kind": "Scale", "verbs": ["get"]},
        ]
    },
}


async def test_both_forms_of_discovery_say_the_same() -> None:
    async def aggregated(path: str, accept: str) -> Json:
        return AGGREGATED if path == "/apis" else {"kind": "APIGroupDiscoveryList", "items": []}

    async def legacy(path: str, accept: str) -> Json:
        return LEGACY[path]

    expected = ApiResource(DEPLOYMENTS.kind, "deployment", ("deploy",), ("all",), ("get",), ("scale",))
    assert (await discover(aggregated)).resources == (expected,)
    assert (await discover(legacy)).resources == (expected,)
