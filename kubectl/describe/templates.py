"""The part of a description that is about a pod template, and what pods and templates both have at their end."""

from collections.abc import Iterator, Sequence

from kubectl.describe.containers import containers
from kubectl.describe.text import annotations, column, labels, layout, selector
from kubectl.describe.volumes import volumes
from machinery.api import meta
from machinery.api.codec import Json


def template_text(template: Json) -> str:
    """A pod template alone, as `rollout history --revision` shows it."""
    return layout(pod_template(template))


def pod_template(template: Json) -> Iterator[str]:
    """The Pod Template section."""
    spec = template.get("spec") or {}
    yield "Pod Template:"
    yield from labels("  Labels", meta.labels_of(template))
    if meta.annotations_of(template):
        yield from annotations("  Annotations", meta.annotations_of(template))
    if spec.get("serviceAccountName"):
        yield f"  Service Account:\t{spec['serviceAccountName']}"
    if spec.get("initContainers"):
        yield from containers("Init Containers", spec["initContainers"], None, None)
    yield from containers("Containers", spec.get("containers") or (), None, None)
    yield from volumes(spec.get("volumes"), template=True)
    yield from spread_constraints(spec.get("topologySpreadConstraints"), "  ")
    if spec.get("priorityClassName"):
        yield f"  Priority Class Name:\t{spec['priorityClassName']}"
    yield from labels("  Node-Selectors", spec.get("nodeSelector"))
    yield from tolerations("  Tolerations", spec.get("tolerations"))


def tolerations(title: str, found: Sequence[Json] | None) -> Iterator[str]:
    """Sorted by key, one to a line."""
    yield from column(title, [_toleration(one) for one in sorted(found or (), key=lambda one: one.get("key") or "")])


def _toleration(one: Json) -> str:
    text = one.get("key") or ""
    text += f"={one['value']}" if one.get("value") else ""
    text += f":{one['effect']}" if one.get("effect") else ""
    if one.get("operator") == "Exists" and not one.get("value"):
        text += " op=Exists" if one.get("key") or one.get("effect") else "op=Exists"
    return text + (f" for {one['tolerationSeconds']}s" if one.get("tolerationSeconds") is not None else "")


def spread_constraints(found: Sequence[Json] | None, space: str) -> Iterator[str]:
    """Topology spread constraints, if there are any."""
    if found:
        shown = [_constraint(one) for one in sorted(found, key=lambda one: one.get("topologyKey") or "")]
        yield from column(f"{space}Topology Spread Constraints", shown)


def _constraint(one: Json) -> str:
    limit = f"when max skew {one.get('maxSkew', 0)} is exceeded"
    chosen = f" for selector {selector(one['labelSelector'])}" if one.get("labelSelector") else ""
    return f"{one.get('topologyKey', '')}:{one.get('whenUnsatisfiable', '')} {limit}{chosen}"
