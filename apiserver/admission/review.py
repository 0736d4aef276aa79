"""AdmissionReview: what a webhook is asked, and what its answer means. Sending is `webhook_calls`, asking `webhooks`.

Upstream: k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go, errors/statuserror.go.
"""

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.admission.attributes import Attributes
from apiserver.admission.reader import Reader
from apiserver.request import User
from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind

GROUP: Final = "admission.k8s.io"
VERSIONS: Final = ("v1", "v1beta1")


class BadReview(Exception):
    """An answer that is none: as good as no answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook said."""

    allowed: bool
    status: Json = field(default_factory=dict)
    patch: Sequence[Json] | None = None
    audit_annotations: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def request_of(attributes: Attributes, matched: Kind, reader: Reader) -> Json:
    """The AdmissionRequest, with the objects in the version that a rule asked for; theirs to read, not to change."""
    asked = attributes.kind
    special = attributes.object_kind
    shown: Json = {
        "uid": str(uuid.uuid4()),
        "kind": _kind(special or matched),
        "resource": _resource(matched),
        "requestKind": _kind(special or asked),
        "requestResource": _resource(asked),
        "name": attributes.name,
        "namespace": attributes.namespace,
        "operation": attributes.operation.value,
        "userInfo": user_info(attributes.user),
        "object": _version(attributes.obj, attributes, matched, reader),
        "oldObject": _version(attributes.old, attributes, matched, reader),
        "dryRun": attributes.dry_run,
        "options": attributes.options(),
    }
    if attributes.subresource:
        shown |= {"subResource": attributes.subresource, "requestSubResource": attributes.subresource}
    return {key: value for key, value in shown.items() if value != "" or key == "operation"}


def user_info(user: User) -> Json:
    """authentication.k8s.io/v1 UserInfo."""
    found: Json = {"username": user.name}
    if user.uid:
        found["uid"] = user.uid
    found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return found


def _version(obj: Json | None, attributes: Attributes, matched: Kind, reader: Reader) -> Json | None:
    return obj if obj is None or attributes.object_kind is not None else reader.shown(matched, obj)


def _kind(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _resource(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "resource": kind.plural}


def encode(request: Json, version: str) -> bytes:
    """The whole AdmissionReview."""
    return codec.dumps({"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": request})


def decode(raw: bytes, uid: str, version: str, *, mutating: bool) -> Verdict:
    """What came back; raises BadReview."""
    try:
        answer = codec.loads(raw)
    except ValueError as problem:
        raise BadReview(f"couldn't get version/kind; json parse error: {problem}") from problem
    if not isinstance(answer, dict):
        raise BadReview("couldn't get version/kind; json parse error: the answer is no object")
    response = answer.get("response")
    if version == "v1":
        _check_v1(answer, response, uid)
    if not isinstance(response, dict):
        raise BadReview("webhook response was absent")
    patch = _patch_of(response, version, mutating=mutating)
    return Verdict(
        response.get("allowed") is True,
        _object(response.get("status")),
        patch,
        {str(key): str(text) for key, text in _object(response.get("auditAnnotations")).items()},
        [str(text) for text in response.get("warnings") or ()],
    )


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _check_v1(answer: Json, response: Any, uid: str) -> None:
    found = f"{answer.get('apiVersion') or ''}, Kind={answer.get('kind') or ''}"
    wanted = f"{GROUP}/v1, Kind=AdmissionReview"
    if found != wanted:
        raise BadReview(f"expected webhook response of {wanted}, got {found}")
    if not isinstance(response, dict):
        raise BadReview("webhook response was absent")
    if response.get("uid") != uid:
        raise BadReview(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')


def _patch_of(response: Json, version: str, *, mutating: bool) -> Sequence[Json] | None:
    raw, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if version == "v1" and raw:
            raise BadReview("validating webhook may not return response.patch")
        if version == "v1" and kind is not None:
            raise BadReview("validating webhook may not return response.patchType")
        return None
    if not raw:
        if kind is not None and version == "v1":
            raise BadReview("webhook returned response.patchType but not response.patch")
        return None
    if version == "v1" and kind is None:
        raise BadReview("webhook returned response.patch but not response.patchType")
    if kind not in (None, "JSONPatch"):
        raise BadReview(f"invalid value of response.patchType: {kind}")
    try:
        patch = codec.loads(base64.b64decode(raw, validate=True))
    except (ValueError, TypeError, binascii.Error) as problem:
        raise BadReview(f"illegal base64 or JSON in response.patch: {problem}") from problem
    if not isinstance(patch, list):
        raise BadReview("response.patch is no JSON patch")
    return patch


def refusal(webhook: str, status: Json) -> errors.StatusError:
    """`admission webhook "x" denied the request: why`, under the webhook's code where that is one of failure."""
    denied = f'admission webhook "{webhook}" denied the request'
    message, reason = str(status.get("message") or ""), str(status.get("reason") or "")
    text = f"{denied}: {message or reason}" if message or reason else f"{denied} without explanation"
    code = status.get("code")
    code = code if isinstance(code, int) and 400 <= code <= 599 else 400  # HTTP here knows no others
    shown = {**status, "status": "Failure", "message": text, "code": code, "reason": reason}
    return errors.from_status(shown, code)
