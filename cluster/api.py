"""The few questions the cluster commands ask the API server. Blocking; for anything more there is machinery.client."""

import ssl
from typing import Any

import httpx

from cluster.config import ClusterConfig, Layout


def client(config: ClusterConfig, layout: Layout, seconds: float = 5.0) -> httpx.Client:
    """An HTTP client that speaks as the administrator, or as the node where the control plane is elsewhere."""
    context = ssl.create_default_context(cafile=layout.pki / "ca.crt")
    if config.joined:
        context.load_cert_chain(layout.node_certificate(config.nodes[0]))
    else:
        context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
    return httpx.Client(base_url=config.api_url, verify=context, timeout=seconds, trust_env=False)


def nodes(config: ClusterConfig, layout: Layout) -> list[dict[str, Any]] | None:
    """The Node objects; None where the API server does not answer."""
    try:
        with client(config, layout) as http:
            answer = http.get("/api/v1/nodes")
    except (httpx.HTTPError, OSError):
        return None
    return list(answer.json().get("items") or []) if answer.status_code == 200 else None


def is_ready(node: dict[str, Any]) -> bool:
    """Whether a node's Ready condition is True."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pod_cidrs(nodes_now: list[dict[str, Any]]) -> dict[str, str]:
    """Node name → pod CIDR, of those that have one."""
    found = {node["metadata"]["name"]: node.get("spec", {}).get("podCIDR", "") for node in nodes_now}
    return {name: cidr for name, cidr in found.items() if cidr}


def name_of(node: dict[str, Any]) -> str:
    """An object's name."""
    return str(node["metadata"]["name"])
