"""`lightkube`: typed models, server-side apply, pages behind a list, watches, scale."""

import sys
import threading

from lightkube import ApiError, Client, KubeConfig
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Node, Pod
from lightkube.types import PatchType


def main(kubeconfig: str, namespace: str) -> None:
    """Each of them once."""
    client = Client(config=KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="lightkube")
    for number in range(7):
        client.create(ConfigMap(metadata=ObjectMeta(name=f"l-{number}", labels={"by": "l"}), data={"n": str(number)}))
    listed = list(client.list(ConfigMap, chunk_size=3, labels={"by": "l"}))
    assert [item.metadata.name for item in listed] == [f"l-{number}" for number in range(7)]
    patched = client.patch(ConfigMap, "l-0", {"data": {"x": "y"}}, patch_type=PatchType.MERGE)
    assert patched.data == {"n": "0", "x": "y"}
    applied = client.apply(ConfigMap(metadata=ObjectMeta(name="applied-l"), data={"a": "1"}))
    assert applied.metadata.managedFields[0].manager == "lightkube"
    version = client.get(ConfigMap, "l-1").metadata.resourceVersion
    threading.Timer(0.1, lambda: client.delete(ConfigMap, "l-1")).start()
    for operation, item in client.watch(ConfigMap, fields={"metadata.name": "l-1"}, resource_version=version):
        assert (operation, item.metadata.name) == ("DELETED", "l-1")
        break
    deployment = {
        "metadata": {"name": "l"},
        "spec": {
            "selector": LabelSelector(matchLabels={"app": "l"}).to_dict(),
            "template": {
                "metadata": {"labels": {"app": "l"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
            },
        },
    }
    client.create(Deployment.from_dict(deployment))
    scale = Deployment.Scale(metadata=ObjectMeta(name="l", namespace=namespace), spec=ScaleSpec(replicas=4))
    assert client.replace(scale, "l").spec.replicas == 4
    assert client.get(Deployment, "l").spec.replicas == 4
    assert list(client.list(Node)) == []
    try:
        client.get(Pod, "nope")
    except ApiError as problem:
        assert (problem.status.code, problem.status.reason) == (404, "NotFound")
        return
    raise AssertionError("what is not there was found")


if __name__ == "__main__":
    main(*sys.argv[1:])
