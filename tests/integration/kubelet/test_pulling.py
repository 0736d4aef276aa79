"""Images from a real registry that wants a login."""

import base64
import subprocess
import time
from collections.abc import Iterator

import pytest

from machinery.api import codec, meta
from machinery.api.codec import Json
from tests.integration.kubelet.machine import Machine, busybox_image
from tests.integration.kubelet.node import Node, pod

REGISTRY = "127.0.0.1:24050"
IMAGE = f"{REGISTRY}/team/app:1"
LOGIN = "user:$2b$04$k2643P5UUo89XMI31Xl9y.na1ximkbg9xF3JnI3Z.e7xZaAUxKN1q"  # the password is `secret`
CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{registry}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""


@pytest.fixture(scope="module")
def registry(machine: Machine) -> Iterator[str]:
    folder = machine.folder / "registry"
    folder.mkdir()
    (folder / "htpasswd").write_text(LOGIN + "\n")
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, registry=REGISTRY))
    command = machine.in_namespace("docker-registry", "serve", str(folder / "config.yml"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        machine.load(busybox_image(folder / "app.tar", IMAGE, "app"))
        push = machine.in_namespace(*machine.ctr("images", "push", "--plain-http", "-u", "user:secret", IMAGE))
        for _ in range(40):
            if subprocess.run(push, capture_output=True).returncode == 0:
                break
            time.sleep(0.25)
        else:
            raise AssertionError((folder / "log").read_text()[-2000:])
        subprocess.run(machine.ctr("images", "rm", IMAGE), check=True)
        yield IMAGE
    finally:
        process.terminate()
        process.wait()


def pull_secret(password: str) -> Json:
    auth = base64.b64encode(f"user:{password}".encode()).decode()
    config = codec.dumps({"auths": {REGISTRY: {"auth": auth}}})
    return {"data": {".dockerconfigjson": base64.b64encode(config).decode()}}


async def test_an_image_is_pulled_with_the_pods_login(node: Node, registry: str) -> None:
    node.objects.secrets["login"] = pull_secret("secret")
    private = pod("private", container={"image": registry}, imagePullSecrets=[{"name": "login"}])
    node.workers.update(private)
    await node.until(lambda: node.status(private).get("phase") == "Running")
    messages = [message for _, reason, message in node.events if reason in ("Pulling", "Pulled")]
    assert messages[0] == f'Pulling image "{registry}"'
    assert messages[1].startswith(f'Successfully pulled image "{registry}" in ')
    assert node.status(private)["containerStatuses"][0]["imageID"].startswith(f"{REGISTRY}/team/app@sha256:")
    node.delete(private)
    await node.until(lambda: meta.uid_of(private) in node.statuses.off)
    await node.runtime.remove_image(registry)


async def test_a_wrong_login_is_waited_for_until_it_is_right(node: Node, registry: str) -> None:
    node.objects.secrets["login"] = pull_secret("wrong")
    private = pod("refused", container={"image": registry}, imagePullSecrets=[{"name": "login"}])
    node.workers.update(private)

    def waiting() -> Json:
        statuses: list[Json] = node.status(private).get("containerStatuses") or [{"state": {}}]
        found: Json = statuses[0]["state"].get("waiting") or {}
        return found

    await node.until(lambda: waiting().get("reason") == "ImagePullBackOff")
    assert waiting()["message"].startswith(f'Back-off pulling image "{registry}": ErrImagePull: rpc error:')
    node.objects.secrets["login"] = pull_secret("secret")
    await node.until(lambda: node.status(private).get("phase") == "Running", 25)
    node.delete(private)
    await node.until(lambda: meta.uid_of(private) in node.statuses.off)
