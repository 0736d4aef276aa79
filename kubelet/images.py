"""Makes sure a container's image is there: policies, credentials, back-off, events. Removing images is `garbage`'s.

Upstream: pkg/kubelet/images/image_manager.go, pkg/credentialprovider/keyring.go.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kubelet.container_config import ImageUser
from kubelet.crash_backoff import CrashBackoff
from kubelet.cri import api_pb2 as api
from kubelet.cri.client import Runtime, RuntimeProblem
from kubelet.pod_events import NORMAL, WARNING, PodEvents
from machinery.aio.clock import REAL, Clock
from machinery.api import codec, meta
from machinery.api.codec import Json

_REFERENCE: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"  # a registry only before a slash: `a:1` is a tag
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,}))?"
)
_DOCKER_HUB: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")


class ImageProblem(Exception):
    """The image is not there; `reason` and text are what the container's waiting state shows."""

    def __init__(self, reason: str, message: str, retry_in: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_in = retry_in


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What the runtime calls the image, and whom it runs as."""

    reference: str
    user: ImageUser


@dataclass(frozen=True, slots=True)
class _Wish:
    pod: Json
    container: Json
    image: str
    secrets: tuple[Json, ...]
    sandbox: api.PodSandboxConfig | None


class ImageManager:
    """One per node."""

    def __init__(self, runtime: Runtime, events: PodEvents, clock: Clock = REAL, parallel: int = 1) -> None:
        """`parallel` pulls at a time; upstream's default is one."""
        self._runtime = runtime
        self._events = events
        self._clock = clock
        self._backoff = CrashBackoff(clock)
        self._slots = asyncio.Semaphore(parallel)
        self._last_error: dict[str, str] = {}

    async def ensure(
        self, pod: Json, container: Json, secrets: tuple[Json, ...], sandbox: api.PodSandboxConfig | None
    ) -> FoundImage:
        """The container's image, pulled if its policy wants that; raises ImageProblem, RuntimeProblem."""
        image = with_default_tag(container.get("image") or "")
        if not image:
            raise self._invalid(pod, container)
        wish = _Wish(pod, container, image, secrets, sandbox)
        policy = container.get("imagePullPolicy") or ("Always" if image.endswith(":latest") else "IfNotPresent")
        present = await self._runtime.image_status(image)
        if present is not None and policy in ("IfNotPresent", "Never"):
            text = f'Container image "{container["image"]}" already present on machine'
            self._events.container(pod, container["name"], NORMAL, "Pulled", text)
            return _found(present)
        if policy == "Never":
            raise self._never(pod, container)
        return await self._pull(wish)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        self._backoff.forget(pod_uid)
        for key in [key for key in self._last_error if key.startswith(pod_uid)]:
            del self._last_error[key]

    def _invalid(self, pod: Json, container: Json) -> ImageProblem:
        image = container.get("image") or ""
        why = f'couldn\'t parse image name "{image}": invalid reference format'
        text = f'Failed to apply default image tag "{image}": {why}'
        self._events.container(pod, container["name"], WARNING, "InspectFailed", text)
        self._events.container(pod, container["name"], WARNING, "Failed", "Error: InvalidImageName")
        return ImageProblem("InvalidImageName", text, 60.0)

    def _never(self, pod: Json, container: Json) -> ImageProblem:
        text = f'Container image "{container["image"]}" is not present with pull policy of Never'
        self._events.container(pod, container["name"], WARNING, "ErrImageNeverPull", text)
        self._events.container(pod, container["name"], WARNING, "Failed", "Error: ErrImageNeverPull")
        return ImageProblem("ErrImageNeverPull", text, 15.0)

    async def _pull(self, wish: _Wish) -> FoundImage:
        name, shown = wish.container["name"], wish.container["image"]
        key = f"{meta.uid_of(wish.pod)}_{wish.image}"
        wait = self._backoff.remaining_since_update(key)
        if wait > 0:
            text = f'Back-off pulling image "{shown}"'
            self._events.container(wish.pod, name, NORMAL, "BackOff", text)
            self._events.container(wish.pod, name, WARNING, "Failed", "Error: ImagePullBackOff")
            last = self._last_error.get(key)
            raise ImageProblem("ImagePullBackOff", f"{text}: {last}" if last else text, wait)
        asked = self._clock.monotonic()
        async with self._slots:
            self._events.container(wish.pod, name, NORMAL, "Pulling", f'Pulling image "{shown}"')
            begun = self._clock.monotonic()
            try:
                await self._try_credentials(wish)
                image = await self._runtime.image_status(wish.image)
            except RuntimeProblem as problem:
                raise self._failed(wish, key, problem) from problem
        ended = self._clock.monotonic()
        if image is None:
            raise ImageProblem("ErrImagePull", f'image "{shown}" is gone after it was pulled', 5.0)
        text = (
            f'Successfully pulled image "{shown}" in {_duration(ended - begun)} '
            f"({_duration(ended - asked)} including waiting). Image size: {image.size} bytes."
        )
        self._events.container(wish.pod, name, NORMAL, "Pulled", text)
        self._backoff.forget(key)
        return _found(image)

    def _failed(self, wish: _Wish, key: str, problem: RuntimeProblem) -> ImageProblem:
        name, shown = wish.container["name"], wish.container["image"]
        self._backoff.next(key, self._clock.now().timestamp())
        self._last_error[key] = f"ErrImagePull: {problem}"
        self._events.container(wish.pod, name, WARNING, "Failed", f'Failed to pull image "{shown}": {problem}')
        self._events.container(wish.pod, name, WARNING, "Failed", "Error: ErrImagePull")
        # Soon again, to show the back-off; the pull itself waits for it.
        return ImageProblem("ErrImagePull", str(problem), min(2.0, self._backoff.remaining_since_update(key)))

    async def _try_credentials(self, wish: _Wish) -> None:
        credentials: list[api.AuthConfig | None] = [*credentials_for(wish.image, wish.secrets)] or [None]
        last: RuntimeProblem | None = None
        for auth in credentials:
            try:
                await self._runtime.pull_image(wish.image, auth, wish.sandbox)
                return
            except RuntimeProblem as problem:
                last = problem
        if last is not None:
            raise last


def _found(image: api.Image) -> FoundImage:
    uid = image.uid.value if image.HasField("uid") else None
    if uid is None and not image.username:
        uid = 0
    return FoundImage(image.id, ImageUser(uid, image.username))


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds < 1 else f"{seconds:.3f}s"


def with_default_tag(image: str) -> str:
    """The image with `:latest` where it names neither tag nor digest; empty when it is no image name."""
    match = _REFERENCE.fullmatch(image)
    if not match:
        return ""
    return image if match["tag"] or match["digest"] else image + ":latest"


# ---- credentials


def credentials_for(image: str, secrets: Iterable[Json]) -> Iterable[api.AuthConfig]:
    """The logins of pull secrets that fit the image's registry, the most specific first."""
    found: list[tuple[int, api.AuthConfig]] = []
    for secret in secrets:
        for registry, entry in _auths(secret).items():
            place = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
            place = re.sub(r"/v[12]$", "", place)
            if _fits(place, image):
                found.append((len(place), _login(entry)))
    return [login for _, login in sorted(found, key=lambda item: -item[0])]


def _auths(secret: Json) -> Json:
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            auths = codec.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths")
        else:
            auths = codec.loads(base64.b64decode(data.get(".dockercfg") or "e30="))
    except (ValueError, AttributeError):
        return {}
    return auths if isinstance(auths, dict) else {}


def _fits(place: str, image: str) -> bool:
    host, _, _ = image.partition("/")
    has_host = "/" in image and ("." in host or ":" in host or host == "localhost")
    if not has_host:
        return place.partition("/")[0] in _DOCKER_HUB
    if host in _DOCKER_HUB:
        return place.partition("/")[0] in _DOCKER_HUB
    return image == place or image.startswith(place + "/")


def _login(entry: Json) -> api.AuthConfig:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth") and not username:
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return api.AuthConfig(auth=entry["auth"])
    return api.AuthConfig(username=username, password=password, identity_token=entry.get("identitytoken") or "")
