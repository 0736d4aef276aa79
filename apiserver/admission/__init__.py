"""Admission: the chain and its plugins, one file each; PLUGINS is what is on by default, in upstream's order."""

from typing import Final

from apiserver.admission.chain import Plugin
from apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.priority import Priority
from apiserver.admission.service_account import ServiceAccount
from apiserver.admission.taint_nodes import TaintNodesByCondition

PLUGINS: Final[tuple[type[Plugin], ...]] = (
    NamespaceLifecycle,
    ServiceAccount,
    TaintNodesByCondition,
    Priority,
    DefaultTolerationSeconds,
)
