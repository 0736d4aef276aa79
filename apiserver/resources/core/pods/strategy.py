"""How Pods differ from the default strategy. Checks of specs and updates are apiserver.validation.

Upstream: pkg/registry/core/pod/strategy.go.
"""

from typing import Final

from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.core.pods.defaults import pod_defaults
from apiserver.validation import metadata, pod_parts, pod_spec, pod_update, pod_warnings
from apiserver.validation.remembered import Remembered
from machinery.api import codec, errors, meta, names, pods
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class PodStrategy(KindStrategy):
    """Pods: their status is the server's on create, they end gracefully, their spec hardly changes."""

    has_generation = True
    default_grace_seconds = 30
    returns_deleted_object = True

    def defaults(self, obj: Json) -> None:
        """Upstream's defaults, in place."""
        pod_defaults(obj)

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """A new pod is Pending; its quality of service is fixed now."""
        super().prepare_for_create(obj, context)
        obj["status"] = {"phase": "Pending", "qosClass": pods.qos_class(obj)}
        if (obj.get("spec") or {}).get("schedulingGates"):
            obj["status"]["conditions"] = [_GATED.copy()]

    def prepare_for_status_update(self, obj: Json, old: Json, context: Context) -> None:
        """Only status changes; a deletion that runs cannot be called off by a status writer."""
        super().prepare_for_status_update(obj, old, context)
        status = obj.setdefault("status", {})
        status.setdefault("qosClass", (old.get("status") or {}).get("qosClass") or pods.qos_class(old))
        old_meta = old["metadata"]
        for field in ("deletionTimestamp", "ownerReferences"):
            if field in old_meta:
                obj["metadata"][field] = old_meta[field]
            else:
                obj["metadata"].pop(field, None)

    def prepare_for_binding_update(self, obj: Json, old: Json, context: Context) -> None:
        """A binding writes node, condition and annotations itself (see `binding`); nothing is dropped."""

    def validate_binding_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """The binding was checked; the pod's spec changes in the one field that a binding sets."""
        return []

    def prepare_for_ephemeralcontainers_update(self, obj: Json, old: Json, context: Context) -> None:
        """Ephemeral containers change, and no more."""
        self._prepare_part(obj, old, pod_parts.with_ephemeral(obj.get("spec") or {}, old.get("spec") or {}))

    def validate_ephemeralcontainers_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """The whole pod, then what is new in it."""
        return metadata.check_update(obj, old) + self.check(obj) + pod_parts.check_ephemeral(obj, old)

    def prepare_for_resize_update(self, obj: Json, old: Json, context: Context) -> None:
        """Resources of containers change, and no more."""
        self._prepare_part(obj, old, pod_parts.with_resources(obj.get("spec") or {}, old.get("spec") or {}))

    def validate_resize_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """The whole pod, then what is new in it."""
        return metadata.check_update(obj, old) + self.check(obj) + pod_parts.check_resize(obj, old)

    def _prepare_part(self, obj: Json, old: Json, spec: Json) -> None:
        """The old object with another spec, in place; of the metadata stays what the server needs to compare."""
        kept = {name: obj["metadata"][name] for name in ("resourceVersion", "managedFields") if name in obj["metadata"]}
        obj["metadata"] = {name: value for name, value in old["metadata"].items() if name not in kept} | kept
        for name in ("spec", "status"):
            obj.pop(name, None)
        obj |= {name: value for name, value in old.items() if name not in ("metadata", "spec")} | {"spec": spec}
        self.bump_generation(obj, old)

    def validate(self, obj: Json, context: Context) -> list[FieldError]:
        """As all kinds; and nobody is debugged before it runs."""
        found = super().validate(obj, context)
        if (obj.get("spec") or {}).get("ephemeralContainers"):
            found.append(errors.forbidden_field("spec.ephemeralContainers", "cannot be set on create"))
        return found

    def check(self, obj: Json) -> list[FieldError]:
        """The spec. Pods of one template are judged once, for they differ in no more than the token volume's name."""
        spec = obj.get("spec") or {}
        found = _GOOD_SPECS.check(_without_token_volume(spec), lambda: pod_spec.check(spec, "spec"))
        if spec.get("resourceClaims") and pods.is_static(obj):
            found.append(errors.forbidden_field("", "static pods do not support resource claims"))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Images, tolerations added, deadlines: little else."""
        return pod_update.check(obj, old)

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Ended containers stay ended."""
        return pod_update.check_status(obj, old)

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """On create only, as upstream does."""
        if old is not None:
            return []
        complaints = names.is_dns_label(meta.name_of(obj))
        text = "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended"
        found = [f"metadata.name: {text}: [{' '.join(complaints)}]"] if complaints else []
        spec = obj.get("spec") or {}
        return found + _QUIET_SPECS.check(_without_token_volume(spec), lambda: pod_warnings.check(spec, "spec"))

    def grace_seconds(self, obj: Json, asked: int | None) -> int | None:
        """What was asked, else what the spec says; no waiting where nothing can be running."""
        seconds = asked if asked is not None else (obj.get("spec") or {}).get("terminationGracePeriodSeconds")
        if seconds is None:
            seconds = self.default_grace_seconds
        if not pods.node_of(obj) or pods.is_terminal(obj):
            seconds = 0
        # negative periods came from old clients; the least that is graceful stands in for them
        return 1 if seconds is not None and seconds < 0 else seconds


#: what the name of the volume begins with that admission adds for the service account's token
_TOKEN_VOLUME: Final = "kube-api-access-"
_GOOD_SPECS: Final = Remembered[FieldError]()
_QUIET_SPECS: Final = Remembered[str]()


def _without_token_volume(spec: Json) -> bytes:
    """A spec's bytes with the token volume's name, which is random, left out."""
    raw = codec.dumps(spec)
    for volume in spec.get("volumes") or ():
        name = volume.get("name") or ""
        if name.startswith(_TOKEN_VOLUME):  # zero stands for it, since no text in a spec is equal to a number
            return raw.replace(f'"{name}"'.encode(), b"0")
    return raw


_GATED: Final = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}
