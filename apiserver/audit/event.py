"""Audit events in upstream's shape (audit.k8s.io/v1 Event). Pure; when they are made is filters/audit's.

Upstream: apiserver/pkg/audit/request.go, apis/audit/v1/types.go.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from apiserver.audit.policy import API_VERSION, NAMES, Level, Stage
from apiserver.authz.attributes import Attributes
from apiserver.request import User
from machinery.api import times
from machinery.api.codec import Json

_LONGEST_AGENT: Final = 1024


def received(level: Level, audit_id: str, asked: Attributes, uri: str, moment: datetime) -> Json:
    """What is known when a request arrives."""
    event: Json = {
        "kind": "Event",
        "apiVersion": API_VERSION,
        "level": NAMES[level],
        "auditID": audit_id,
        "stage": Stage.REQUEST_RECEIVED.value,
        "requestURI": uri,
        "verb": asked.verb,
        "user": user_info(asked.user),
        "requestReceivedTimestamp": times.micro(moment),
    }
    if asked.is_resource:
        event["objectRef"] = reference(asked)
    return event


def client(agent: str, forwarded: str, address: str) -> Json:
    """Where a request came from: the addresses its headers claim, then the one it has (upstream: net.SourceIPs)."""
    if len(agent) > _LONGEST_AGENT:
        agent = agent[:_LONGEST_AGENT] + "...TRUNCATED"
    claimed = [part.strip() for part in forwarded.split(",") if part.strip()]
    addresses = list(dict.fromkeys([*claimed, *([address] if address else [])]))
    found: Json = {"sourceIPs": addresses} if addresses else {}
    return found | ({"userAgent": agent} if agent else {})


def at(event: Json, stage: Stage, moment: datetime) -> Json:
    """The event as it is written for a stage; `event` itself goes on to the next one."""
    return {**event, "stage": stage.value, "stageTimestamp": times.micro(moment)}


def user_info(user: User) -> Json:
    """authentication.k8s.io/v1 UserInfo."""
    found: Json = {"username": user.name}
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = dict(user.extra)
    return found


def reference(asked: Attributes) -> Json:
    """What a request is about, as far as its path says."""
    parts = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": asked.version,
        "subresource": asked.subresource,
    }
    return {key: value for key, value in parts.items() if value}


def with_object(event: Json, obj: Json | None) -> None:
    """Complete the reference from the object that was sent, in place."""
    metadata = (obj or {}).get("metadata")
    if not isinstance(metadata, dict):
        return
    found = event.setdefault("objectRef", {})
    for field in ("namespace", "name", "uid", "resourceVersion"):
        if metadata.get(field) and not found.get(field):
            found[field] = metadata[field]


def without_managed_fields(obj: Json) -> Json:
    """The object, or each object of a list, without what the policy leaves out."""
    metadata = obj.get("metadata")
    kept = dict(obj)
    if isinstance(metadata, Mapping) and "managedFields" in metadata:
        kept["metadata"] = {key: value for key, value in metadata.items() if key != "managedFields"}
    if isinstance(obj.get("items"), list):
        kept["items"] = [without_managed_fields(item) for item in obj["items"]]
    return kept


def status_of(code: int, body: Json | None) -> Json:
    """responseStatus: of a Status what it says, of another answer its code alone."""
    found: Json = {"metadata": {}, "code": code}
    if body is not None and body.get("kind") == "Status":
        found |= {key: body[key] for key in ("status", "message", "reason", "details") if body.get(key)}
        found["metadata"] = body.get("metadata") or {}
    return found
