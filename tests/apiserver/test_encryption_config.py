"""The file of --encryption-provider-config: what it means, and what is wrong with a bad one."""

import base64
from typing import Any

import pytest

from apiserver.encryption_config import API_VERSION, ConfigError, chooser, parse
from apiserver.resources import RESOURCES
from machinery.api.codec import Json

KEY = {"name": "one", "secret": base64.b64encode(bytes(32)).decode()}


def document(*resources: str, providers: Any = None) -> Json:
    """A file with one entry."""
    entry = {"resources": list(resources), "providers": providers or [{"aesgcm": {"keys": [KEY]}}]}
    return {"apiVersion": API_VERSION, "kind": "EncryptionConfiguration", "resources": [entry]}


@pytest.mark.parametrize(
    ("resource", "key", "sealed"),
    [
        ("secrets", "/registry/secrets/ns/one", True),
        ("secrets.", "/registry/secrets/ns/one", True),
        ("secrets", "/registry/configmaps/ns/one", False),
        ("*.", "/registry/services/specs/ns/one", True),
        ("*.", "/registry/deployments/ns/one", False),
        ("*.apps", "/registry/deployments/ns/one", True),
        ("deployments.apps", "/registry/deployments/ns/one", True),
        ("*.*", "/registry/minions/one", True),
        ("*.*", "/registry/ranges/servicenodeports", False),
        ("crontabs.stable.example.com", "/registry/stable.example.com/crontabs/ns/one", True),
        ("*.stable.example.com", "/registry/stable.example.com/crontabs/ns/one", True),
    ],
)
def test_names_choose_keys(resource: str, key: str, sealed: bool) -> None:
    assert (chooser(parse(document(resource)), RESOURCES)(key) is not None) is sealed


def test_the_first_entry_that_names_a_resource_decides() -> None:
    both = document("secrets")
    both["resources"].append(document("*.*", providers=[{"identity": {}}])["resources"][0])
    choose = chooser(parse(both), RESOURCES)
    secret, other = choose("/registry/secrets/ns/one"), choose("/registry/configmaps/ns/one")
    assert secret is not None and secret.seal(b"x", b"").startswith(b"k8s:enc:aesgcm:v1:one:")
    assert other is not None and other.seal(b"x", b"") == b"x"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(None, "is empty", id="empty"),
        pytest.param({"kind": "Pod", "apiVersion": "v1"}, "unexpected config type: v1, Kind=Pod", id="another-kind"),
        pytest.param(document(), r"resources\[0\].resources: Required value: at least one", id="no-resources"),
        pytest.param(document("Secrets"), "should not contain capital letters", id="capitals"),
        pytest.param(document("*"), r"use '\*\.' to encrypt all the resources from core", id="star"),
        pytest.param(document("events.events.k8s.io"), "Use 'events' instead", id="events"),
        pytest.param(document("pods.*"), "across groups is not supported", id="across-groups"),
        pytest.param(document("secrets", "secrets."), "cannot be specified multiple times", id="twice"),
        pytest.param(document("secrets", "*."), "overlapping resources", id="overlap"),
        pytest.param(document("x", providers=[{}]), "any of the expected providers", id="no-provider"),
        pytest.param(document("x", providers=[{"identity": {}, "aescbc": {}}]), "more than one provider", id="two"),
        pytest.param(document("x", providers=[{"kms": {}}]), "not supported here", id="kms"),
        pytest.param(document("x", providers=[{"aescbc": {}}]), "at least one keys is required", id="no-keys"),
        pytest.param(
            document("x", providers=[{"secretbox": {"keys": [{"name": "one", "secret": "AAAA"}]}}]),
            r"got 3, expected one of \[32\]",
            id="short-key",
        ),
        pytest.param(
            document("x", providers=[{"aescbc": {"keys": [{"name": "one", "secret": "!"}]}}]),
            "REDACTED.*base64",
            id="no-base64",
        ),
        pytest.param(
            document("x", providers=[{"aescbc": {"keys": [{"secret": "AAAA"}]}}]),
            r"keys\[0\].name: Required value",
            id="no-name",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(bad: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(bad)
