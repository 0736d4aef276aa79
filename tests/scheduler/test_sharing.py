"""What is equal in many objects is kept once, and objects stay what they are."""

from machinery.api.codec import copy_of
from scheduler.sharing import Sharing
from tests.scheduler.objects import node, pod_object


def test_pods_of_a_workload_have_their_containers_in_common() -> None:
    one, other, different = pod_object("a"), pod_object("b"), pod_object("c", cpu="2")
    before = [copy_of(pod) for pod in (one, other, different)]
    share = Sharing()
    for pod in (one, other, different):
        pod["metadata"]["managedFields"] = [{"manager": "m"}]
        share(pod)
    assert [one, other, different] == before
    assert one["spec"]["containers"] is other["spec"]["containers"]
    assert one["spec"]["containers"] is not different["spec"]["containers"]


def test_nodes_and_objects_without_a_spec_are_taken_too() -> None:
    share = Sharing()
    one, other, bare = node("a"), node("b"), {"metadata": {"name": "x"}}
    for obj in (one, other, bare):
        share(obj)
    assert one["status"]["allocatable"] is other["status"]["allocatable"]
    assert one["metadata"]["labels"] != other["metadata"]["labels"]
