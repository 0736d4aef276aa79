"""One ValidatingAdmissionPolicy, compiled: its variables, validations, messages and audit annotations on one request.

Upstream: k8s.io/apiserver/pkg/admission/plugin/policy/validating/validator.go. No lookups are here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.admission.expressions import Conditions
from apiserver.admission.matching import Criteria
from machinery.api import meta
from machinery.api.codec import Json
from machinery.cel.environment import CompileError, Environment, EvaluationError, Program, Type
from machinery.cel.requests import policy_variables

_LONGEST_MESSAGE: Final = 5 << 10
_LONGEST_ANNOTATION: Final = 10 << 10
_VARIABLE: Final = re.compile(r"\bvariables\.(\w+)")


@dataclass(frozen=True, slots=True)
class Denial:
    """A validation that does not hold, or that could not be evaluated."""

    message: str
    reason: str = "Invalid"
    index: int = 0
    #: what happens, where that is not the binding's choice
    actions: Sequence[str] = ()


@dataclass(slots=True)
class Evaluation:
    """What a policy says about one request with one set of parameters."""

    denials: list[Denial] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Validation:
    """One entry of validations."""

    program: Program | CompileError
    source: str
    message: str
    message_program: Program | None
    reason: str


class Variables:
    """The composited variables of one evaluation: each is computed when something first asks for it."""

    def __init__(self, programs: Mapping[str, Program | CompileError], values: Mapping[str, Any]) -> None:
        self._programs = programs
        self._values = dict(values)
        self._failed: dict[str, str] = {}

    def evaluate(self, program: Program) -> Any:
        """An expression's value, with the variables that it names; raises EvaluationError."""
        wanted = _VARIABLE.findall(program.source)
        for name in wanted:
            self._compute(name)
        try:
            return program.evaluate(self._values)
        except EvaluationError:
            # where the variable was needed: an expression may well do without one that has no value
            broken = next((name for name in wanted if name in self._failed), None)
            if broken is None:
                raise
            text = f'composited variable "{broken}" fails to evaluate: {self._failed[broken]}'
            raise EvaluationError(text) from None

    def _compute(self, name: str) -> None:
        key = f"variables.{name}"
        program = self._programs.get(name)
        if key in self._values or name in self._failed or program is None:
            return
        try:
            if isinstance(program, CompileError):
                raise EvaluationError(str(program))
            self._values[key] = self.evaluate(program)
        except EvaluationError as problem:
            self._failed[name] = str(problem)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, ready to be asked."""

    name: str
    criteria: Criteria
    conditions: Conditions
    ignores_failures: bool
    param_kind: tuple[str, str] | None
    variables: Mapping[str, Program | CompileError]
    validations: Sequence[Validation]
    annotations: Sequence[tuple[str, Program]]

    @classmethod
    def of(cls, policy: Json, base: Environment) -> "Policy":
        """From the wire; raises ValueError for conditions and annotations that cannot be compiled."""
        spec = policy.get("spec") or {}
        param_kind = spec.get("paramKind")
        plain = base.extended(policy_variables(params=param_kind is not None))
        variables, full = compile_variables(spec.get("variables") or (), plain)
        annotations = [
            (entry.get("key") or "", full.compile((entry.get("valueExpression") or "").strip()))
            for entry in spec.get("auditAnnotations") or ()
        ]
        return cls(
            name=meta.name_of(policy),
            criteria=Criteria.of(spec.get("matchConstraints") or {}),
            conditions=Conditions.compiled(spec.get("matchConditions"), plain),
            ignores_failures=spec.get("failurePolicy") == "Ignore",
            param_kind=(param_kind.get("apiVersion") or "", param_kind.get("kind") or "") if param_kind else None,
            variables=variables,
            validations=[_validation(entry, full) for entry in spec.get("validations") or ()],
            annotations=annotations,
        )

    def evaluate(self, values: Mapping[str, Any]) -> Evaluation:
        """Ask it about a request."""
        variables, result = Variables(self.variables, values), Evaluation()
        for index, validation in enumerate(self.validations):
            denial = self._denial(validation, index, variables)
            if denial is not None:
                result.denials.append(denial)
        for key, program in self.annotations:
            try:
                value = variables.evaluate(program)
            except EvaluationError as problem:
                if not self.ignores_failures:
                    text = f"expression '{program.source}' resulted in error: {problem}"
                    result.denials.append(Denial(text, actions=("Deny",)))
                continue
            if isinstance(value, str) and value.strip():
                result.annotations[key] = value.strip()[:_LONGEST_ANNOTATION]
        return result

    def _denial(self, validation: Validation, index: int, variables: Variables) -> Denial | None:
        program = validation.program
        try:
            if isinstance(program, CompileError):
                raise EvaluationError(str(program))
            if variables.evaluate(program) is True:
                return None
        except EvaluationError as problem:
            if self.ignores_failures:
                return None
            text = f"expression '{validation.source}' resulted in error: {problem}"
            return Denial(text, validation.reason, index)
        return Denial(_message(validation, variables), validation.reason, index)


def compile_variables(
    entries: Sequence[Json], environment: Environment
) -> tuple[dict[str, Program | CompileError], Environment]:
    """The variables, and the environment that has all of them; one may use those before it."""
    programs: dict[str, Program | CompileError] = {}
    for entry in entries:
        name = entry.get("name") or ""
        try:
            program = environment.compile((entry.get("expression") or "").strip())
        except CompileError as problem:
            programs[name] = problem
            environment = environment.extended({f"variables.{name}": Type.DYN})
        else:
            programs[name] = program
            environment = environment.extended({f"variables.{name}": program.type})
    return programs, environment


def _validation(entry: Json, environment: Environment) -> Validation:
    source = (entry.get("expression") or "").strip()
    program: Program | CompileError
    try:
        program = environment.compile(source, Type.BOOL)
    except CompileError as problem:
        program = problem
    text = (entry.get("messageExpression") or "").strip()
    message_program = None
    if text:
        try:
            message_program = environment.compile(text, Type.STRING)
        except CompileError:
            message_program = None  # then the message stands
    return Validation(program, source, entry.get("message") or "", message_program, entry.get("reason") or "Invalid")


def _message(validation: Validation, variables: Variables) -> str:
    """messageExpression if it comes to one line of text, else message, else the expression itself."""
    fallback = validation.message.strip() or f"failed expression: {validation.source}"
    if validation.message_program is None:
        return fallback
    try:
        text = variables.evaluate(validation.message_program)
    except EvaluationError:
        return fallback
    if not isinstance(text, str) or not text.strip() or "\n" in text.strip() or len(text) > _LONGEST_MESSAGE:
        return fallback
    return text.strip()
