"""A real image registry on loopback (Debian's docker-registry), and pushing an archive of ours to it."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import httpx

from cluster import machine

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


class Registry:
    """A registry with its store in a directory; plain HTTP."""

    def __init__(self, directory: Path) -> None:
        self._binary = shutil.which("docker-registry")
        assert self._binary, "docker-registry is not installed: apt-get install docker-registry"
        self._directory = directory
        self.port = machine.free_ports("127.0.0.1", [27950], 27951)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(self._directory / "store")}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "config.yml").write_text(json.dumps(config))
        argv = [str(self._binary), "serve", str(self._directory / "config.yml")]
        with open(self._directory / "log", "ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while machine.is_free("127.0.0.1", self.port):
            assert self._process.poll() is None and time.monotonic() < deadline, (self._directory / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def push(self, archive: Path, name: str, tag: str) -> None:
        """Put the image of a docker-archive into the registry as NAME:TAG."""
        with tarfile.open(archive) as tar, httpx.Client(base_url=self.url, trust_env=False) as http:
            manifest = json.loads(_member(tar, "manifest.json"))[0]
            config = _push_blob(http, name, _member(tar, manifest["Config"]))
            layers = [_push_blob(http, name, _member(tar, layer)) for layer in manifest["Layers"]]
            body = {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, **config},
                "layers": [{"mediaType": LAYER_TYPE, **layer} for layer in layers],
            }
            headers = {"Content-Type": MANIFEST_TYPE}
            http.put(f"/v2/{name}/manifests/{tag}", content=json.dumps(body), headers=headers).raise_for_status()

    def requests(self) -> str:
        """What it logged."""
        return (self._directory / "log").read_text()


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert isinstance(file, io.BufferedReader)
    return file.read()


def _push_blob(http: httpx.Client, name: str, data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    started = http.post(f"/v2/{name}/blobs/uploads/")
    started.raise_for_status()
    location = httpx.URL(started.headers["Location"]).copy_merge_params({"digest": digest})
    headers = {"Content-Type": "application/octet-stream"}
    http.put(location, content=data, headers=headers, timeout=60).raise_for_status()
    return {"digest": digest, "size": len(data)}
