"""Which ReplicaSet belongs to a Deployment's template, and what a new one looks like. Pure.

Upstream: pkg/controller/deployment/util/deployment_util.go, sync.go (getNewReplicaSet).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson

from machinery.api import codec, kinds, meta, names
from machinery.api.codec import Json

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
REVISION_HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS: Final = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS: Final = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED: Final = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    )
)
_LONGEST_HISTORY: Final = 2000
_LONGEST_PREFIX: Final = 253 - 1 - 10


def template_hash(template: Json, collisions: int = 0) -> str:
    """A short stable hash of a pod template, in the alphabet of generated names.

    The value need not be upstream's: a ReplicaSet is found by comparing templates, never by its hash.
    """
    digest = 0x811C9DC5  # FNV-1a, 32 bits
    for byte in orjson.dumps(_without_nulls(template), option=orjson.OPT_SORT_KEYS) + str(collisions or "").encode():
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return names.safe_encode(str(digest))


def same_template(left: Json, right: Json) -> bool:
    """Whether two pod templates are equal but for the hash label."""
    return _comparable(left) == _comparable(right)


def _comparable(template: Json) -> Json:
    bare = _without_nulls(template)
    metadata = bare.pop("metadata", None) or {}
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    kept = {key: value for key, value in metadata.items() if value}
    return bare | kept | {"labels": labels}


def _without_nulls(template: Json) -> Json:
    copied = codec.copy_of(template)
    metadata = copied.get("metadata")
    if metadata is not None:
        copied["metadata"] = {key: value for key, value in metadata.items() if value is not None}
    return copied


def by_age(replica_sets: Iterable[Json]) -> list[Json]:
    """Oldest first, by name among those of one second."""
    return sorted(replica_sets, key=lambda rs: (meta.metadata_of(rs).get("creationTimestamp") or "", meta.name_of(rs)))


def split(deployment: Json, replica_sets: Iterable[Json]) -> tuple[Json | None, list[Json]]:
    """The ReplicaSet of the current template (the oldest where there are several), and all others, oldest first."""
    ordered = by_age(replica_sets)
    template = deployment["spec"]["template"]
    new = next((rs for rs in ordered if same_template(rs["spec"]["template"], template)), None)
    return new, [rs for rs in ordered if rs is not new]


def revision_of(obj: Json) -> int:
    """The annotated revision, 0 when there is none."""
    text = meta.annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Sequence[Json]) -> int:
    """One more than the highest revision of the older ReplicaSets."""
    return max(map(revision_of, old), default=0) + 1


def annotations_for(deployment: Json, present: Mapping[str, str], revision: int) -> dict[str, str]:
    """What the annotations of the Deployment's current ReplicaSet should be, given those it has.

    A ReplicaSet that becomes current again (a rollback) gets a new revision and remembers the ones it had.
    """
    copied = {key: value for key, value in meta.annotations_of(deployment).items() if key not in _NOT_COPIED}
    result = {**present, **copied}
    former = present.get(REVISION, "")
    if (int(former) if former.isdecimal() else 0) >= revision:
        return result
    result[REVISION] = str(revision)
    if former:
        result[REVISION_HISTORY] = _history(present.get(REVISION_HISTORY, ""), former)
    return result


def _history(history: str, former: str) -> str:
    entries = [*(entry for entry in history.split(",") if entry), former]
    while len(entries) > 1 and len(",".join(entries)) > _LONGEST_HISTORY:
        entries.pop(0)
    return ",".join(entries)


def new_replica_set(deployment: Json, old: Sequence[Json], sizes: Mapping[str, str], replicas: int) -> Json:
    """The ReplicaSet for the Deployment's current template; `sizes` are its desired and max replicas annotations."""
    spec = deployment["spec"]
    template = codec.copy_of(spec["template"])
    hashed = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount") or 0)
    labels = {**meta.labels_of(template), HASH_LABEL: hashed}
    template.setdefault("metadata", {})["labels"] = labels
    selector = codec.copy_of(spec.get("selector") or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
    return {
        "apiVersion": kinds.REPLICA_SETS.api_version,
        "kind": kinds.REPLICA_SETS.kind,
        "metadata": {
            "name": f"{meta.name_of(deployment)[:_LONGEST_PREFIX]}-{hashed}",
            "namespace": meta.namespace_of(deployment),
            "labels": labels,
            "annotations": {**annotations_for(deployment, {}, next_revision(old)), **sizes},
            "ownerReferences": [meta.owner_reference(deployment, kinds.DEPLOYMENTS)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.get("minReadySeconds") or 0,
            "selector": selector,
            "template": template,
        },
    }


def to_clean_up(deployment: Json, old: Sequence[Json]) -> list[Json]:
    """Old ReplicaSets beyond revisionHistoryLimit, lowest revision first; only those that are empty for certain."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == 2**31 - 1:
        return []
    staying = [rs for rs in old if not meta.is_being_deleted(rs)]
    excess = len(staying) - limit
    oldest = sorted(staying, key=revision_of)[: max(excess, 0)]
    return [rs for rs in oldest if _is_empty(rs)]


def _is_empty(rs: Json) -> bool:
    status = rs.get("status") or {}
    observed = (status.get("observedGeneration") or 0) >= meta.generation_of(rs)
    return observed and not rs["spec"].get("replicas") and not status.get("replicas")
