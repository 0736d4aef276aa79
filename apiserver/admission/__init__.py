"""Admission: the chain and its plugins, one file each.

ALL is every plugin in upstream's order; PLUGINS are those that are on unless `--disable-admission-plugins` says no, the
others are on where `--enable-admission-plugins` names them.
"""

from typing import Final

from apiserver.admission.always_pull_images import AlwaysPullImages
from apiserver.admission.chain import Plugin
from apiserver.admission.claim_resize import PersistentVolumeClaimResize
from apiserver.admission.default_class import DefaultIngressClass, DefaultStorageClass
from apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from apiserver.admission.event_rate_limit import EventRateLimit
from apiserver.admission.extended_resource_toleration import ExtendedResourceToleration
from apiserver.admission.limit_ranger import LimitRanger
from apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.node_restriction import NodeRestriction
from apiserver.admission.pod_security import PodSecurity
from apiserver.admission.policies import ValidatingAdmissionPolicy
from apiserver.admission.priority import Priority
from apiserver.admission.resource_quota import ResourceQuota
from apiserver.admission.runtime_class import RuntimeClass
from apiserver.admission.service_account import ServiceAccount
from apiserver.admission.signers import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from apiserver.admission.storage_protection import StorageObjectInUseProtection
from apiserver.admission.taint_nodes import TaintNodesByCondition
from apiserver.admission.webhooks import MutatingAdmissionWebhook, ValidatingAdmissionWebhook

ALL: Final[tuple[type[Plugin], ...]] = (
    NamespaceLifecycle,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    AlwaysPullImages,
    PodSecurity,
    EventRateLimit,
    Priority,
    DefaultTolerationSeconds,
    ExtendedResourceToleration,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    ClusterTrustBundleAttest,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    MutatingAdmissionWebhook,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionWebhook,
    ResourceQuota,
)
_OFF: Final = (NodeRestriction, AlwaysPullImages, EventRateLimit, ExtendedResourceToleration)
PLUGINS: Final[tuple[type[Plugin], ...]] = tuple(plugin for plugin in ALL if plugin not in _OFF)
