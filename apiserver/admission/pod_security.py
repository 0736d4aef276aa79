"""PodSecurity: pods keep to the level that their namespace's labels ask for. The rules are pod_security_checks.

Upstream: k8s.io/pod-security-admission/admission/admission.go (KEP-2579). A template is never refused, its author is
warned: what is refused is the pod that a controller makes of it.
"""

from typing import Final, Self

from apiserver.admission import pod_security_checks as checks
from apiserver.admission import pod_security_metrics as metrics
from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin, Tools
from apiserver.admission.pod_security_checks import Subject
from apiserver.admission.pod_security_policy import Configuration, LevelVersion, Policy, configuration_of, policy_of
from apiserver.admission.reader import Reader
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

#: where the pod of a kind's template lies
_TEMPLATES: Final[dict[Kind, tuple[str, ...]]] = {
    kinds.POD_TEMPLATES: ("template",),
    kinds.REPLICATION_CONTROLLERS: ("spec", "template"),
    kinds.REPLICA_SETS: ("spec", "template"),
    kinds.DEPLOYMENTS: ("spec", "template"),
    kinds.STATEFUL_SETS: ("spec", "template"),
    kinds.DAEMON_SETS: ("spec", "template"),
    kinds.JOBS: ("spec", "template"),
    kinds.CRON_JOBS: ("spec", "jobTemplate", "spec", "template"),
}
#: of pods, those that change what may run
_SUBRESOURCES: Final = ("", "ephemeralcontainers", "resize")
#: what may change of a running pod without another look at it
_HARMLESS: Final = ("activeDeadlineSeconds", "schedulingGates", "terminationGracePeriodSeconds", "tolerations")
_ANNOTATIONS: Final = ("container.apparmor.security.beta.kubernetes.io/", "seccomp.security.alpha.kubernetes.io/")
_AUDIT: Final = "pod-security.kubernetes.io/"
_DEFAULT: Final = Configuration()
_MOST_PODS: Final = 3000  # of a namespace, looked at when its labels change


