"""What is wrong with a KubeSchedulerConfiguration: each mistake with its field, in upstream's words. Pure.

Upstream: pkg/scheduler/apis/config/validation (validation.go, validation_pluginargs.go). Where a mistake stands in the
file is found by `line_of`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import yaml

from machinery.api import errors, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MODES: Final = ("DoNotSchedule", "ScheduleAnyway")
_STRATEGIES: Final = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
_MOST_WEIGHT: Final = 100


def problems(document: Json) -> list[FieldError]:
    """Everything that is wrong with a configuration whose fields have the right types."""
    return [
        *_client(document.get("clientConnection") or {}),
        *_leader_election(document.get("leaderElection") or {}),
        *_numbers(document),
        *_profiles(document.get("profiles")),
        *_extenders(document.get("extenders") or ()),
    ]


def line_of(root: yaml.Node | None, field: str) -> int:
    """The line of the file on which a field such as `profiles[0].schedulerName` stands, or what comes closest to it."""
    node, line = root, 1
    for part in field.replace("[", ".[").split("."):
        found = _child(node, part)
        if found is None:
            break
        node, line = found
    return line


def _child(node: yaml.Node | None, part: str) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        number = int(part.strip("[]"))
        if number < len(node.value):
            return node.value[number], node.value[number].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark.line + 1
    return None


# the file's own fields


def _client(connection: Json) -> Iterator[FieldError]:
    burst = connection.get("burst")
    if burst is not None and burst < 0:
        yield errors.invalid_value("clientConnection.burst", burst, "must be non-negative")


def _leader_election(given: Json) -> Iterator[FieldError]:
    if given.get("leaderElect") is False:
        return
    defaults = {"leaseDuration": "15s", "renewDeadline": "10s", "retryPeriod": "2s"}
    values = {name: given.get(name) or default for name, default in defaults.items()}
    seconds = {}
    for name, value in values.items():
        try:
            seconds[name] = times.duration(value)
        except ValueError:
            yield errors.invalid_value(f"leaderElection.{name}", value, f'time: invalid duration "{value}"')
            return
        if seconds[name] <= 0:
            yield errors.invalid_value(f"leaderElection.{name}", value, "must be greater than zero")
    if seconds["leaseDuration"] <= seconds["renewDeadline"]:
        text = "LeaseDuration must be greater than RenewDeadline"
        yield errors.invalid_value("leaderElection.leaseDuration", values["leaseDuration"], text)
    if seconds["renewDeadline"] <= seconds["retryPeriod"]:
        text = "RenewDeadline must be greater than RetryPeriod"
        yield errors.invalid_value("leaderElection.renewDeadline", values["renewDeadline"], text)
    lock = given.get("resourceLock") or "leases"
    if lock != "leases":
        yield errors.invalid_value("leaderElection.resourceLock", lock, 'resourceLock value must be "leases"')


def _numbers(document: Json) -> Iterator[FieldError]:
    parallelism = document.get("parallelism")
    if parallelism is not None and parallelism <= 0:
        yield errors.invalid_value("parallelism", parallelism, "should be an integer value greater than zero")
    yield from _percentage(document, "")
    first, most = document.get("podInitialBackoffSeconds", 1), document.get("podMaxBackoffSeconds", 10)
    if first <= 0:
        yield errors.invalid_value("podInitialBackoffSeconds", first, "must be greater than 0")
    if most < first:
        text = "must be greater than or equal to PodInitialBackoffSeconds"
        yield errors.invalid_value("podMaxBackoffSeconds", most, text)


def _percentage(given: Json, path: str) -> Iterator[FieldError]:
    percentage = given.get("percentageOfNodesToScore")
    if percentage is not None and not 0 <= percentage <= 100:
        yield errors.invalid_value(f"{path}percentageOfNodesToScore", percentage, "not in valid range [0-100]")


# profiles


def _profiles(profiles: Sequence[Json] | None) -> Iterator[FieldError]:
    if profiles is None:
        return
    if not profiles:
        yield errors.required("profiles", "")
    seen: set[str] = set()
    for number, profile in enumerate(profiles):
        path = f"profiles[{number}]"
        name = profile.get("schedulerName") or ("default-scheduler" if len(profiles) == 1 else "")
        if not name:
            yield errors.required(f"{path}.schedulerName", "")
        elif name in seen:
            yield errors.duplicate(f"{path}.schedulerName", name)
        seen.add(name)
        yield from _percentage(profile, f"{path}.")
        yield from _plugin_sets(profile.get("plugins") or {}, f"{path}.plugins")
        yield from _plugin_configs(profile.get("pluginConfig") or (), f"{path}.pluginConfig")
    yield from _one_order(profiles)


def _one_order(profiles: Sequence[Json]) -> Iterator[FieldError]:
    """All profiles share one queue."""
    orders = [(profile.get("plugins") or {}).get("queueSort") or {} for profile in profiles]
    for number, order in enumerate(orders):
        if order != orders[0]:
            path = f"profiles[{number}].plugins.queueSort"
            yield errors.invalid_value(path, order, "queueSort must be the same for all profiles")


def _plugin_sets(sets: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    for point, given in sets.items():
        names = [one.get("name") for one in given.get("enabled") or ()]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield errors.duplicate(f"{path}.{point}.enabled[{number}].name", name)


def _plugin_configs(configs: Sequence[Json], path: str) -> Iterator[FieldError]:
    names = [one.get("name") for one in configs]
    for number, one in enumerate(configs):
        if names[number] in names[:number]:
            yield errors.duplicate(f"{path}[{number}]", names[number])
        check = _ARGS.get(names[number] or "")
        if check is not None:
            yield from check(one.get("args") or {}, f"{path}[{number}].args")


# the arguments of plugins


def _preemption(args: Json, path: str) -> Iterator[FieldError]:
    percentage, absolute = args.get("minCandidateNodesPercentage", 10), args.get("minCandidateNodesAbsolute", 100)
    if not 0 <= percentage <= 100:
        place = f"{path}.minCandidateNodesPercentage"
        yield errors.invalid_value(place, percentage, "not in valid range [0, 100]")
    if absolute < 0:
        yield errors.invalid_value(f"{path}.minCandidateNodesAbsolute", absolute, "not in valid range [0, inf)")
    if percentage == absolute == 0:
        for name, other in (("Percentage", "Absolute"), ("Absolute", "Percentage")):
            text = f"cannot be zero at the same time as minCandidateNodes{other}"
            yield errors.invalid_value(f"{path}.minCandidateNodes{name}", 0, text)


def _pod_affinity(args: Json, path: str) -> Iterator[FieldError]:
    weight = args.get("hardPodAffinityWeight", 1)
    if not 0 <= weight <= 100:
        yield errors.invalid_value(f"{path}.hardPodAffinityWeight", weight, "not in valid range [0-100]")


def _topology_spread(args: Json, path: str) -> Iterator[FieldError]:
    kind, constraints = args.get("defaultingType") or "System", args.get("defaultConstraints") or []
    if kind not in ("System", "List"):
        yield errors.not_supported(f"{path}.defaultingType", kind, ("System", "List"))
    elif kind == "System" and constraints:
        yield errors.invalid_value(f"{path}.defaultingType", kind, "when .defaultConstraints are not empty")
    seen: list[str] = []
    for number, one in enumerate(constraints):
        place = f"{path}.defaultConstraints[{number}]"
        yield from _constraint(one, place)
        pair = f"{{{one.get('topologyKey')}, {one.get('whenUnsatisfiable')}}}"
        if pair in seen:
            yield errors.duplicate(place, pair)
        seen.append(pair)


def _constraint(one: Json, path: str) -> Iterator[FieldError]:
    skew, when = one.get("maxSkew") or 0, one.get("whenUnsatisfiable")
    if skew <= 0:
        yield errors.invalid_value(f"{path}.maxSkew", skew, "not in valid range (0, inf)")
    if not one.get("topologyKey"):
        yield errors.required(f"{path}.topologyKey", "can not be empty")
    if not when:
        yield errors.required(f"{path}.whenUnsatisfiable", "can not be empty")
    elif when not in _MODES:
        yield errors.not_supported(f"{path}.whenUnsatisfiable", when, _MODES)
    if one.get("labelSelector") is not None:
        text = "constraint must not define a selector, as they deduced for each pod"
        yield errors.forbidden_field(f"{path}.labelSelector", text)


def _resources_fit(args: Json, path: str) -> Iterator[FieldError]:
    for number, group in enumerate(args.get("ignoredResourceGroups") or ()):
        if "/" in group:
            place = f"{path}.ignoredResourceGroups[{number}]"
            yield errors.invalid_value(place, group, "resource group name can't contain '/'")
    strategy = args.get("scoringStrategy") or {}
    kind, place = strategy.get("type") or "LeastAllocated", f"{path}.scoringStrategy"
    if kind not in _STRATEGIES:
        yield errors.not_supported(f"{place}.type", kind, _STRATEGIES)
    for number, resource in enumerate(strategy.get("resources") or ()):
        weight, name = resource.get("weight", 1), resource.get("name")
        if not 0 < weight <= _MOST_WEIGHT:
            text = f"resource weight of {name} not in valid range (0, {_MOST_WEIGHT}]"
            yield errors.invalid_value(f"{place}.resources[{number}].weight", weight, text)
    if kind == "RequestedToCapacityRatio":
        yield from _shape(strategy.get("requestedToCapacityRatio") or {}, f"{place}.requestedToCapacityRatio.shape")


def _shape(ratio: Json, path: str) -> Iterator[FieldError]:
    shape = ratio.get("shape") or []
    if not shape:
        yield errors.required(path, "at least one point must be specified")
    for number, point in enumerate(shape):
        use, score = point.get("utilization") or 0, point.get("score") or 0
        if not 0 <= use <= 100:
            yield errors.invalid_value(f"{path}[{number}].utilization", use, "not in valid range [0, 100]")
        if number and (shape[number - 1].get("utilization") or 0) >= use:
            text = "utilization values must be sorted in increasing order"
            yield errors.invalid_value(f"{path}[{number}].utilization", use, text)
        if not 0 <= score <= 10:
            yield errors.invalid_value(f"{path}[{number}].score", score, "not in valid range [0, 10]")


def _balanced(args: Json, path: str) -> Iterator[FieldError]:
    for number, resource in enumerate(args.get("resources") or ()):
        weight = resource.get("weight", 1)
        if weight != 1:
            yield errors.invalid_value(f"{path}.resources[{number}].weight", weight, "must be 1")


def _volume_binding(args: Json, path: str) -> Iterator[FieldError]:
    seconds = args.get("bindTimeoutSeconds", 600)
    if seconds < 0:
        text = "invalid BindTimeoutSeconds, should not be a negative value"
        yield errors.invalid_value(f"{path}.bindTimeoutSeconds", seconds, text)


_ARGS: Final[Mapping[str, Callable[[Json, str], Iterator[FieldError]]]] = {
    "DefaultPreemption": _preemption,
    "InterPodAffinity": _pod_affinity,
    "PodTopologySpread": _topology_spread,
    "NodeResourcesFit": _resources_fit,
    "NodeResourcesBalancedAllocation": _balanced,
    "VolumeBinding": _volume_binding,
}


# extenders


def _extenders(extenders: Sequence[Json]) -> Iterator[FieldError]:
    managed: set[str] = set()
    for number, one in enumerate(extenders):
        path = f"extenders[{number}]"
        if one.get("prioritizeVerb") and (one.get("weight") or 0) <= 0:
            text = "must have a positive weight applied to it"
            yield errors.invalid_value(f"{path}.weight", one.get("weight") or 0, text)
        for place, resource in enumerate(one.get("managedResources") or ()):
            name, field = resource.get("name") or "", f"{path}.managedResources[{place}].name"
            if "/" not in name or name.startswith("kubernetes.io/"):
                yield errors.invalid_value(field, name, f"{name} is an invalid extended resource name")
            elif name in managed:
                yield errors.invalid_value(field, name, "duplicate extender managed resource name")
            managed.add(name)
    binders = sum(bool(one.get("bindVerb")) for one in extenders)
    if binders > 1:
        yield errors.invalid_value(
            "extenders", f"found {binders} extenders implementing bind", "only one extender can implement bind"
        )
