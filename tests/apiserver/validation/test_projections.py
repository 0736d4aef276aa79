"""What projected volumes are made of, and volumes of drivers and images, in upstream's words."""

from typing import Any

import pytest

from apiserver.validation import signers, volumes
from machinery.api import codec, names
from machinery.api.codec import Json

V = "v[0].projected"
S = f"{V}.sources[0]"
B = f"{S}.clusterTrustBundle"
P = f"{S}.podCertificate"
CERTIFICATE: Json = {"signerName": "a.io/b", "keyType": "ED25519", "credentialBundlePath": "both.pem"}
BOTH: Json = {"name": "a", "signerName": "a.io/b", "path": "p"}


def _messages(**source: Any) -> list[str]:
    return [error.message() for error in volumes.check([{"name": "v", **source}], "v")]


def _bundle(name: str, source: Json, *texts: str) -> Any:
    return pytest.param({"clusterTrustBundle": {"path": "p", **source}}, list(texts), id=name)


def _certificate(name: str, source: Json, *texts: str) -> Any:
    return pytest.param({"podCertificate": {**CERTIFICATE, **source}}, list(texts), id=f"certificate-{name}")


BAD_NAME = names.is_dns_subdomain("A")[0]
UNSIGNED = 'ClusterTrustBundle without signer name must not have ":" in its name'


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        _bundle("name", {"name": "a"}),
        _bundle("name-of-a-signers", {"name": "a.io:b:c"}),
        _bundle("signer", {"signerName": "a.io/b", "labelSelector": {"matchLabels": {"a": "b"}}}),
        _bundle("neither", {}, f"{B}: Required value: either name or signerName must be specified"),
        _bundle(
            "both",
            BOTH,
            f"{B}: Invalid value: {codec.dumps({'path': 'p', **BOTH}).decode()}: "
            "only one of name and signerName may be used",
        ),
        _bundle(
            "empty-name",
            {"name": ""},
            f"{B}.name: Required value: must be a valid object name",
            f'{B}.name: Invalid value: "": not a valid clustertrustbundlename: {BAD_NAME}',
        ),
        _bundle(
            "name-and-labels",
            {"name": "a.io:b:A", "labelSelector": {}},
            f'{B}.name: Invalid value: "a.io:b:A": not a valid clustertrustbundlename: {BAD_NAME}',
            f"{B}.labelSelector: Invalid value: {{}}: labelSelector must be unset if name is specified",
        ),
        _bundle(
            "no-signer-before-the-colon",
            {"name": ":a"},
            f'{B}.name: Invalid value: ":a": not a valid clustertrustbundlename: {UNSIGNED}',
        ),
        _bundle(
            "empty-signer",
            {"signerName": ""},
            f"{B}.signerName: Required value: must be a valid signer name",
            f"{B}.signerName: Required value",
        ),
        _bundle("no-path", {"name": "a", "path": ""}, f"{B}.path: Required value"),
        _bundle(
            "reserved-path",
            {"name": "a", "path": "..p"},
            f"{B}.path: Invalid value: \"..p\": must not start with '..'",
        ),
        _certificate("fine", {"userAnnotations": {"A.io/B": "c"}, "maxExpirationSeconds": 3600}),
        _certificate(
            "empty",
            {"signerName": "", "keyType": "", "credentialBundlePath": ""},
            f"{P}.signerName: Required value",
            f'{P}.keyType: Unsupported value: "": supported values: "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", '
            '"ECDSAP521", "ED25519"',
            f"{P}: Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath",
        ),
        _certificate(
            "short",
            {"maxExpirationSeconds": 3599},
            f"{P}.maxExpirationSeconds: Invalid value: 3599: if provided, maxExpirationSeconds must be >= 3600",
        ),
        _certificate(
            "long",
            {"maxExpirationSeconds": 7862401},
            f"{P}.maxExpirationSeconds: Invalid value: 7862401: if provided, maxExpirationSeconds must be <= 7862400",
        ),
        _certificate(
            "long-for-a-signer-of-kubernetes",
            {"maxExpirationSeconds": 86401, "signerName": "kubernetes.io/a"},
            f"{P}.maxExpirationSeconds: Invalid value: 86401: if provided, maxExpirationSeconds must be <= 86400",
        ),
        _certificate(
            "annotations",
            {"userAnnotations": {"Plain": "x", "": "y"}},
            f'{P}.userAnnotations: Invalid value: "plain": must be a domain-prefixed key (such as "acme.io/foo")',
            f"{P}.userAnnotations: Required value",
        ),
        _certificate(
            "paths",
            {"keyPath": "/a", "certificateChainPath": "a/.."},
            f'{P}.keyPath: Invalid value: "/a": must be a relative path',
            f"{P}.certificateChainPath: Invalid value: \"a/..\": must not contain '..'",
        ),
        _certificate(
            "the-same-path-twice",
            {"keyPath": "both.pem"},
            f'{V}: Invalid value: "both.pem": conflicting duplicate paths',
        ),
    ],
)
def test_what_is_wrong_with_a_projection(source: Json, texts: list[str]) -> None:
    assert _messages(projected={"sources": [source]}) == texts


