"""Jobs (upstream: pkg/registry/batch/job, pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation)."""

from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import (
    AGE,
    NONE,
    TEMPLATE_COLUMNS,
    count_of,
    human_duration,
    selector_text,
    since,
    spec_of,
    status_of,
)
from apiserver.resources.core.pods.defaults import fill, template_defaults
from apiserver.validation import fields, job_indexes, job_status, pod_template, pod_warnings, selectors
from machinery.api import errors, kinds, meta, names, times
from machinery.api import selectors as matching
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MODES: Final = ("Indexed", "NonIndexed")
_RESTARTS: Final = ("Never", "OnFailure")
_ACTIONS: Final = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS: Final = ("In", "NotIn")
_REPLACEMENTS: Final = ("Failed", "TerminatingOrFailed")
_COUNTS: Final = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_LONGEST_MANAGER: Final = 63
_MOST_INDEXED: Final = 100_000
_MOST_SUCCESS_RULES: Final = 20
_LONGEST_INDEXES: Final = 64 * 1024
_UID: Final = ("controller-uid", "batch.kubernetes.io/controller-uid")
_NAME: Final = ("job-name", "batch.kubernetes.io/job-name")
#: parts of the spec that stay as they are
_FIXED: Final = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
#: what may change in the template of a suspended job that has not begun
_SCHEDULING: Final = ("nodeSelector", "tolerations", "affinity", "schedulingGates")


class JobStrategy(KindStrategy):
    """A selector and labels of its own are made for a job, from its uid."""

    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Once, one at a time, six tries."""
        spec = obj.setdefault("spec", {})
        template_defaults(spec.setdefault("template", {}))
        if spec.get("completions") is None and spec.get("parallelism") is None:
            fill(spec, {"completions": 1, "parallelism": 1})
        fill(spec, {"parallelism": 1, "completionMode": "NonIndexed", "suspend": False, "manualSelector": False})
        fill(spec, {"backoffLimit": 2**31 - 1 if spec.get("backoffLimitPerIndex") is not None else 6})
        failed_only = spec.get("podFailurePolicy") is not None
        fill(spec, {"podReplacementPolicy": "Failed" if failed_only else "TerminatingOrFailed"})
        for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
            for pattern in rule.get("onPodConditions") or ():
                fill(pattern, {"status": "True"})
        if spec["manualSelector"] is False:
            del spec["manualSelector"]
        if not meta.labels_of(obj) and spec["template"].get("metadata", {}).get("labels"):
            obj["metadata"]["labels"] = dict(spec["template"]["metadata"]["labels"])

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """The selector and the labels by which its pods are found."""
        super().prepare_for_create(obj, context)
        obj["status"] = {}
        spec = obj["spec"]
        if spec.get("manualSelector"):
            return
        labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
        uid = obj["metadata"]["uid"]
        for key in _UID:
            labels.setdefault(key, uid)
        for key in _NAME:
            labels.setdefault(key, meta.name_of(obj))
        selector = spec.setdefault("selector", {}).setdefault("matchLabels", {})
        selector.setdefault(_UID[1], uid)

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """What is odd about the template, whenever it is new."""
        template = spec_of(obj).get("template") or {}
        if old is not None and template == spec_of(old).get("template"):
            return []
        return pod_warnings.check(template.get("spec") or {}, "spec.template.spec")

    def check(self, obj: Json) -> list[FieldError]:
        """What holds for every job's spec, and the selector, which a template of jobs has not."""
        spec = spec_of(obj)
        if spec.get("selector") is None:
            found = [errors.required("spec.selector")]
        else:
            found = selectors.label_selector(spec["selector"], "spec.selector")
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        if spec.get("selector") and not matching.LabelSelector.from_dict(spec["selector"]).matches(labels):
            text = "`selector` does not match template `labels`"
            found.append(errors.invalid_value("spec.template.metadata.labels", labels, text))
        return check_spec(spec, "spec") + found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """What a job has begun with it ends with; a suspended one may still be placed elsewhere."""
        spec, before = spec_of(obj), spec_of(old)
        found = fields.immutable(spec.get("selector"), before.get("selector"), "spec.selector")
        found += fields.immutable(_placed(spec, before), before.get("template"), "spec.template")
        for name in _FIXED:
            found += fields.immutable(spec.get(name), before.get(name), f"spec.{name}")
        elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
        if not elastic:
            found += fields.immutable(spec.get("completions"), before.get("completions"), "spec.completions")
        return found

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """What a job's controller may say of it."""
        return job_status.check(spec_of(obj), status_of(obj), status_of(old))


