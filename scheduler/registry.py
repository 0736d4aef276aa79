"""Which plugins there are, and upstream's default set. What a user's configuration makes of it is `config`'s."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from scheduler.framework import Handle, Plugin
from scheduler.plugins.default_binder import DefaultBinder
from scheduler.plugins.default_preemption import DefaultPreemption
from scheduler.plugins.dynamic_resources import DynamicResources
from scheduler.plugins.image_locality import ImageLocality
from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_name import NodeName
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.node_unschedulable import NodeUnschedulable
from scheduler.plugins.node_volume_limits import NodeVolumeLimits
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from scheduler.plugins.priority_sort import PrioritySort
from scheduler.plugins.scheduling_gates import SchedulingGates
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.plugins.volume_binding import VolumeBinding
from scheduler.plugins.volume_restrictions import VolumeRestrictions
from scheduler.plugins.volume_zone import VolumeZone

#: makes a plugin from the handle and its `pluginConfig` arguments
Factory = Callable[[Handle, Mapping[str, Any]], Plugin]

PLUGINS: Final[Mapping[str, Factory]] = {
    SchedulingGates.name: lambda handle, args: SchedulingGates(),
    PrioritySort.name: lambda handle, args: PrioritySort(),
    NodeUnschedulable.name: lambda handle, args: NodeUnschedulable(),
    NodeName.name: lambda handle, args: NodeName(),
    TaintToleration.name: lambda handle, args: TaintToleration(),
    NodeAffinity.name: lambda handle, args: NodeAffinity(args),
    NodePorts.name: lambda handle, args: NodePorts(),
    NodeResourcesFit.name: lambda handle, args: NodeResourcesFit(args),
    VolumeRestrictions.name: lambda handle, args: VolumeRestrictions(handle),
    NodeVolumeLimits.name: lambda handle, args: NodeVolumeLimits(handle),
    VolumeBinding.name: VolumeBinding,
    VolumeZone.name: lambda handle, args: VolumeZone(handle),
    PodTopologySpread.name: PodTopologySpread,
    InterPodAffinity.name: InterPodAffinity,
    DynamicResources.name: lambda handle, args: DynamicResources(handle),
    DefaultPreemption.name: DefaultPreemption,
    ImageLocality.name: lambda handle, args: ImageLocality(),
    NodeResourcesBalancedAllocation.name: lambda handle, args: NodeResourcesBalancedAllocation(args),
    DefaultBinder.name: lambda handle, args: DefaultBinder(handle),
}

#: upstream's order and weights (apis/config/v1/default_plugins.go): the first to turn a node down names the reason
DEFAULTS: Final[Mapping[str, int]] = {
    "SchedulingGates": 1,
    "PrioritySort": 1,
    "NodeUnschedulable": 1,
    "NodeName": 1,
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodePorts": 1,
    "NodeResourcesFit": 1,
    "VolumeRestrictions": 1,
    "NodeVolumeLimits": 1,
    "VolumeBinding": 1,
    "VolumeZone": 1,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "DynamicResources": 2,
    "DefaultPreemption": 1,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
    "DefaultBinder": 1,
}

#: upstream plugins a configuration may name although nothing is done for them yet
NOT_YET: Final = frozenset(
    {
        "GangScheduling",
        "NodeDeclaredFeatures",
    }
)
