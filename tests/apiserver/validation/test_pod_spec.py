"""What a pod's spec may say, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api import codec, names
from machinery.api.codec import Json

C = "spec.containers[0]"


def _problems(spec: Json) -> list[str]:
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _spec(**fields: Any) -> Json:
    return {"containers": [{"name": "c", "image": "nginx"}], **fields}


def _container(**fields: Any) -> Json:
    return {"containers": [{"name": "c", "image": "nginx", **fields}]}


def _volume(**source: Any) -> Json:
    return _spec(volumes=[{"name": "v", **source}])


def test_a_pod_that_uses_most_things_is_fine() -> None:
    spec = _container(
        ports=[{"name": "http", "containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
        env=[{"name": "A", "value": "b"}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        envFrom=[{"secretRef": {"name": "s"}}],
        volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a/b"}],
        resources={"requests": {"cpu": "100m"}, "limits": {"cpu": "200m", "example.org/gpu": "1"}},
        readinessProbe={"exec": {"command": ["true"]}, "successThreshold": 2},
        livenessProbe={"tcpSocket": {"port": "http"}},
        lifecycle={"preStop": {"sleep": {"seconds": 1}}},
        securityContext={"runAsUser": 1000, "allowPrivilegeEscalation": False},
    )
    spec["volumes"] = [{"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "b/c"}]}}]
    spec["initContainers"] = [{"name": "i", "image": "x"}, {"name": "s", "image": "x", "restartPolicy": "Always"}]
    spec["tolerations"] = [{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute"}]
    assert _problems(spec) == []


CONTAINERS = [
    pytest.param({"containers": []}, ["spec.containers: Required value"], id="no-containers"),
    pytest.param(_container(image=""), [f"{C}.image: Required value"], id="no-image"),
    pytest.param(
        _container(image=" nginx"),
        [f'{C}.image: Invalid value: " nginx": must not have leading or trailing whitespace'],
        id="image-with-space",
    ),
    pytest.param(
        {"containers": [{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]},
        ['spec.containers[1].name: Duplicate value: "c"'],
        id="same-name-twice",
    ),
    pytest.param(
        _spec(initContainers=[{"name": "c", "image": "a"}]),
        ['spec.initContainers[0].name: Duplicate value: "c"'],
        id="init-container-of-the-same-name",
    ),
    pytest.param(
        _container(imagePullPolicy="Sometimes"),
        [f'{C}.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'],
        id="pull-policy",
    ),
    pytest.param(_container(ports=[{}]), [f"{C}.ports[0].containerPort: Required value"], id="no-port"),
    pytest.param(
        _container(ports=[{"containerPort": 70000}]),
        [f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
        id="port-out-of-range",
    ),
    pytest.param(
        _container(ports=[{"containerPort": 1, "name": "-"}]),
        [
            f'{C}.ports[0].name: Invalid value: "-": must contain at least one letter (a-z)',
            f'{C}.ports[0].name: Invalid value: "-": must not begin or end with a hyphen',
        ],
        id="port-name",
    ),
    pytest.param(
        _container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
        [f'{C}.ports[1].name: Duplicate value: "a"'],
        id="port-name-twice",
    ),
    pytest.param(
        _container(ports=[{"containerPort": 1, "hostPort": 8080}, {"containerPort": 2, "hostPort": 8080}]),
        [f'{C}.ports[1].hostPort: Duplicate value: "TCP//8080"'],
        id="host-port-twice",
    ),
    pytest.param(_container(env=[{"value": "x"}]), [f"{C}.env[0].name: Required value"], id="env-without-name"),
    pytest.param(
        _container(env=[{"name": "a=b"}]),
        [
            f'{C}.env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable '
            "ASCII characters other than '='"
        ],
        id="env-name",
    ),
    pytest.param(
        _container(env=[{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        [f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
        id="env-with-both",
    ),
    pytest.param(
        _container(env=[{"name": "A", "valueFrom": {}}]),
        [
            f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
            "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        ],
        id="env-from-nothing",
    ),
    pytest.param(
        _container(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
        [f'{C}.volumeMounts[0].name: Not found: "x"'],
        id="mount-of-no-volume",
    ),
    pytest.param(
        {**_volume(emptyDir={}), **_container(volumeMounts=[{"name": "v", "mountPath": "/x"}] * 2)},
        [f'{C}.volumeMounts[1].mountPath: Invalid value: "/x": must be unique'],
        id="mounted-over",
    ),
    pytest.param(
        {**_volume(emptyDir={}), **_container(volumeMounts=[{"name": "v", "mountPath": "/x", "subPath": "../y"}])},
        [f"{C}.volumeMounts.subPath: Invalid value: \"../y\": must not contain '..'"],
        id="sub-path-out-of-the-volume",
    ),
    pytest.param(
        _container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        [f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        id="request-over-limit",
    ),
    pytest.param(
        _container(resources={"limits": {"memory": "-1"}}),
        [f'{C}.resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0'],
        id="negative-limit",
    ),
    pytest.param(
        _container(resources={"limits": {"disk": "1"}}),
        [
            f'{C}.resources.limits[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
            f'{C}.resources.limits[disk]: Invalid value: "disk": must be a standard resource for containers',
        ],
        id="unknown-resource",
    ),
    pytest.param(
        _container(resources={"requests": {"example.org/gpu": "1"}}),
        [f"{C}.resources.limits: Required value: Limit must be set for non overcommitable resources"],
        id="device-without-limit",
    ),
    pytest.param(
        _container(resources={"limits": {"hugepages-2Mi": "4Mi"}}),
        [f"{C}.resources: Forbidden: HugePages require cpu or memory"],
        id="huge-pages-alone",
    ),
    pytest.param(
        _container(resources={"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
        [
            f'{C}.resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of '
            "hugepages-2Mi",
        ],
        id="half-a-huge-page",
    ),
    pytest.param(
        _container(livenessProbe={}),
        [f"{C}.livenessProbe: Required value: must specify a handler type"],
        id="no-handler",
    ),
    pytest.param(
        _container(livenessProbe={"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}),
        [f"{C}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
        id="two-handlers",
    ),
    pytest.param(
        _container(livenessProbe={"exec": {"command": ["x"]}, "successThreshold": 2}),
        [f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        id="liveness-needs-one-success",
    ),
    pytest.param(
        _container(readinessProbe={"httpGet": {"port": 0}, "periodSeconds": -1}),
        [
            f"{C}.readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            f"{C}.readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ],
        id="probe-numbers",
    ),
    pytest.param(
        {**_container(lifecycle={"preStop": {"sleep": {"seconds": 6}}}), "terminationGracePeriodSeconds": 5},
        [
            f"{C}.lifecycle.preStop.sleep: Invalid value: 6: must be non-negative and less than "
            "terminationGracePeriodSeconds (5)"
        ],
        id="sleep-beyond-the-end",
    ),
    pytest.param(_container(lifecycle={"postStart": {"sleep": {"seconds": 0}}}), [], id="no-sleep"),
    pytest.param(
        _spec(initContainers=[{"name": "i", "image": "x", "livenessProbe": {"tcpSocket": {"port": 1}}}]),
        [
            "spec.initContainers[0].livenessProbe: Forbidden: "
            "may not be set for init containers without restartPolicy=Always"
        ],
        id="probe-of-an-init-container",
    ),
    pytest.param(
        _container(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
        [
            f'{C}.securityContext: Invalid value: {{"privileged":true,"allowPrivilegeEscalation":false}}: '
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        ],
        id="privileged-without-escalation",
    ),
]
VOLUMES = [
    pytest.param(
        _volume(emptyDir={}, hostPath={"path": "/x"}),
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        id="two-sources",
    ),
    pytest.param(
        _spec(volumes=[{"name": "v"}, {"name": "v"}]), ['spec.volumes[1].name: Duplicate value: "v"'], id="same-name"
    ),
    pytest.param(_volume(configMap={}), ["spec.volumes[0].configMap.name: Required value"], id="no-config-map"),
    pytest.param(_volume(secret={}), ["spec.volumes[0].secret.secretName: Required value"], id="no-secret"),
    pytest.param(
        _volume(secret={"secretName": "s", "defaultMode": 0o1000}),
        [
            "spec.volumes[0].secret.defaultMode: Invalid value: 512: "
            "must be a number between 0 and 0777 (octal), both inclusive"
        ],
        id="mode",
    ),
    pytest.param(
        _volume(configMap={"name": "c", "items": [{"key": "a", "path": "/b"}]}),
        ['spec.volumes[0].configMap.items[0].path: Invalid value: "/b": must be a relative path'],
        id="absolute-item",
    ),
    pytest.param(
        _volume(hostPath={"path": "/a/../b", "type": "Dir"}),
        [
            "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            'spec.volumes[0].hostPath.type: Unsupported value: "Dir": supported values: "BlockDevice", "CharDevice", '
            '"Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
        ],
        id="host-path",
    ),
    pytest.param(
        _volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]}),
        [
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: "
            "may not specify a duration less than 10 minutes"
        ],
        id="short-token",
    ),
    pytest.param(
        _volume(downwardAPI={"items": [{"path": "x"}]}),
        ["spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"],
        id="downward-api",
    ),
    pytest.param(
        _volume(persistentVolumeClaim={}),
        ["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
        id="claim",
    ),
    pytest.param(
        _volume(ephemeral={}), ["spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"], id="no-template"
    ),
    pytest.param(
        _volume(ephemeral={"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}}),
        [
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: "
            "at least 1 access mode is required"
        ],
        id="template-without-modes",
    ),
]
SCHEDULING = [
    pytest.param(
        _spec(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        [
            'spec.tolerations[0].operator: Invalid value: {"key":"a","operator":"Exists","value":"b"}: '
            "value must be empty when `operator` is 'Exists'"
        ],
        id="toleration-value",
    ),
    pytest.param(
        _spec(tolerations=[{"key": "a", "tolerationSeconds": 1}]),
        ["spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"],
        id="toleration-seconds",
    ),
    pytest.param(
        _spec(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: "
            "Required value: must have at least one node selector term"
        ],
        id="no-terms",
    ),
    pytest.param(
        _spec(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
        [
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: "
            "Required value: can not be empty"
        ],
        id="no-topology-key",
    ),
    pytest.param(
        _spec(topologySpreadConstraints=[{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
        ["spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"],
        id="skew",
    ),
]
SPECS = [
    pytest.param(
        _spec(restartPolicy="Maybe"),
        ['spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"'],
        id="restart-policy",
    ),
    pytest.param(
        _spec(activeDeadlineSeconds=0),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        id="deadline",
    ),
    pytest.param(_spec(hostname="a", hostnameOverride="b.example.org", overhead={"cpu": "1"}), [], id="overridden"),
    pytest.param(
        _spec(hostnameOverride="A", setHostnameAsFQDN=True, hostNetwork=True),
        [
            "spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
            "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
            *[f'spec.hostnameOverride: Invalid value: "A": {text}' for text in names.is_dns_subdomain("A")],
        ],
        id="overridden-where-it-may-not-be",
    ),
    pytest.param(
        _spec(hostnameOverride="a" * 65),
        ["spec.hostnameOverride: Too long: may not be more than 64 bytes"],
        id="overridden-by-a-long-name",
    ),
    pytest.param(
        _spec(overhead={"cpu": "-1", "disk": "1"}),
        [
            'spec.overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
            'spec.overhead.limits[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
            'spec.overhead.limits[disk]: Invalid value: "disk": must be a standard resource for containers',
        ],
        id="overhead",
    ),
    pytest.param(
        _spec(dnsPolicy="None"),
        ["spec.dnsConfig: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"],
        id="dns-none",
    ),
    pytest.param(
        _spec(hostAliases=[{"ip": "x"}]),
        ['spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
        id="host-alias",
    ),
]
_SYSCTL_TEXT = (
    "must have at most 253 characters and match regex "
    r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)
_MANY = [f"s{number}" for number in range(33)]
_MANY_SHOWN = codec.dumps(_MANY).decode()
HOST = [
    pytest.param(
        _spec(os={"name": "plan9"}),
        ['spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"'],
        id="os",
    ),
    pytest.param(_spec(os={}), ["spec.os.name: Required value"], id="os-without-name"),
    pytest.param(
        _spec(shareProcessNamespace=True, hostPID=True),
        [
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot "
            "both be enabled"
        ],
        id="whose-processes",
    ),
    pytest.param(
        _spec(hostUsers=False, hostNetwork=True, hostIPC=True),
        [
            "spec.hostNetwork: Forbidden: when `hostUsers` is false",
            "spec.hostIPC: Forbidden: when `hostUsers` is false",
        ],
        id="users-of-its-own",
    ),
    pytest.param(
        _spec(resourceClaims=[{"name": "a", "resourceClaimName": "x"}, {"name": "a", "resourceClaimName": "y"}]),
        ['spec.resourceClaims[1].name: Duplicate value: "a"'],
        id="claims-twice",
    ),
    pytest.param(
        _spec(securityContext={"sysctls": [{"name": "kernel.x"}, {"name": "kernel.x"}, {"name": "A"}, {}]}),
        [
            'spec.securityContext.sysctls[1].name: Duplicate value: "kernel.x"',
            f'spec.securityContext.sysctls[2].name: Invalid value: "A": {_SYSCTL_TEXT}',
            "spec.securityContext.sysctls[3].name: Required value",
        ],
        id="sysctls",
    ),
    pytest.param(
        _spec(securityContext={"appArmorProfile": {"type": "Localhost"}}),
        [
            "spec.securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is "
            "Localhost"
        ],
        id="apparmor",
    ),
    pytest.param(
        _spec(securityContext={"supplementalGroupsPolicy": "Strict", "seLinuxChangePolicy": "Recursive"}),
        [],
        id="policies",
    ),
    pytest.param(
        _spec(securityContext={"supplementalGroupsPolicy": "Some", "seLinuxChangePolicy": "Never"}),
        [
            'spec.securityContext.supplementalGroupsPolicy: Unsupported value: "Some": supported values: "Merge", '
            '"Strict"',
            'spec.securityContext.seLinuxChangePolicy: Unsupported value: "Never": supported values: "MountOption", '
            '"Recursive"',
        ],
        id="no-such-policies",
    ),
    pytest.param(
        {
            **_container(securityContext={"procMount": "Unmasked"}),
            "hostUsers": False,
            "hostIPC": False,
            "securityContext": {"sysctls": [{"name": "net.x"}]},
        },
        [],
        id="what-a-pod-with-users-of-its-own-may",
    ),
    pytest.param(
        _container(securityContext={"procMount": "Unmasked"}),
        [f'{C}.securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`'],
        id="unmasked",
    ),
    pytest.param(
        _spec(hostNetwork=True, hostIPC=True, securityContext={"sysctls": [{"name": "net/a"}, {"name": "kernel.shm"}]}),
        [
            'spec.securityContext.sysctls[0].name: Invalid value: "net/a": '
            "may not be specified when 'hostNetwork' is true",
            'spec.securityContext.sysctls[1].name: Invalid value: "kernel.shm": '
            "may not be specified when 'hostIPC' is true",
        ],
        id="sysctls-of-the-host",
    ),
    pytest.param(
        _spec(securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "/a/.."}}),
        [
            'spec.securityContext.seccompProfile.localhostProfile: Invalid value: "/a/..": must be a relative path',
            "spec.securityContext.seccompProfile.localhostProfile: Invalid value: \"/a/..\": must not contain '..'",
        ],
        id="seccomp-anywhere",
    ),
    pytest.param(
        _spec(securityContext={"appArmorProfile": {"type": "Localhost", "localhostProfile": " a"}}),
        [
            'spec.securityContext.appArmorProfile.localhostProfile: Invalid value: " a": '
            "must not be padded with whitespace"
        ],
        id="apparmor-padded",
    ),
    pytest.param(
        _spec(securityContext={"appArmorProfile": {"type": "Localhost", "localhostProfile": "a" * 4096}}),
        ["spec.securityContext.appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes"],
        id="apparmor-long",
    ),
    pytest.param(
        _container(envFrom=[{"prefix": "a=", "secretRef": {"name": "s"}}]),
        [f'{C}.envFrom[0].prefix: Invalid value: "a=": {names.is_relaxed_env_var_name("=")[0]}'],
        id="prefix",
    ),
    pytest.param(
        {
            **_volume(persistentVolumeClaim={"claimName": "c"}),
            **_container(volumeDevices=[{"name": "v", "devicePath": "/v"}]),
            "hostUsers": False,
        },
        [f"{C}.volumeDevices: Forbidden: when `hostUsers` is false"],
        id="devices-of-other-users",
    ),
    pytest.param(
        _spec(dnsConfig={"searches": _MANY, "options": [{"value": "1"}]}),
        [
            "spec.dnsConfig.options[0]: Required value: must not be empty",
            f"spec.dnsConfig.searches: Invalid value: {_MANY_SHOWN}: must not have more than 32 search paths",
        ],
        id="dns-searches",
    ),
    pytest.param(_spec(dnsConfig={"searches": [".", "example.org."]}), [], id="dns-roots"),
    pytest.param(
        _spec(
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 0}
            ]
        ),
        [
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: can only use minDomains if "
            "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
        ],
        id="fewest-domains",
    ),
    pytest.param(
        _volume(iscsi={"lun": 0}),
        ["spec.volumes[0].iscsi.targetPortal: Required value", "spec.volumes[0].iscsi.iqn: Required value"],
        id="iscsi",
    ),
    pytest.param(_volume(rbd={"monitors": ["m"]}), ["spec.volumes[0].rbd.image: Required value"], id="rbd"),
]


@pytest.mark.parametrize(("spec", "texts"), CONTAINERS + VOLUMES + SCHEDULING + SPECS + HOST)
def test_what_is_wrong_with_a_pod_spec(spec: Json, texts: list[str]) -> None:
    assert _problems(spec) == texts