class PodSecurity(Plugin):
    """Refuses, audits, warns."""

    name = "PodSecurity"

    def __init__(self, configuration: Configuration = _DEFAULT) -> None:
        self._configuration = configuration

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """Defaults and exemptions come from the configuration; raises ValueError."""
        return cls(configuration_of(tools.configuration.get(cls.name) or {}))

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden for a pod that violates what is enforced, Invalid for a namespace with bad labels."""
        if attributes.obj is None or attributes.operation not in (Operation.CREATE, Operation.UPDATE):
            return
        if attributes.kind == kinds.NAMESPACES:
            self._judge_namespace(attributes, reader)
        elif attributes.kind == kinds.PODS and attributes.subresource in _SUBRESOURCES:
            await self._judge_pod(attributes, reader)
        elif attributes.kind in _TEMPLATES and not attributes.subresource:
            await self._judge_template(attributes, reader)

    async def _judge_pod(self, attributes: Attributes, reader: Reader) -> None:
        if self._is_exempt(attributes):
            return
        policy, problems = await self._policy(attributes, reader)
        pod, old = attributes.obj or {}, attributes.old
        if policy.allows_all and not problems:
            attributes.annotate(f"{_AUDIT}enforce-policy", str(policy.enforce))
            metrics.evaluated(attributes, "enforce", policy.enforce, allowed=True)
            return
        if (old is not None and not _is_significant(pod, old)) or self._runs_exempt(attributes, pod):
            return
        subject = _subject(pod)
        attributes.annotate(f"{_AUDIT}enforce-policy", str(policy.enforce))
        _note_problems(attributes, problems)
        refusal = _violations(subject, policy.enforce)
        metrics.evaluated(attributes, "enforce", policy.enforce, allowed=not refusal)
        _audit(attributes, subject, policy)
        if refusal:
            raise attributes.forbidden(f'violates PodSecurity "{policy.enforce}": {refusal}')
        _warn(attributes, subject, policy)

    async def _judge_template(self, attributes: Attributes, reader: Reader) -> None:
        if self._is_exempt(attributes):
            return
        policy, problems = await self._policy(attributes, reader)
        if policy.audit.level == policy.warn.level == "privileged" and not problems:
            return
        template = attributes.obj
        for step in _TEMPLATES[attributes.kind]:
            template = (template or {}).get(step)
        if template and not self._runs_exempt(attributes, template):
            subject = _subject(template)
            _note_problems(attributes, problems)
            _audit(attributes, subject, policy)
            _warn(attributes, subject, policy)

    def _judge_namespace(self, attributes: Attributes, reader: Reader) -> None:
        """The labels make sense; who tightens them is told which pods would no longer be let in."""
        if attributes.subresource or attributes.obj is None:
            return
        defaults, name = self._configuration.defaults, meta.name_of(attributes.obj)
        policy, problems = policy_of(meta.labels_of(attributes.obj), defaults)
        before, old_problems = policy_of(meta.labels_of(attributes.old or {}), defaults)
        if problems and (attributes.old is None or problems != old_problems):
            raise errors.invalid(kinds.NAMESPACES, name, problems)
        if name in self._configuration.namespaces:
            if policy != before:
                text = f'namespace "{name}" is exempt from Pod Security, and the policy ({policy}) will be ignored'
                attributes.warn(text)
            return
        new, old = policy.enforce, before.enforce
        relaxed = new.minor == old.minor and not new.is_stricter_than(old)
        if attributes.old is None or new.level == "privileged" or relaxed:
            return
        for text in _of_pods_there(reader.in_namespace(kinds.PODS, name), new):
            attributes.warn(text)

    def _is_exempt(self, attributes: Attributes) -> bool:
        configuration = self._configuration
        if attributes.namespace in configuration.namespaces:
            return _exempt(attributes, "namespace")
        return attributes.user.name in configuration.users and _exempt(attributes, "user")

    def _runs_exempt(self, attributes: Attributes, pod: Json) -> bool:
        runtime = (pod.get("spec") or {}).get("runtimeClassName") or ""
        return runtime in self._configuration.runtime_classes and _exempt(attributes, "runtimeClass")

    async def _policy(self, attributes: Attributes, reader: Reader) -> tuple[Policy, list[errors.FieldError]]:
        namespace = await reader.get(kinds.NAMESPACES, "", attributes.namespace)
        return policy_of(meta.labels_of(namespace or {}), self._configuration.defaults)


def _of_pods_there(pods: list[Json], level: LevelVersion) -> list[str]:
    """A head and a line per way of violating, with the first pod that does; replicas are told of together."""
    by_reason: dict[str, list[str]] = {}
    for pod in sorted(pods[:_MOST_PODS], key=meta.name_of):
        reasons = [found.reason for found in checks.violations(_subject(pod), level.level, level.minor)]
        if reasons:
            by_reason.setdefault(", ".join(reasons), []).append(meta.name_of(pod))
    if not by_reason:
        return []
    namespace = meta.namespace_of(pods[0])
    told = [f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}"']
    for reasons_text, names in sorted(by_reason.items(), key=lambda item: item[1]):
        others = len(names) - 1
        more = f" (and {others} other pod{'' if others == 1 else 's'})" if others else ""
        told.append(f"{names[0]}{more}: {reasons_text}")
    return told


def _subject(pod: Json) -> Subject:
    return Subject(meta.annotations_of(pod), pod.get("spec") or {})


def _violations(subject: Subject, level: LevelVersion) -> str:
    """`privileged (container "a" …), hostPort (…)`; empty where there are none."""
    if level.level == "privileged":
        return ""
    found = checks.violations(subject, level.level, level.minor)
    return ", ".join(f"{violation.reason} ({violation.detail})" for violation in found)


def _exempt(attributes: Attributes, why: str) -> bool:
    attributes.annotate(f"{_AUDIT}exempt", why)
    metrics.exempted(attributes)
    return True


def _note_problems(attributes: Attributes, problems: list[errors.FieldError]) -> None:
    if problems:
        said = ", ".join(problem.message() for problem in problems)
        attributes.annotate(f"{_AUDIT}error", f"Failed to parse policy: {said}")
        metrics.failed(attributes)


def _audit(attributes: Attributes, subject: Subject, policy: Policy) -> None:
    if found := _violations(subject, policy.audit):
        attributes.annotate(f"{_AUDIT}audit-violations", f'would violate PodSecurity "{policy.audit}": {found}')
        metrics.evaluated(attributes, "audit", policy.audit, allowed=False)


def _warn(attributes: Attributes, subject: Subject, policy: Policy) -> None:
    if found := _violations(subject, policy.warn):
        attributes.warn(f'would violate PodSecurity "{policy.warn}": {found}')
        metrics.evaluated(attributes, "warn", policy.warn, allowed=False)


def _is_significant(pod: Json, old: Json) -> bool:
    """Whether an update changes more than what the level does not care for (images, tolerations …)."""
    return _essence(pod) != _essence(old)


def _essence(pod: Json) -> tuple[Json, dict[str, str]]:
    spec = {key: value for key, value in (pod.get("spec") or {}).items() if key not in _HARMLESS}
    for part in ("containers", "initContainers"):
        spec[part] = [{key: value for key, value in one.items() if key != "image"} for one in spec.get(part) or ()]
    annotations = meta.annotations_of(pod)
    return spec, {key: value for key, value in annotations.items() if any(part in key for part in _ANNOTATIONS)}
