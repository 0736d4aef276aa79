"""PersistentVolumes: what is wrong with their sources, and what of them may change, in upstream's words."""

from typing import Any

import pytest

from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.core.persistentvolumes import PERSISTENT_VOLUMES
from machinery.api import codec, names
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "", "v")
BAD_NAME = names.is_dns_subdomain("A")[0]
BAD_LABEL = names.is_dns_label("A_B")[0]
ISCSI: Json = {"targetPortal": "1.2.3.4", "iqn": "iqn.2001-04.com.example:storage.disk1", "lun": 0}
CSI: Json = {"driver": "a.io", "volumeHandle": "h"}
NODES: Json = {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": []}]}}}
LONG_TARGET = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is "
    "specified."
)
PORTAL = "portal" * 11


def _volume(**spec: Any) -> Json:
    base = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    volume: Json = codec.copy_of({"metadata": {"name": "v"}, "spec": {**base, **spec}})
    PERSISTENT_VOLUMES.strategy.defaults(volume)
    return volume


def _row(name: str, spec: Json, *texts: str) -> Any:
    return pytest.param(spec, list(texts), id=name)


SOURCES = [
    _row("none", {}, "spec: Required value: must specify a volume type"),
    _row("nfs", {"nfs": {"server": "s", "path": "/p"}}),
    _row(
        "nfs-path", {"nfs": {"server": "s", "path": "p"}}, 'spec.nfs.path: Invalid value: "p": must be an absolute path'
    ),
    _row(
        "two",
        {"nfs": {"server": "s", "path": "/p"}, "hostPath": {"path": "/a/.."}},
        "spec.hostPath.path: Invalid value: \"/a/..\": must not contain '..'",
        "spec.nfs: Forbidden: may not specify more than 1 volume type",
    ),
    _row(
        "recycled-root",
        {"hostPath": {"path": "/./"}, "persistentVolumeReclaimPolicy": "Recycle"},
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
    ),
    _row("local", {"local": {"path": "/a"}, **NODES}),
    _row(
        "local-anywhere",
        {"local": {"path": "/a/.."}},
        "spec.nodeAffinity: Required value: Local volume requires node affinity",
        "spec.local.path: Invalid value: \"/a/..\": must not contain '..'",
    ),
    _row(
        "no-nodes",
        {"local": {"path": "/a"}, "nodeAffinity": {"required": {}}},
        "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
    ),
    _row("gce", {"gcePersistentDisk": {"pdName": ""}}, "spec.persistentDisk.pdName: Required value"),
    _row("aws", {"awsElasticBlockStore": {}}, "spec.awsElasticBlockStore.volumeID: Required value"),
    _row("cephfs", {"cephfs": {}}, "spec.cephfs.monitors: Required value"),
    _row("rbd", {"rbd": {"monitors": ["m"]}}, "spec.rbd.image: Required value"),
    _row("flex", {"flexVolume": {}}, "spec.flexVolume.driver: Required value"),
    _row("scale", {"scaleIO": {"gateway": "g", "system": "s"}}, "spec.scaleIO.volumeName: Required value"),
    _row(
        "azure-disk-of-the-default-kind",
        {"azureDisk": {"diskName": "d", "diskURI": "d"}},
        'spec.azureDisk.diskURI: Unsupported value: "d": supported values: '
        '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
    ),
    _row(
        "azure-file",
        {"azureFile": {"secretName": "s", "shareName": "s", "secretNamespace": ""}},
        "spec.azureFile.secretNamespace: Required value",
    ),
    _row("gluster", {"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": "n"}}),
    _row(
        "gluster-namespace",
        {"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": "A_B"}},
        f'spec.glusterfs.endpointsNamespace: Invalid value: "A_B": {BAD_LABEL}',
    ),
    _row(
        "gluster-in-no-namespace",
        {"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": ""}},
        'spec.glusterfs.endpointsNamespace: Invalid value: "": '
        "if the endpointnamespace is set, it must be a valid namespace name",
    ),
    _row(
        "cinder",
        {"cinder": {"volumeID": "v", "secretRef": {}}},
        "spec.cinder.secretRef.name: Required value",
        "spec.cinder.secretRef.namespace: Required value",
    ),
    _row(
        "storageos",
        {"storageos": {"volumeName": "v", "secretRef": {"name": "s"}}},
        "spec.storageos.secretRef.namespace: Required value",
    ),
    _row("iscsi", {"iscsi": {**ISCSI, "initiatorName": ISCSI["iqn"]}}),
    _row(
        "iscsi-names",
        {"iscsi": {**ISCSI, "iqn": "x", "secretRef": {}}},
        'spec.iscsi.iqn: Invalid value: "x": must be valid format',
        "spec.iscsi.secretRef.name: Required value",
    ),
    _row(
        "iscsi-long",
        {"iscsi": {**ISCSI, "targetPortal": PORTAL, "initiatorName": ISCSI["iqn"]}},
        f'spec.iscsi.targetportal: Invalid value: "{PORTAL}": {LONG_TARGET}',
    ),
    _row("csi", {"csi": {**CSI, "nodeExpandSecretRef": {"name": "a", "namespace": "b"}}}),
    _row("csi-empty", {"csi": {}}, "spec.csi.driver: Required value", "spec.csi.volumeHandle: Required value"),
    _row(
        "csi-secrets",
        {"csi": {**CSI, "controllerPublishSecretRef": {}, "nodePublishSecretRef": {"name": "A", "namespace": "A_B"}}},
        "spec.csi.controllerPublishSecretRef.name: Required value",
        "spec.csi.controllerPublishSecretRef.namespace: Required value",
        f'spec.csi.nodePublishSecretRef.name: Invalid value: "A": {BAD_NAME}',
        f'spec.csi.nodePublishSecretRef.namespace: Invalid value: "A_B": {BAD_LABEL}',
    ),
    _row("attributes", {"csi": CSI, "volumeAttributesClassName": "a"}),
    _row(
        "attributes-of-no-driver",
        {"nfs": {"server": "s", "path": "/p"}, "volumeAttributesClassName": ""},
        "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
        "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
    ),
    _row("no-modes", {"csi": CSI, "accessModes": []}, "spec.accessModes: Required value"),
]


@pytest.mark.parametrize(("spec", "texts"), SOURCES)
def test_what_is_wrong_with_a_persistent_volume(spec: Json, texts: list[str]) -> None:
    found = PERSISTENT_VOLUMES.strategy.validate(_volume(**spec), CONTEXT)
    assert [problem.message() for problem in found] == texts


GONE = "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
SECRET: Json = {"name": "a", "namespace": "b"}


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        pytest.param({"csi": CSI}, {"csi": CSI}, [], id="same"),
        pytest.param({"csi": CSI}, {"csi": {**CSI, "volumeHandle": "i"}}, [GONE], id="another-handle"),
        pytest.param({"csi": CSI}, {"csi": {**CSI, "controllerExpandSecretRef": SECRET}}, [], id="secret-comes"),
        pytest.param({"csi": {**CSI, "controllerExpandSecretRef": SECRET}}, {"csi": CSI}, [GONE], id="secret-goes"),
        pytest.param(
            {"csi": CSI, "volumeAttributesClassName": "a"},
            {"csi": CSI},
            ["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"],
            id="class-goes",
        ),
    ],
)
def test_what_of_a_persistent_volume_may_change(before: Json, after: Json, texts: list[str]) -> None:
    found = PERSISTENT_VOLUMES.strategy.validate_update(_volume(**after), _volume(**before), CONTEXT)
    assert [problem.message() for problem in found] == texts
