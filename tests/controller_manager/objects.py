"""Objects for the tests of controllers: short ways to write down what a test is about. Nothing is asserted here."""

from typing import Any

from machinery.api.codec import Json

START = "2026-01-01T00:00:00Z"


def condition(type_: str, status: str = "True", since: str = START, **more: Any) -> Json:
    """A condition."""
    return {"type": type_, "status": status, "lastTransitionTime": since, **more}


def owned_by(kind: str, name: str, uid: str, **more: Any) -> Json:
    """A controller reference."""
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True} | more


def pod(name: str, *, node: str = "n1", ip: str = "10.0.0.1", ready: bool = True, **more: Any) -> Json:
    """A running pod; `metadata`, `spec` and `status` among `more` are merged in."""
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "creationTimestamp": START}
    conditions = [condition("Ready", "True" if ready else "False")]
    status: Json = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
    spec: Json = {"nodeName": node, "containers": [{"name": "web", "image": "web"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata | more.get("metadata", {}),
        "spec": spec | more.get("spec", {}),
        "status": status | more.get("status", {}),
    }


def node(name: str, *, ready: str = "True", zone: str = "", **more: Any) -> Json:
    """A node; `spec` and `status` among `more` are merged in."""
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    conditions = [condition("Ready", ready, lastHeartbeatTime=START)] if ready else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": START, "labels": labels},
        "spec": more.get("spec", {}),
        "status": {"conditions": conditions} | more.get("status", {}),
    }


def replica_set(name: str, replicas: int, *, available: int | None = None, **more: Any) -> Json:
    """A ReplicaSet of the Deployment `web` with so many pods, all available unless said otherwise."""
    shown = replicas if available is None else available
    status = {"replicas": replicas, "readyReplicas": shown, "availableReplicas": shown, "observedGeneration": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": more.get("created", START),
            "annotations": more.get("annotations", {}),
            "ownerReferences": [owned_by("Deployment", "web", "uid-web")],
        },
        "spec": {"replicas": replicas, "template": more.get("template", template(name)), "selector": {}},
        "status": status | more.get("status", {}),
    }


def template(image: str) -> Json:
    """A pod template that differs by its image."""
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}


def deployment(replicas: int, **more: Any) -> Json:
    """The Deployment `web`; `spec` and `status` among `more` are merged in."""
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template("new"),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": 10,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns", "uid": "uid-web", "generation": 1}
        | {"annotations": more.get("annotations", {})},
        "spec": spec | more.get("spec", {}),
        "status": more.get("status", {}),
    }


def service(**more: Any) -> Json:
    """The Service `web`; keyword arguments are merged into its spec."""
    spec = {"selector": {"app": "web"}, "clusterIP": "10.96.0.10", "ipFamilies": ["IPv4"]}
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    metadata = {"name": "web", "namespace": "ns", "uid": "uid-svc", "creationTimestamp": START, "labels": {"team": "a"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec | {"ports": ports} | more}