def _placed(spec: Json, before: Json) -> Any:
    """The new template, with the old one's scheduling where that may change: suspended and never started."""
    template, old = spec.get("template") or {}, before.get("template") or {}
    if not before.get("suspend"):
        return template
    same = {key: value for key, value in (template.get("spec") or {}).items() if key not in _SCHEDULING}
    same |= {key: value for key, value in (old.get("spec") or {}).items() if key in _SCHEDULING}
    labels = (old.get("metadata") or {}, template.get("metadata") or {})
    return {**template, "metadata": labels[0] or labels[1], "spec": same}


def check_spec(spec: Json, path: str) -> list[FieldError]:
    """Counts, modes, policies and the template: of a job, or of a CronJob's jobs (upstream: validateJobSpec)."""
    found = [problem for name in _COUNTS for problem in fields.non_negative(spec.get(name), f"{path}.{name}")]
    found += _completion(spec, path)
    found += _failure_policy(spec, path)
    found += _success_policy(spec, path)
    found += _managed_by(spec.get("managedBy"), f"{path}.managedBy")
    replacement = spec.get("podReplacementPolicy")
    found += fields.one_of(replacement, _REPLACEMENTS, f"{path}.podReplacementPolicy")
    if spec.get("podFailurePolicy") is not None and replacement not in (None, "Failed"):
        found.append(errors.not_supported(f"{path}.podReplacementPolicy", replacement, ("Failed",)))
    return found + _template(spec, path)


