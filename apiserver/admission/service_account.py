"""ServiceAccount: every pod runs as one, and gets its token, the cluster's CA and its namespace mounted.

Upstream: plugin/pkg/admission/serviceaccount/admission.go. Minting tokens is the token subresource's handler.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.aio.clock import REAL, Clock
from machinery.api import kinds, names, pods
from machinery.api.codec import Json, copy_of

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_VOLUME_PREFIX: Final = "kube-api-access-"
_ROOT_CA: Final = "kube-root-ca.crt"
#: a good hour: kubelets refresh at 80 % of an hour, and the odd 7 s tell our default from a client's
_TOKEN_SECONDS: Final = 3607
_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.1


class ServiceAccount(Plugin):
    """Chooses the default account, checks that it exists, mounts what the API's clients in the pod need."""

    name = "ServiceAccount"

    def __init__(self, clock: Clock = REAL) -> None:
        self._clock = clock

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden where the account is missing."""
        pod = attributes.obj
        if pod is None or not attributes.is_for(kinds.PODS, Operation.CREATE):
            return
        if pods.is_static(pod):
            _check_mirror(attributes, pod)
            return
        spec = pod.setdefault("spec", {})
        spec["serviceAccountName"] = spec["serviceAccount"] = spec.get("serviceAccountName") or "default"
        account = await self._account(attributes, reader, spec["serviceAccountName"])
        if _automounts(spec, account):
            mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = copy_of({"items": account["imagePullSecrets"]})["items"]

    async def _account(self, attributes: Attributes, reader: Reader, name: str) -> Json:
        # a new namespace's default account is a moment away: its controller has just heard of the namespace
        for attempt in range(_ATTEMPTS if name == "default" else 1):
            if attempt:
                await self._clock.sleep(_PAUSE_SECONDS)
            account = await reader.get(kinds.SERVICE_ACCOUNTS, attributes.namespace, name)
            if account is not None:
                return account
        why = f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
        raise attributes.forbidden(why)


def _check_mirror(attributes: Attributes, pod: Json) -> None:
    """A mirror pod is a kubelet's: it may not draw on the API's secrets."""
    spec = pod.setdefault("spec", {})
    if spec.get("serviceAccountName"):
        raise attributes.forbidden("a mirror pod may not reference service accounts")
    for volume in spec.get("volumes") or ():
        if volume.get("secret") is not None:
            raise attributes.forbidden("a mirror pod may not reference secrets")
        if any(source.get("serviceAccountToken") for source in (volume.get("projected") or {}).get("sources") or ()):
            raise attributes.forbidden("a mirror pod may not use ServiceAccountToken volume projections")


def _automounts(spec: Json, account: Json) -> bool:
    for source in (spec, account):
        if source.get("automountServiceAccountToken") is not None:
            return bool(source["automountServiceAccountToken"])
    return True


def mount_token(spec: Json) -> None:
    """Add the projected volume, mounted wherever the place is free, in place."""
    volumes: list[Json] = spec.get("volumes") or []
    existing = next((volume["name"] for volume in volumes if volume.get("name", "").startswith(_VOLUME_PREFIX)), "")
    name = existing or names.generate_name(_VOLUME_PREFIX)
    mounted = False
    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        mounts = container.get("volumeMounts") or []
        if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            mounted = True
    if mounted and not existing:
        spec["volumes"] = [*volumes, {"name": name, "projected": _token_volume()}]


def _token_volume() -> Json:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": _ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 0o644,
    }
