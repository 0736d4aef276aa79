"""An operator made with `kopf`: for each ConfigMap with a label `copies`, so many ConfigMaps of its own.

It keeps its finalizer and its progress where kopf keeps them, on the object itself.
"""

import logging
from typing import Any

import kopf
from kubernetes import client, config

_SELECTS = {"copies": kopf.PRESENT}


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Progress in annotations, for a ConfigMap has no status."""
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="copies.example.com")
    settings.posting.level = logging.INFO
    config.load_kube_config()


@kopf.on.create("", "v1", "configmaps", labels=_SELECTS)
@kopf.on.update("", "v1", "configmaps", labels=_SELECTS)
def copy(name: str, namespace: str, body: Any, labels: Any, logger: Any, **_: Any) -> dict[str, Any]:
    """Make the copies there are too few of."""
    core = client.CoreV1Api()
    for number in range(int(labels["copies"])):
        made = {"metadata": {"name": f"{name}-{number}", "labels": {"copy-of": name}}, "data": dict(body["data"])}
        try:
            core.create_namespaced_config_map(namespace, made)
        except client.ApiException as problem:
            if problem.status != 409:
                raise
            core.patch_namespaced_config_map(made["metadata"]["name"], namespace, made)
    logger.info("made the copies of %s", name)
    return {"copies": int(labels["copies"])}


@kopf.on.delete("", "v1", "configmaps", labels=_SELECTS)
def clean(name: str, namespace: str, **_: Any) -> None:
    """The copies go with it."""
    client.CoreV1Api().delete_collection_namespaced_config_map(namespace, label_selector=f"copy-of={name}")
