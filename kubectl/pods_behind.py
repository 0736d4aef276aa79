"""From what a user names to a pod and its container: a pod, or the pods that a workload's or Service's selector finds.

Upstream: kubectl/pkg/polymorphichelpers (attachablepodforobject.go, logsforobject.go), kubectl/pkg/cmd/util/podcmd.
"""

from collections.abc import Iterable
from typing import Final

from kubectl.builder import Target, targets
from kubectl.builder import Wanted as Selection
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
_SECTIONS: Final = ("initContainers", "containers", "ephemeralContainers")
_MARKS: Final = {"initContainers": " (init)", "ephemeralContainers": " (ephem)", "containers": ""}


async def one_pod(session: Session, word: str) -> Json:
    """The pod of that name, or the best pod behind TYPE/NAME; raises CliError when there is none."""
    target = await _target(session, word)
    if target.kind.kind == "Pod":
        return await session.call("GET", target.path)
    found = await pods_of(session, target)
    if not found:
        raise CliError(f"no pods found for {target.title}")
    if len(found) > 1:
        session.warn(f"Found {len(found)} pods, using pod/{meta.name_of(found[0])}")
    return found[0]


async def _target(session: Session, word: str) -> Target:
    words = [word] if "/" in word else ["pods", word]
    (target,) = await targets(session, words, Selection())
    return target


async def pods_of(session: Session, target: Target) -> list[Json]:
    """The pods behind a workload or Service, the most useful one first; raises CliError for kinds without pods."""
    live = await session.call("GET", target.path)
    selector = (live.get("spec") or {}).get("selector")
    if not selector:
        raise CliError(
            f"cannot get the logs from {target.kind.api_version}, Kind={target.kind.kind}: selector is empty or missing"
        )
    labels = LabelSelector.from_dict(selector if _is_rich(selector) else {"matchLabels": selector})
    return await select_pods(session, target.namespace, str(labels))


def _is_rich(selector: Json) -> bool:
    return "matchLabels" in selector or "matchExpressions" in selector


async def select_pods(session: Session, namespace: str, selector: str) -> list[Json]:
    """Pods by label selector, the most useful one first."""
    answer = await session.call("GET", kinds.PODS.path(namespace), params={"labelSelector": selector})
    return sorted(answer.get("items") or (), key=_usefulness)


def _usefulness(pod: Json) -> tuple[bool, int, bool, bool, str]:
    # Upstream's order of "active" pods: assigned before not, running before pending, ready before not, old before new.
    status = pod.get("status") or {}
    phase = {"Running": 0, "Unknown": 1, "Pending": 2}.get(status.get("phase") or "", 3)
    unassigned = not (pod.get("spec") or {}).get("nodeName")
    return unassigned, phase, not pods.is_ready(pod), meta.is_being_deleted(pod), _created(pod)


def _created(pod: Json) -> str:
    return meta.metadata_of(pod).get("creationTimestamp") or ""


def containers_of(pod: Json) -> Iterable[tuple[str, str]]:
    """(name, mark): init containers first, as logs are read; the mark says what is not an ordinary container."""
    for section in _SECTIONS:
        for container in (pod.get("spec") or {}).get(section) or ():
            yield container["name"], _MARKS[section]


def choose_container(session: Session, pod: Json, wanted: str, *, quiet: bool = False) -> str:
    """The container to use: the named one, the annotated one, the first; raises CliError for a name the pod has not."""
    everyone = list(containers_of(pod))
    names = [name for name, _ in everyone]
    if wanted:
        if wanted not in names:
            raise CliError(f"container {wanted} is not valid for pod {meta.name_of(pod)}")
        return wanted
    annotated = meta.annotations_of(pod).get(DEFAULT_CONTAINER, "")
    if annotated in names:
        return annotated
    ordinary = [container["name"] for container in (pod.get("spec") or {}).get("containers") or ()]
    if not ordinary:
        raise errors.BadRequest("the pod has no containers")
    if len(everyone) > 1 and not quiet:
        listed = sorted(everyone, key=lambda one: ("", " (ephem)", " (init)").index(one[1]))
        session.warn(f'Defaulted container "{ordinary[0]}" out of: {", ".join(name + mark for name, mark in listed)}')
    return str(ordinary[0])
