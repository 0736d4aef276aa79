"""Secrets sealed in a real etcd: what lies there, and how a key is replaced by another while the cluster lives."""

import base64
import os
import subprocess
from pathlib import Path

import yaml

from tests.integration.apiserver_process import ApiserverProcess, start_apiserver

SECRETS = "/api/v1/namespaces/default/secrets"


def write_config(path: Path, *providers: tuple[str, str]) -> None:
    """An encryption configuration for Secrets; each key is made from its name."""
    listed: list[object] = [{kind: {"keys": [_key(name)]}} for kind, name in providers]
    entry = {"resources": ["secrets"], "providers": [*listed, {"identity": {}}]}
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [entry]}
    path.write_text(yaml.safe_dump(document))


def _key(name: str) -> dict[str, str]:
    return {"name": name, "secret": base64.b64encode(name.encode().ljust(32, b"-")).decode()}


def stored(server: ApiserverProcess, name: str) -> bytes:
    """What etcd has."""
    command = [
        "etcdctl",
        "--endpoints",
        server.etcd.url,
        "get",
        "--print-value-only",
        f"/registry/secrets/default/{name}",
    ]
    return subprocess.run(command, capture_output=True, check=True, env={**os.environ, "ETCDCTL_API": "3"}).stdout


def create(server: ApiserverProcess, name: str) -> None:
    """A Secret with something to hide."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": "hunter2"}}
    with server.client() as client:
        assert client.post(SECRETS, json=body).status_code == 201


def rewrite(server: ApiserverProcess) -> None:
    """Read all Secrets and write them as they are."""
    everything = server.kubectl("get", "secrets", "-n", "default", "-o", "json").ok()
    server.kubectl("replace", "-f", "-", stdin=everything).ok()


def test_a_key_is_rotated_by_writing_all_secrets_again(tmp_path: Path) -> None:
    config = tmp_path / "encryption.yaml"
    write_config(config)
    with start_apiserver(tmp_path / "server", "--encryption-provider-config", str(config)) as server:
        create(server, "first")
        assert b"aHVudGVyMg==" in stored(server, "first")
        keys = [("aescbc", "one"), ("secretbox", "two"), ("aesgcm", "three")]
        for number, (kind, name) in enumerate(keys):
            write_config(config, *reversed(keys[max(0, number - 1) : number + 1]))  # the new one, and the last to read
            server.stop()
            server.start()
            rewrite(server)
            written = stored(server, "first")
            assert written.startswith(f"k8s:enc:{kind}:v1:{name}:".encode())
            rewrite(server)
            assert stored(server, "first") == written  # it is no longer stale: nothing is written
        with server.client() as client:
            assert client.get(f"{SECRETS}/first").json()["data"] == {"password": "aHVudGVyMg=="}


def test_a_bad_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    config = tmp_path / "encryption.yaml"
    config.write_text("kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources: []\n")
    with start_apiserver(tmp_path / "server") as server:
        server.stop()
        server.extra = ["--encryption-provider-config", str(config)]
        try:
            server.start()
        except AssertionError as problem:
            assert "resources: Required value: at least one resources is required" in str(problem)
        else:
            raise AssertionError("the server started")
        server.extra = []
        server.start()
