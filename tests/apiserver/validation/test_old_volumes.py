"""Volumes of storage that drivers took over, in upstream's words."""

from typing import Any

import pytest

from apiserver.validation import volumes
from machinery.api.codec import Json

HOST_PORT = "must be a host:port pair or multiple pairs separated by commas"
URI = "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/disks/d"


def _problems(kind: str, source: Json) -> list[str]:
    found = volumes.check([{"name": "v", kind: source}], "v")
    return [error.message().replace(f"v[0].{kind}", "…") for error in found]


def _row(name: str, kind: str, source: Json, *texts: str) -> Any:
    return pytest.param(kind, source, list(texts), id=name)


AZURE: Json = {"diskName": "d", "diskURI": URI}
ISCSI: Json = {"targetPortal": "1.2.3.4", "iqn": "iqn.2001-04.com.example:storage.disk1", "lun": 0}
OUT_OF_RANGE = "must be between 0 and 255, inclusive"
ONE_OF_BOTH = "must specify either targetWWNs or wwids, but not both"


@pytest.mark.parametrize(
    ("kind", "source", "texts"),
    [
        _row("gce", "gcePersistentDisk", {"pdName": "d", "partition": 255}),
        _row(
            "gce-partition",
            "gcePersistentDisk",
            {"partition": 256},
            "….pdName: Required value",
            "….partition: Invalid value: 256: must be between 1 and 255, inclusive",
        ),
        _row(
            "aws-partition",
            "awsElasticBlockStore",
            {"volumeID": "d", "partition": -1},
            "….partition: Invalid value: -1: must be between 1 and 255, inclusive",
        ),
        _row("azure-disk", "azureDisk", {**AZURE, "kind": "Managed", "cachingMode": "None"}),
        _row(
            "azure-disk-of-no-kind",
            "azureDisk",
            {**AZURE, "diskURI": "https://x", "kind": "Own", "cachingMode": "Some"},
            '….cachingMode: Unsupported value: "Some": supported values: "None", "ReadOnly", "ReadWrite"',
            '….kind: Unsupported value: "Own": supported values: "Dedicated", "Managed", "Shared"',
        ),
        _row(
            "managed-azure-disk-elsewhere",
            "azureDisk",
            {**AZURE, "diskURI": "https://x", "kind": "Managed"},
            '….diskURI: Unsupported value: "https://x": supported values: '
            '"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"',
        ),
        _row(
            "shared-azure-disk-elsewhere",
            "azureDisk",
            {**AZURE, "kind": "Shared"},
            f'….diskURI: Unsupported value: "{URI}": supported values: '
            '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
        ),
        _row("azure-file", "azureFile", {}, "….secretName: Required value", "….shareName: Required value"),
        _row("cinder", "cinder", {"volumeID": "v", "secretRef": {}}, "….secretRef.name: Required value"),
        _row("flex", "flexVolume", {"driver": "d", "options": {"kubernetes": "x", "a.io/b": "y"}}),
        _row(
            "flex-options",
            "flexVolume",
            {"driver": "d", "options": {"x.K8s.io/y": "z"}},
            '….options[x.K8s.io/y]: Invalid value: "x.K8s.io/y": kubernetes.io and k8s.io namespaces are reserved',
        ),
        _row("flocker", "flocker", {}, "…: Required value: one of datasetName and datasetUUID is required"),
        _row(
            "flocker-both",
            "flocker",
            {"datasetName": "a/b", "datasetUUID": "u"},
            '…: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously',
            "….datasetName: Invalid value: \"a/b\": must not contain '/'",
        ),
        _row(
            "git",
            "gitRepo",
            {"repository": "r", "directory": "/a/.."},
            '….directory: Invalid value: "/a/..": must be a relative path',
            "….directory: Invalid value: \"/a/..\": must not contain '..'",
        ),
        _row("quobyte", "quobyte", {"registry": "a:1,[::1]:2", "volume": "v"}),
        _row("quobyte-empty", "quobyte", {}, f"….registry: Required value: {HOST_PORT}", "….volume: Required value"),
        _row(
            "quobyte-registry",
            "quobyte",
            {"registry": "a:1,b", "volume": "v"},
            f'….registry: Invalid value: "a:1,b": {HOST_PORT}',
        ),
        _row(
            "quobyte-tenant",
            "quobyte",
            {"registry": "a:1", "volume": "v", "tenant": "t" * 65},
            "….tenant: Required value: must be a UUID and may not exceed a length of 64 characters",
        ),
        _row("storageos", "storageos", {"volumeName": "v", "volumeNamespace": "n", "secretRef": {"name": "s"}}),
        _row(
            "storageos-empty",
            "storageos",
            {"secretRef": {}},
            "….volumeName: Required value",
            "….secretRef.name: Required value",
        ),
        _row("iscsi", "iscsi", ISCSI),
        _row(
            "iscsi-name",
            "iscsi",
            {**ISCSI, "iqn": "x", "initiatorName": "eui.1"},
            '….iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa',
            '….initiatorname: Invalid value: "eui.1": must be valid format',
        ),
        _row(
            "iscsi-unit",
            "iscsi",
            {**ISCSI, "lun": 256, "chapAuthSession": True},
            f"….lun: Invalid value: 256: {OUT_OF_RANGE}",
            "….secretRef: Required value",
        ),
        _row("fc", "fc", {"targetWWNs": ["a"], "lun": 0}),
        _row("fc-empty", "fc", {}, f"….targetWWNs: Required value: {ONE_OF_BOTH}"),
        _row(
            "fc-both",
            "fc",
            {"targetWWNs": ["a"], "wwids": ["b"]},
            '….targetWWNs: Invalid value: ["a"]: targetWWNs and wwids can not be specified simultaneously',
            "….lun: Required value: lun is required if targetWWNs is specified",
        ),
        _row("fc-unit", "fc", {"targetWWNs": ["a"], "lun": -1}, f"….lun: Invalid value: -1: {OUT_OF_RANGE}"),
    ],
)
def test_what_is_wrong_with_an_old_volume(kind: str, source: Json, texts: list[str]) -> None:
    assert _problems(kind, source) == texts