def test_files_of_two_sources_are_not_the_same() -> None:
    item = {"key": "k", "path": "p"}
    token = {"serviceAccountToken": {"path": "p", "expirationSeconds": 3600}}
    sources = [{"configMap": {"name": "c", "items": [item]}}, {"secret": {"name": "s", "items": [item]}}, token]
    found = _messages(projected={"sources": sources})
    assert found == [f'{V}: Invalid value: "s": conflicting duplicate paths']


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("example.com/signer.name", []),
        ("", ["n: Required value"]),
        (
            "a/b/c",
            [
                'n: Invalid value: "a/b/c": must be a fully qualified domain and path of the form '
                "'example.com/signer-name'"
            ],
        ),
        ("a/b", ['n: Invalid value: "a": should be a domain with at least two segments separated by dots']),
        ("a.B.C/b", [f'n: Invalid value: "a.B.C": validating label "B": {names.is_dns_label("B")[0]}']),
        ("a.b/", [f'n: Invalid value: "": validating label "": {names.is_dns_subdomain("")[0]}']),
        (f"{'a.' * 127}a/b", ["n: Too long: may not be more than 253 bytes"]),
        (f"a.b/{'a.' * 284}a", ["n: Too long: may not be more than 571 bytes"]),
    ],
)
def test_names_of_signers(name: str, texts: list[str]) -> None:
    assert [error.message() for error in signers.name(name, "n")] == texts


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        pytest.param({"csi": {"driver": "A.io", "nodePublishSecretRef": {"name": "s"}}}, [], id="csi"),
        pytest.param({"csi": {}}, ["v[0].csi.driver: Required value"], id="no-driver"),
        pytest.param(
            {"csi": {"driver": "a" * 64}},
            ["v[0].csi.driver: Too long: may not be more than 63 bytes"],
            id="long-driver",
        ),
        pytest.param(
            {"csi": {"driver": "a_b", "nodePublishSecretRef": {}}},
            [
                f'v[0].csi.driver: Invalid value: "a_b": {BAD_NAME}',
                "v[0].csi.nodePublishSecretRef.name: Required value",
            ],
            id="no-secret",
        ),
        pytest.param(
            {"csi": {"driver": "a", "nodePublishSecretRef": {"name": "A"}}},
            [f'v[0].csi.name: Invalid value: "A": {BAD_NAME}'],
            id="secret",
        ),
        pytest.param({"image": {"reference": "a:1", "pullPolicy": "Always"}}, [], id="image"),
        pytest.param(
            {"image": {"pullPolicy": "Maybe"}},
            [
                "v[0].image.reference: Required value",
                'v[0].image.pullPolicy: Unsupported value: "Maybe": supported values: "Always", "IfNotPresent", '
                '"Never"',
            ],
            id="no-image",
        ),
        pytest.param(
            {"nfs": {"server": "s"}},
            ["v[0].nfs.path: Required value", 'v[0].nfs.path: Invalid value: "": must be an absolute path'],
            id="nfs",
        ),
    ],
)
def test_what_is_wrong_with_a_volume(source: Json, texts: list[str]) -> None:
    assert _messages(**source) == texts
