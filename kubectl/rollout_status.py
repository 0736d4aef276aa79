"""How far a rollout is, from the object's spec and status: pure. Showing it again and again is `commands.rollout`'s.

Upstream: kubectl/pkg/polymorphichelpers/rollout_status.go; the sentences are upstream's, for scripts wait for them.
"""

from kubectl.problems import CliError
from machinery.api import meta
from machinery.api.codec import Json


def status_of(obj: Json, revision: int = 0) -> tuple[str, bool]:
    """The line to show (with its newline) and whether the rollout is done; raises CliError when it never will be."""
    match obj.get("kind"):
        case "Deployment":
            return _deployment(obj, revision)
        case "DaemonSet":
            return _daemon_set(obj)
        case "StatefulSet":
            return _stateful_set(obj)
    raise CliError(f"no status viewer has been implemented for {obj.get('kind')}")


def _parts(obj: Json) -> tuple[str, Json, Json]:
    return meta.name_of(obj), obj.get("spec") or {}, obj.get("status") or {}


def _is_observed(obj: Json) -> bool:
    observed: int = (obj.get("status") or {}).get("observedGeneration") or 0
    return meta.generation_of(obj) <= observed


def _deployment(obj: Json, revision: int) -> tuple[str, bool]:
    name, spec, status = _parts(obj)
    running = int(meta.annotations_of(obj).get("deployment.kubernetes.io/revision") or 0)
    if revision and revision != running:
        raise CliError(f"desired revision ({revision}) is different from the running revision ({running})")
    if not _is_observed(obj):
        return "Waiting for deployment spec update to be observed...\n", False
    progressing = meta.find_condition(status.get("conditions"), "Progressing")
    if progressing and progressing.get("reason") == "ProgressDeadlineExceeded":
        raise CliError(f'deployment "{name}" exceeded its progress deadline')
    wanted, updated = spec.get("replicas"), status.get("updatedReplicas") or 0
    total, available = status.get("replicas") or 0, status.get("availableReplicas") or 0
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if wanted is not None and updated < wanted:
        return f"{waiting}{updated} out of {wanted} new replicas have been updated...\n", False
    if total > updated:
        return f"{waiting}{total - updated} old replicas are pending termination...\n", False
    if available < updated:
        return f"{waiting}{available} of {updated} updated replicas are available...\n", False
    return f'deployment "{name}" successfully rolled out\n', True


def _daemon_set(obj: Json) -> tuple[str, bool]:
    name, spec, status = _parts(obj)
    if (spec.get("updateStrategy") or {}).get("type") != "RollingUpdate":
        raise CliError("rollout status is only available for RollingUpdate strategy type")
    if not _is_observed(obj):
        return "Waiting for daemon set spec update to be observed...\n", False
    wanted = status.get("desiredNumberScheduled") or 0
    updated, available = status.get("updatedNumberScheduled") or 0, status.get("numberAvailable") or 0
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new pods have been updated...\n", False
    if available < wanted:
        return f"{waiting}{available} of {wanted} updated pods are available...\n", False
    return f'daemon set "{name}" successfully rolled out\n', True


def _stateful_set(obj: Json) -> tuple[str, bool]:
    _, spec, status = _parts(obj)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        raise CliError("rollout status is only available for RollingUpdate strategy type")
    if not status.get("observedGeneration") or not _is_observed(obj):
        return "Waiting for statefulset spec update to be observed...\n", False
    wanted, ready = spec.get("replicas"), status.get("readyReplicas") or 0
    updated = status.get("updatedReplicas") or 0
    if wanted is not None and ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...\n", False
    if strategy.get("rollingUpdate") is not None:
        partition = strategy["rollingUpdate"].get("partition")
        if wanted is not None and partition is not None and updated < wanted - partition:
            share = f"{updated} out of {wanted - partition} new pods have been updated"
            return f"Waiting for partitioned roll out to finish: {share}...\n", False
        return f"partitioned roll out complete: {updated} new pods have been updated...\n", True
    return _stateful_set_revisions(status, updated)


def _stateful_set_revisions(status: Json, updated: int) -> tuple[str, bool]:
    wanted, current = status.get("updateRevision", ""), status.get("currentRevision", "")
    if wanted != current:
        waiting = f"waiting for statefulset rolling update to complete {updated} pods at revision {wanted}...\n"
        return waiting, False
    count = status.get("currentReplicas") or 0
    return f"statefulset rolling update complete {count} pods at revision {current}...\n", True
