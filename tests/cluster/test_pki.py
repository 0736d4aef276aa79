"""Certificates: who they say somebody is, and for which names."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster import pki
from cluster.pki import Certificate
from tests.cluster.clusters import REAL

BY_FILE = {certificate.file: certificate for certificate in pki.certificates(REAL)}


@pytest.mark.parametrize(
    ("file", "user", "groups"),
    [
        pytest.param("admin", "kubernetes-admin", ("system:masters",), id="administrator"),
        pytest.param("scheduler", "system:kube-scheduler", (), id="scheduler"),
        pytest.param("controller-manager", "system:kube-controller-manager", (), id="controller-manager"),
        pytest.param("proxy", "system:kube-proxy", ("system:node-proxier",), id="proxy"),
        pytest.param("kubelet-b", "system:node:node-b", ("system:nodes",), id="node"),
        pytest.param(
            "apiserver-kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",), id="to-kubelets"
        ),
    ],
)
def test_users_and_groups_are_those_the_bootstrap_roles_name(file: str, user: str, groups: tuple[str, ...]) -> None:
    assert (BY_FILE[file].user, BY_FILE[file].groups) == (user, groups)


def test_the_api_server_is_called_by_the_first_service_address_and_by_its_service_names() -> None:
    hosts = pki.api_server_hosts(REAL)
    assert {"10.96.0.1", "172.30.99.1", "127.0.0.1", "kubernetes.default.svc.cluster.local"} <= set(hosts)


def test_an_address_that_means_all_is_in_no_certificate() -> None:
    assert "0.0.0.0" not in pki.api_server_hosts(REAL.model_copy(update={"bind_address": "0.0.0.0"}))


def test_what_was_made_once_is_kept(tmp_path: Path) -> None:
    wanted = [Certificate("somebody", "some:user", ("some:group",), ("example.test", "10.0.0.1"))]
    assert pki.ensure(tmp_path, wanted)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert not pki.ensure(tmp_path, wanted)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_certificate_is_signed_by_its_authority_and_names_its_hosts(tmp_path: Path) -> None:
    pki.ensure(tmp_path, [Certificate("somebody", "some:user", ("some:group",), ("example.test", "10.0.0.1"))])
    made = x509.load_pem_x509_certificate((tmp_path / "somebody.crt").read_bytes())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes()))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.test"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "some:user"
    assert made.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "some:group"


def test_nobody_else_can_read_a_key(tmp_path: Path) -> None:
    pki.ensure(tmp_path, [Certificate("somebody", "some:user")])
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("*.key")} == {0}
