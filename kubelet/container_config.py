"""A container as the runtime's ContainerConfig: command, mounts, security, labels. Pure; lookups and files come in.

Labels and annotations are upstream's, so that containers survive a change of kubelets in either direction.
Upstream: pkg/kubelet/kuberuntime (kuberuntime_container.go, labels.go, security_context.go), container/helpers.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubelet import environment, resources
from kubelet.cri import api_pb2 as api
from kubelet.environment import ConfigError
from kubelet.sandbox_config import (
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    namespace_options,
    seccomp_profile,
    supplemental_groups,
)
from machinery.api import codec, meta
from machinery.api.codec import Json

CONTAINER_NAME: Final = "io.kubernetes.container.name"
HASH: Final = "io.kubernetes.container.hash"
RESTART_COUNT: Final = "io.kubernetes.container.restartCount"
TERMINATION_PATH: Final = "io.kubernetes.container.terminationMessagePath"
TERMINATION_POLICY: Final = "io.kubernetes.container.terminationMessagePolicy"
PRE_STOP: Final = "io.kubernetes.container.preStopHandler"
PORTS: Final = "io.kubernetes.container.ports"
GRACE_PERIOD: Final = "io.kubernetes.pod.terminationGracePeriod"

DEFAULT_TERMINATION_PATH: Final = "/dev/termination-log"
_MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class ImageUser:
    """Whom the image runs as: a number, or a name."""

    uid: int | None = None
    username: str = ""


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """What the node decides about a container."""

    restart_count: int
    image_ref: str
    image_user: ImageUser
    environment: Mapping[str, str]
    mounts: tuple[api.Mount, ...]
    memory_capacity: int
    devices: tuple[api.Device, ...] = ()


def container_config(pod: Json, container: Json, place: ContainerPlace) -> api.ContainerConfig:
    """The message for CreateContainer; raises ConfigError."""
    name = container["name"]
    known = place.environment
    return api.ContainerConfig(
        metadata=api.ContainerMetadata(name=name, attempt=place.restart_count),
        image=api.ImageSpec(image=place.image_ref),
        command=[environment.expand(word, known) for word in container.get("command") or ()],
        args=[environment.expand(word, known) for word in container.get("args") or ()],
        working_dir=container.get("workingDir") or "",
        envs=[api.KeyValue(key=key, value=value) for key, value in known.items()],
        mounts=place.mounts,
        devices=place.devices,
        labels=_labels(pod, name),
        annotations=_annotations(pod, container, place.restart_count),
        log_path=f"{name}/{place.restart_count}.log",
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        linux=api.LinuxContainerConfig(
            resources=_resources(pod, container, place.memory_capacity),
            security_context=_security(pod, container, place.image_user),
        ),
    )


def _labels(pod: Json, name: str) -> dict[str, str]:
    return {
        POD_NAME: meta.name_of(pod),
        POD_NAMESPACE: meta.namespace_of(pod),
        POD_UID: meta.uid_of(pod),
        CONTAINER_NAME: name,
    }


def _annotations(pod: Json, container: Json, restart_count: int) -> dict[str, str]:
    result = {
        HASH: spec_hash(container),
        RESTART_COUNT: str(restart_count),
        TERMINATION_PATH: container.get("terminationMessagePath") or DEFAULT_TERMINATION_PATH,
        TERMINATION_POLICY: container.get("terminationMessagePolicy") or "File",
    }
    grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    if grace is not None:
        result[GRACE_PERIOD] = str(grace)
    pre_stop = (container.get("lifecycle") or {}).get("preStop")
    if pre_stop:
        result[PRE_STOP] = codec.dumps(pre_stop).decode()
    if container.get("ports"):
        result[PORTS] = codec.dumps(container["ports"]).decode()
    return result


def spec_hash(container: Json) -> str:
    """What may not change while a container runs, its name and image (upstream: HashContainer).

    FNV-1a over the bytes of that JSON as spew prints a byte slice; the same number as upstream's, so that neither
    kubelet restarts what the other one started.
    """
    chosen = codec.dumps({"image": container.get("image") or "", "name": container.get("name") or ""})
    printed = f"([]uint8)[{' '.join(str(byte) for byte in chosen)}]"
    value = 0x811C9DC5
    # Upstream calls it fnv.New32a.
    for byte in printed.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return format(value, "x")


def _resources(pod: Json, container: Json, memory_capacity: int) -> api.LinuxContainerResources:
    limits = resources.of_container(container)
    return api.LinuxContainerResources(
        cpu_period=resources.PERIOD if limits.quota else 0,
        cpu_quota=limits.quota,
        cpu_shares=limits.shares,
        memory_limit_in_bytes=limits.memory,
        oom_score_adj=resources.oom_score_adj(pod, container, memory_capacity),
    )


# ---- security


def effective_security(pod: Json, container: Json) -> Json:
    """The container's securityContext with the pod's where the container says nothing."""
    whole = (pod.get("spec") or {}).get("securityContext") or {}
    inherited = {
        key: whole[key]
        for key in ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile")
        if whole.get(key) is not None
    }
    own = {key: value for key, value in (container.get("securityContext") or {}).items() if value is not None}
    return inherited | own


def _security(pod: Json, container: Json, image_user: ImageUser) -> api.LinuxContainerSecurityContext:
    context = effective_security(pod, container)
    check_non_root(pod, container, context, image_user)
    privileged = bool(context.get("privileged"))
    capabilities = context.get("capabilities") or {}
    result = api.LinuxContainerSecurityContext(
        capabilities=api.Capability(
            add_capabilities=capabilities.get("add") or (), drop_capabilities=capabilities.get("drop") or ()
        ),
        privileged=privileged,
        namespace_options=namespace_options(pod),
        readonly_rootfs=bool(context.get("readOnlyRootFilesystem")),
        supplemental_groups=supplemental_groups((pod.get("spec") or {}).get("securityContext") or {}),
        no_new_privs=context.get("allowPrivilegeEscalation") is False and not privileged,
        seccomp=seccomp_profile(None if privileged else context.get("seccompProfile")),
    )
    if not privileged and (context.get("procMount") or "Default") == "Default":
        result.masked_paths.extend(_MASKED)
        result.readonly_paths.extend(_READ_ONLY)
    _set_user(result, context, image_user)
    return result


def _set_user(result: api.LinuxContainerSecurityContext, context: Json, image_user: ImageUser) -> None:
    if context.get("runAsUser") is not None:
        result.run_as_user.value = int(context["runAsUser"])
    elif image_user.uid is not None:
        result.run_as_user.value = image_user.uid
    else:
        result.run_as_username = image_user.username
    if context.get("runAsGroup") is not None:
        result.run_as_group.value = int(context["runAsGroup"])


def check_non_root(pod: Json, container: Json, context: Json, image_user: ImageUser) -> None:
    """Raises ConfigError for a root user where runAsNonRoot is asked (upstream: verifyRunAsNonRoot)."""
    if not context.get("runAsNonRoot"):
        return
    where = f"(pod: {_quoted(pod)}, container: {container['name']})"
    if context.get("runAsUser") is not None:
        if int(context["runAsUser"]) == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    if image_user.uid == 0:
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    if image_user.uid is None and image_user.username:
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({image_user.username}), "
            f"cannot verify user is non-root {where}"
        )


def _quoted(pod: Json) -> str:
    return f'"{meta.name_of(pod)}_{meta.namespace_of(pod)}({meta.uid_of(pod)})"'
