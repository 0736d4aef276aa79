"""The objects of the load. Sizes are those of real ones: a pod of a Deployment is 2.2 KB sent and 5 KB stored."""

import json
from typing import Any, Final

_PROBE: Final = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5}


def _container(name: str, mark: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"registry.example.com/team/{name}:v1.2.3",
        "args": ["--port=8080", "--verbose", f"--mark={mark}"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
        "readinessProbe": _PROBE,
        "livenessProbe": {**_PROBE, "initialDelaySeconds": 5},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}, {"name": "data", "mountPath": "/data"}],
    }


def pod(name: str, mark: str = "") -> bytes:
    """A pod as a ReplicaSet makes it. Those with one `mark` have one spec; with different ones, each its own."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f9c7b6d", "controller": True}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"app": "web", "pod-template-hash": "5d8f9c7b6d", "tier": "front"},
                "annotations": {"example.com/note": "x" * 120},
                "ownerReferences": [
                    owner | {"uid": "0f0a37c2-7d4b-4ea3-9d2a-6bb2f1d2f5a5", "blockOwnerDeletion": True}
                ],
            },
            "spec": {
                "containers": [_container("app", mark), _container("side", mark)],
                "volumes": [{"name": "config", "configMap": {"name": "conf"}}, {"name": "data", "emptyDir": {}}],
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "example.com/x", "operator": "Exists", "effect": "NoSchedule"}],
            },
        },
        separators=(",", ":"),
    ).encode()


def config_map(name: str) -> bytes:
    """600 bytes of data."""
    data = {"a": "x" * 450, "b": "y" * 150}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}).encode()


def status(number: int) -> bytes:
    """A merge patch of a pod's status, as a kubelet sends it; each number is another status."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": f"m{number}"}
    return json.dumps({"status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready]}}).encode()


def named(kind: str, name: str) -> bytes:
    """An object that has nothing but a name."""
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}).encode()