def _managed_by(value: str | None, path: str) -> list[FieldError]:
    if value is None:
        return []
    prefix, _, name = value.partition("/")
    if not prefix or not name:
        return [errors.invalid_value(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = [errors.invalid_value(path, prefix, text) for text in names.is_dns_subdomain(prefix)]
    if len(value) > _LONGEST_MANAGER:
        found.append(errors.too_long(path, _LONGEST_MANAGER))
    return found


def _completion(spec: Json, path: str) -> list[FieldError]:
    found = fields.one_of(spec.get("completionMode"), _MODES, f"{path}.completionMode")
    indexed = spec.get("completionMode") == "Indexed"
    if indexed and spec.get("completions") is None:
        found.append(errors.required(f"{path}.completions", "when completion mode is Indexed"))
    if indexed and (spec.get("parallelism") or 0) > _MOST_INDEXED:
        text = f"must be less than or equal to {_MOST_INDEXED} when completion mode is Indexed"
        found.append(errors.invalid_value(f"{path}.parallelism", spec["parallelism"], text))
    for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
        found += fields.non_negative(spec.get(name), f"{path}.{name}")
    if spec.get("backoffLimitPerIndex") is not None and not indexed:
        text = "requires indexed completion mode"
        found.append(errors.invalid_value(f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], text))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        found.append(errors.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return found


def _failure_policy(spec: Json, path: str) -> list[FieldError]:
    policy = spec.get("podFailurePolicy")
    if policy is None:
        return []
    containers = {item.get("name") for item in _containers(spec)}
    found: list[FieldError] = []
    for rule, at in fields.each(policy.get("rules"), f"{path}.podFailurePolicy.rules"):
        action = rule.get("action")
        if not action:
            found.append(errors.required(f"{at}.action", f"valid values: {list(_ACTIONS)}"))
        elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            text = "requires the backoffLimitPerIndex to be set"
            found.append(errors.invalid_value(f"{at}.action", action, text))
        elif action not in _ACTIONS:
            found.append(errors.not_supported(f"{at}.action", action, _ACTIONS))
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes is None and not conditions:
            text = "specifying one of OnExitCodes and OnPodConditions is required"
            found.append(errors.invalid_without_value(at, text))
        elif codes is not None and conditions:
            text = "specifying both OnExitCodes and OnPodConditions is not supported"
            found.append(errors.invalid_without_value(at, text))
        elif codes is not None:
            found += _exit_codes(codes, containers, f"{at}.onExitCodes")
    return found


def _exit_codes(codes: Json, containers: set[Any], path: str) -> list[FieldError]:
    found = fields.one_of(codes.get("operator"), _OPERATORS, f"{path}.operator", needed=True)
    if codes.get("containerName") is not None and codes["containerName"] not in containers:
        text = "must be one of the container or initContainer names in the pod template"
        found.append(errors.invalid_value(f"{path}.containerName", codes["containerName"], text))
    values: list[int] = codes.get("values") or []
    if not values:
        found.append(errors.invalid_value(f"{path}.values", values, "at least one value is required"))
    elif values != sorted(values):
        found.append(errors.invalid_value(f"{path}.values", values, "must be ordered"))
    if codes.get("operator") == "In" and 0 in values:
        found.append(errors.invalid_value(f"{path}.values[{values.index(0)}]", 0, "must not be 0 for the In operator"))
    return found + fields.unique((value, f"{path}.values[{number}]") for number, value in enumerate(values))


def _success_policy(spec: Json, path: str) -> list[FieldError]:
    policy = spec.get("successPolicy")
    if policy is None:
        return []
    if spec.get("completionMode") != "Indexed":
        return [errors.invalid_value(f"{path}.successPolicy", policy, "requires indexed completion mode")]
    if not policy.get("rules"):
        text = "at least one rules must be specified when the successPolicy is specified"
        return [errors.required(f"{path}.successPolicy.rules", text)]
    found: list[FieldError] = []
    if len(policy["rules"]) > _MOST_SUCCESS_RULES:
        found.append(errors.too_many(f"{path}.successPolicy.rules", len(policy["rules"]), _MOST_SUCCESS_RULES))
    for rule, at in fields.each(policy["rules"], f"{path}.successPolicy.rules"):
        if spec.get("completions") is not None:  # else that is what is wrong
            found += _success_rule(rule, spec["completions"], at)
    return found


def _success_rule(rule: Json, completions: int, path: str) -> list[FieldError]:
    wanted, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if wanted is None and indexes is None:
        return [errors.required(path, "at least one of succeededCount or succeededIndexes must be specified")]
    found = fields.non_negative(wanted, f"{path}.succeededCount")
    if (wanted or 0) > completions:
        text = f"must be less than or equal to {completions} (the number of specified completions)"
        found.append(errors.invalid_value(f"{path}.succeededCount", wanted, text))
    if indexes is None:
        return found
    if len(indexes.encode()) > _LONGEST_INDEXES:
        found.append(errors.too_long(f"{path}.succeededIndexes", _LONGEST_INDEXES))
    named, problems = job_indexes.named(indexes, completions, f"{path}.succeededIndexes", "succeededIndexes")
    if (wanted or 0) > named:
        text = f"must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
        problems.append(errors.invalid_value(f"{path}.succeededCount", wanted, text))
    return found + problems


def _containers(spec: Json) -> list[Json]:
    pod = (spec.get("template") or {}).get("spec") or {}
    return [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]


def _template(spec: Json, path: str) -> list[FieldError]:
    template = spec.get("template") or {}
    found = pod_template.check(template, f"{path}.template")
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        text = 'valid values: "OnFailure", "Never"'
        found.append(errors.required(f"{path}.template.spec.restartPolicy", text))
    elif policy not in _RESTARTS:
        found.append(errors.not_supported(f"{path}.template.spec.restartPolicy", policy, ("OnFailure", "Never")))
    elif policy != "Never" and spec.get("podFailurePolicy") is not None:
        text = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(errors.invalid_value(f"{path}.template.spec.restartPolicy", policy, text))
    return found


def _condition(status: Json, name: str) -> bool:
    return any(item.get("type") == name and item.get("status") == "True" for item in status.get("conditions") or ())


def _state(job: Json) -> str:
    status = status_of(job)
    for name, shown in (("Complete", "Complete"), ("Failed", "Failed")):
        if _condition(status, name):
            return shown
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for name in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if _condition(status, name):
            return name
    return "Running"


def _completions(job: Json) -> str:
    spec, done = spec_of(job), status_of(job).get("succeeded") or 0
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: Json) -> str:
    status = status_of(job)
    if not status.get("startTime"):
        return ""
    if not status.get("completionTime"):
        return since(status["startTime"])
    return human_duration((times.parse(status["completionTime"]) - times.parse(status["startTime"])).total_seconds())


JOBS: Final = Resource(
    kind=kinds.JOBS,
    key="jobs",
    strategy=JobStrategy(),
    categories=("all",),
    columns=(
        Column("Status", _state),
        Column("Completions", _completions),
        Column("Duration", _duration),
        AGE,
        *TEMPLATE_COLUMNS[:2],
        Column("Selector", lambda job: selector_text(spec_of(job).get("selector")) or NONE, priority=1),
    ),
    fields={"status.successful": lambda job: str(count_of("succeeded")(job))},
    subresources=("status",),
)
