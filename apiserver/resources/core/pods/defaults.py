"""Defaults of a Pod and of a pod template (upstream: pkg/apis/core/v1/defaults.go, zz_generated.defaults.go)."""

from typing import Any, Final

from machinery.api import pods
from machinery.api.codec import Json

_FILE_MODE: Final = 0o644
_TOKEN_SECONDS: Final = 3600
_SPEC: Final[Json] = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER: Final[Json] = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE: Final[Json] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_VOLUME_DEFAULTS: Final[dict[str, Json]] = {
    "configMap": {"defaultMode": _FILE_MODE},
    "secret": {"defaultMode": _FILE_MODE},
    "downwardAPI": {"defaultMode": _FILE_MODE},
    "projected": {"defaultMode": _FILE_MODE},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def fill(target: Json, values: Json) -> None:
    """Set what is missing or an empty string, which Go cannot tell from missing."""
    for key, value in values.items():
        if target.get(key) in (None, ""):
            target[key] = value


def pod_defaults(pod: Json) -> None:
    """A Pod: its spec, and what templates do not get (service links, requests from limits, host ports)."""
    spec = pod.setdefault("spec", {})
    pod_spec_defaults(spec)
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork"):
        _host_ports(spec)
    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        _requests_from_limits(container["resources"])
    if "resources" in spec:
        _requests_from_limits(spec["resources"])
    status = pod.setdefault("status", {})
    if status.get("podIP") and not status.get("podIPs"):
        status["podIPs"] = [{"ip": status["podIP"]}]


def pod_spec_defaults(spec: Json) -> None:
    """The spec of a Pod or of a template."""
    fill(spec, _SPEC)
    spec.setdefault("securityContext", {})
    _service_account(spec)
    for container in pods.every_container_of(spec):
        container_defaults(container)
    for volume in spec.get("volumes") or ():
        volume_defaults(volume)


def _service_account(spec: Json) -> None:
    """serviceAccount is the old name of serviceAccountName and always shows the same."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name
    else:
        spec.pop("serviceAccountName", None)
        spec.pop("serviceAccount", None)


def container_defaults(container: Json) -> None:
    """One container of any sort."""
    fill(container, _CONTAINER)
    fill(container, {"imagePullPolicy": pull_policy(container.get("image") or "")})
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        fill(port, {"protocol": "TCP"})
    for probe in _PROBES:
        if probe in container:
            _probe_defaults(container[probe])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http_get_defaults(hook.get("httpGet"))
    for variable in container.get("env") or ():
        _field_ref_defaults((variable.get("valueFrom") or {}).get("fieldRef"))


def pull_policy(image: str) -> str:
    """Always for the tag `latest`, named or implied; IfNotPresent for other tags and digests."""
    name, at, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if at or (tag and tag != "latest") else "Always"


def _probe_defaults(probe: Json) -> None:
    # zero counts as unset: upstream's fields are plain int32
    for key, value in _PROBE.items():
        probe[key] = probe.get(key) or value
    _http_get_defaults(probe.get("httpGet"))
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _http_get_defaults(action: Json | None) -> None:
    if action is not None:
        fill(action, {"path": "/", "scheme": "HTTP"})


def _field_ref_defaults(reference: Json | None) -> None:
    if reference is not None:
        fill(reference, {"apiVersion": "v1"})


def _requests_from_limits(resources: Json) -> None:
    limits = resources.get("limits")
    if limits:
        requests = resources.setdefault("requests", {})
        for name, amount in limits.items():
            requests.setdefault(name, amount)


def _host_ports(spec: Json) -> None:
    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        for port in container.get("ports") or ():
            port["hostPort"] = port.get("hostPort") or port.get("containerPort", 0)


def volume_defaults(volume: Json) -> None:
    """One volume; a volume that names no source is an emptyDir."""
    if all(value is None for key, value in volume.items() if key != "name"):
        volume["emptyDir"] = {}
    source_defaults(volume)
    if volume.get("image") is not None:
        fill(volume["image"], {"pullPolicy": pull_policy(volume["image"].get("reference") or "")})
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _field_ref_defaults(item.get("fieldRef"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        _projection_defaults(source)
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim:
        fill(claim.setdefault("spec", {}), {"volumeMode": "Filesystem"})


def source_defaults(holder: Json) -> None:
    """The source of a volume or of a PersistentVolume."""
    for source, values in _VOLUME_DEFAULTS.items():
        if holder.get(source) is not None:
            fill(holder[source], values)


def _projection_defaults(source: Json) -> None:
    token: Any = source.get("serviceAccountToken")
    if token is not None:
        fill(token, {"expirationSeconds": _TOKEN_SECONDS})
    for item in (source.get("downwardAPI") or {}).get("items") or ():
        _field_ref_defaults(item.get("fieldRef"))


def template_defaults(template: Json) -> None:
    """A pod template inside a workload."""
    template.setdefault("metadata", {})
    pod_spec_defaults(template.setdefault("spec", {}))
