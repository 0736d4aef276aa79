"""Deployments, ReplicaSets, DaemonSets, StatefulSets and Jobs described."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kubectl.describe.surroundings import Describer, Need, Surroundings
from kubectl.describe.templates import pod_template
from kubectl.describe.text import (
    NONE,
    annotations,
    conditions,
    controlled_by,
    events,
    head,
    joined_labels,
    labels,
    lower,
    moment,
    selector,
)
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

_HASH: Final = "pod-template-hash"


def _selected(key: str, kind: kinds.Kind) -> Callable[[Json], Sequence[Need]]:
    def needs(obj: Json) -> Sequence[Need]:
        chosen = str(LabelSelector.from_dict((obj.get("spec") or {}).get("selector") or {}))
        return (Need(key, kind, meta.namespace_of(obj), label_selector=chosen),)

    return needs


def deployment(found: Surroundings) -> Iterator[str]:
    """With its new and old ReplicaSets."""
    obj = found.object
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    strategy = spec.get("strategy") or {}
    yield f"Name:\t{meta.name_of(obj)}"
    yield f"Namespace:\t{meta.namespace_of(obj)}"
    yield f"CreationTimestamp:\t{moment(meta.metadata_of(obj).get('creationTimestamp'))}"
    yield from labels("Labels", meta.labels_of(obj))
    yield from annotations("Annotations", meta.annotations_of(obj))
    yield f"Selector:\t{selector(spec.get('selector'))}"
    counts = [f"{spec.get('replicas', 0)} desired"]
    counts += [f"{status.get(field, 0)} {word}" for field, word in _COUNTS]
    yield f"Replicas:\t{' | '.join(counts)}"
    yield f"StrategyType:\t{strategy.get('type', '')}"
    yield f"MinReadySeconds:\t{spec.get('minReadySeconds', 0)}"
    if rolling := strategy.get("rollingUpdate"):
        limits = f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
        yield f"RollingUpdateStrategy:\t{limits}"
    yield from pod_template(spec.get("template") or {})
    yield from conditions(status)
    yield from _replica_sets(found)
    yield from events(found.events, found.now)


_COUNTS: Final = (
    ("updatedReplicas", "updated"),
    ("replicas", "total"),
    ("availableReplicas", "available"),
    ("unavailableReplicas", "unavailable"),
)


def _replica_sets(found: Surroundings) -> Iterator[str]:
    owned = [one for one in found.related.get("replica_sets") or () if meta.is_controlled_by(one, found.object)]
    wanted = _bare((found.object.get("spec") or {}).get("template") or {})
    matching = [one for one in owned if _bare((one.get("spec") or {}).get("template") or {}) == wanted]
    new = min(matching, key=lambda one: meta.metadata_of(one).get("creationTimestamp") or "", default=None)
    old = [one for one in owned if one is not new]
    if owned:
        yield f"OldReplicaSets:\t{_listed(sorted(old, key=meta.name_of))}"
        yield f"NewReplicaSet:\t{_listed([new] if new else [])}"


def _bare(template: Json) -> Json:
    kept = {key: value for key, value in meta.labels_of(template).items() if key != _HASH}
    return template | {"metadata": meta.metadata_of(template) | {"labels": kept}}


def _listed(found: Sequence[Json]) -> str:
    texts = []
    for one in found:
        created, wanted = (one.get("status") or {}).get("replicas", 0), (one.get("spec") or {}).get("replicas", 0)
        texts.append(f"{meta.name_of(one)} ({created}/{wanted} replicas created)")
    return ", ".join(texts) or NONE


def replica_set(found: Surroundings) -> Iterator[str]:
    """With the states of its pods."""
    obj = found.object
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    yield f"Name:\t{meta.name_of(obj)}"
    yield f"Namespace:\t{meta.namespace_of(obj)}"
    yield f"Selector:\t{selector(spec.get('selector'))}"
    yield from labels("Labels", meta.labels_of(obj))
    yield from annotations("Annotations", meta.annotations_of(obj))
    yield from controlled_by(obj)
    yield f"Replicas:\t{status.get('replicas', 0)} current / {spec.get('replicas', 0)} desired"
    yield f"Pods Status:\t{_pods_status(found)}"
    yield from pod_template(spec.get("template") or {})
    yield from conditions(status)
    yield from events(found.events, found.now)


def _pods_status(found: Surroundings) -> str:
    owned = [pod for pod in found.related.get("pods") or () if meta.is_controlled_by(pod, found.object)]
    phases = [(pod.get("status") or {}).get("phase") for pod in owned]
    words = (("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))
    return " / ".join(f"{phases.count(phase)} {word}" for phase, word in words)


def daemon_set(found: Surroundings) -> Iterator[str]:
    """With the counts of nodes."""
    obj = found.object
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    yield f"Name:\t{meta.name_of(obj)}"
    yield f"Namespace:\t{meta.namespace_of(obj)}"
    yield f"Selector:\t{selector(spec.get('selector'))}"
    template = spec.get("template") or {}
    yield f"Node-Selector:\t{joined_labels((template.get('spec') or {}).get('nodeSelector'))}"
    yield from labels("Labels", meta.labels_of(obj))
    yield from annotations("Annotations", meta.annotations_of(obj))
    for title, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        yield f"{title}: {status.get(field, 0)}"
    yield f"Pods Status:\t{_pods_status(found)}"
    yield from pod_template(template)
    yield from events(found.events, found.now)


def stateful_set(found: Surroundings) -> Iterator[str]:
    """With its update strategy."""
    obj = found.object
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    strategy = spec.get("updateStrategy") or {}
    yield f"Name:\t{meta.name_of(obj)}"
    yield f"Namespace:\t{meta.namespace_of(obj)}"
    yield f"CreationTimestamp:\t{moment(meta.metadata_of(obj).get('creationTimestamp'))}"
    yield f"Selector:\t{selector(spec.get('selector'))}"
    yield from labels("Labels", meta.labels_of(obj))
    yield from annotations("Annotations", meta.annotations_of(obj))
    yield f"Replicas:\t{spec.get('replicas', 0)} desired | {status.get('replicas', 0)} total"
    yield f"Update Strategy:\t{strategy.get('type', '')}"
    if (partition := (strategy.get("rollingUpdate") or {}).get("partition")) is not None:
        yield f"  Partition:\t{partition}"
    yield f"Pods Status:\t{_pods_status(found)}"
    yield from pod_template(spec.get("template") or {})
    claims = spec.get("volumeClaimTemplates") or []
    yield "Volume Claims:" if claims else f"Volume Claims:\t{NONE}"
    for claim in claims:
        yield from _claim(claim)
    yield from events(found.events, found.now)


def _claim(claim: Json) -> Iterator[str]:
    spec = claim.get("spec") or {}
    yield f"  Name:\t{meta.name_of(claim)}"
    yield f"  StorageClass:\t{spec.get('storageClassName') or ''}"
    yield from labels("  Labels", meta.labels_of(claim))
    yield from annotations("  Annotations", meta.annotations_of(claim))
    yield f"  Capacity:\t{((spec.get('resources') or {}).get('requests') or {}).get('storage', '<default>')}"
    yield f"  Access Modes:\t[{' '.join(spec.get('accessModes') or ())}]"


def job(found: Surroundings) -> Iterator[str]:
    """With the counts of its pods."""
    obj = found.object
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    first, second, *rest = head(obj)
    yield from (first, second, f"Selector:\t{selector(spec.get('selector'))}", *rest)
    yield from controlled_by(obj)
    yield from (f"{title}:\t{spec[field]}" for title, field in _JOB_SPEC if spec.get(field) is not None)
    if spec.get("suspend") is not None:
        yield f"Suspend:\t{lower(spec['suspend'])}"
    for title, field in (("Start Time", "startTime"), ("Completed At", "completionTime")):
        if status.get(field):
            yield f"{title}:\t{moment(status[field])}"
    ready = f" ({status['ready']} Ready)" if status.get("ready") is not None else ""
    counts = f"{status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    yield f"Pods Statuses:\t{status.get('active', 0)} Active{ready} / {counts}"
    yield from pod_template(spec.get("template") or {})
    yield from events(found.events, found.now)


_JOB_SPEC: Final = (
    ("Parallelism", "parallelism"),
    ("Completions", "completions"),
    ("Completion Mode", "completionMode"),
    ("Backoff Limit", "backoffLimit"),
    ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
)

DEPLOYMENT = Describer(deployment, _selected("replica_sets", kinds.REPLICA_SETS))
REPLICA_SET = Describer(replica_set, _selected("pods", kinds.PODS))
DAEMON_SET = Describer(daemon_set, _selected("pods", kinds.PODS))
STATEFUL_SET = Describer(stateful_set, _selected("pods", kinds.PODS))
JOB = Describer(job)
