"""Garbage collection by owner references, and the end of a namespace."""

import contextlib

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from tests.integration.controller_manager.world import World


async def _config_map(world: World, name: str, *owners: Json, **metadata: object) -> Json:
    body: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": world.namespace, "ownerReferences": list(owners)} | metadata,
    }
    return await world.client.create(kinds.CONFIG_MAPS, body)


def _owned_by(obj: Json, *, blocks: bool = True) -> Json:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta.name_of(obj), "uid": meta.uid_of(obj)}
    return reference | {"blockOwnerDeletion": blocks}


async def _names(world: World) -> set[str]:
    found = {meta.name_of(each) for each in await world.items(kinds.CONFIG_MAPS)}
    return found - {"kube-root-ca.crt"}


async def _wait_for(world: World, *expected: str) -> None:
    async def only_these_are_left() -> bool:
        return await _names(world) == set(expected)

    await world.eventually(only_these_are_left)


async def test_dependents_go_after_their_owner_generation_by_generation(world: World) -> None:
    owner = await _config_map(world, "owner")
    child = await _config_map(world, "child", _owned_by(owner))
    await _config_map(world, "grandchild", _owned_by(child))
    await _config_map(world, "stranger")
    await world.client.delete(kinds.CONFIG_MAPS, "owner", world.namespace, propagation_policy="Background")
    await _wait_for(world, "stranger")


async def test_an_object_with_an_owner_that_never_existed_goes(world: World) -> None:
    ghost: Json = {"metadata": {"name": "ghost", "uid": "00000000-0000-4000-8000-000000000000"}}
    await _config_map(world, "child", _owned_by(ghost))
    await _wait_for(world)


async def test_an_object_stays_as_long_as_one_of_its_owners(world: World) -> None:
    one, two = await _config_map(world, "one"), await _config_map(world, "two")
    await _config_map(world, "child", _owned_by(one), _owned_by(two))
    await world.client.delete(kinds.CONFIG_MAPS, "one", world.namespace)

    async def one_reference_is_left() -> bool:
        child = await world.client.get(kinds.CONFIG_MAPS, "child", world.namespace)
        return [owner["name"] for owner in meta.owners_of(child)] == ["two"]

    await world.eventually(one_reference_is_left)
    await world.client.delete(kinds.CONFIG_MAPS, "two", world.namespace)
    await _wait_for(world)


async def test_foreground_deletion_waits_for_blocking_dependents(world: World) -> None:
    owner = await _config_map(world, "owner")
    await _config_map(world, "child", _owned_by(owner), finalizers=["example.com/hold"])
    await world.client.delete(kinds.CONFIG_MAPS, "owner", world.namespace, propagation_policy="Foreground")

    async def the_child_is_being_deleted() -> bool:
        child = await world.find(kinds.CONFIG_MAPS, "child")
        return child is not None and meta.is_being_deleted(child)

    await world.eventually(the_child_is_being_deleted)
    assert await _names(world) == {"owner", "child"}
    await world.client.patch(kinds.CONFIG_MAPS, "child", world.namespace, {"metadata": {"finalizers": None}})
    await _wait_for(world)


async def test_orphans_stay_without_their_owner(world: World) -> None:
    owner = await _config_map(world, "owner")
    await _config_map(world, "child", _owned_by(owner))
    await world.client.delete(kinds.CONFIG_MAPS, "owner", world.namespace, propagation_policy="Orphan")
    await _wait_for(world, "child")
    child = await world.client.get(kinds.CONFIG_MAPS, "child", world.namespace)
    assert meta.owners_of(child) == ()


async def test_a_deleted_deployment_takes_replica_sets_and_pods_with_it(world: World) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    await world.client.delete(kinds.DEPLOYMENTS, "web", world.namespace, propagation_policy="Foreground")

    async def all_gone() -> bool:
        found = [await world.items(kind) for kind in (kinds.DEPLOYMENTS, kinds.REPLICA_SETS, kinds.PODS)]
        return found == [[], [], []]

    await world.eventually(all_gone)


async def test_a_deleted_namespace_empties_itself_and_goes(world: World) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    await _config_map(world, "data")
    await world.client.delete(kinds.NAMESPACES, world.namespace)
    with contextlib.suppress(errors.NotFound):
        found = await world.client.get(kinds.NAMESPACES, world.namespace)
        assert found["status"]["phase"] == "Terminating"

    async def gone() -> bool:
        return await world.find(kinds.NAMESPACES, world.namespace, "") is None

    await world.eventually(gone, seconds=60)
    for kind in (kinds.DEPLOYMENTS, kinds.REPLICA_SETS, kinds.PODS, kinds.CONFIG_MAPS, kinds.SERVICE_ACCOUNTS):
        assert await world.items(kind) == []


async def test_a_namespace_says_what_holds_it(world: World) -> None:
    await _config_map(world, "held", finalizers=["example.com/hold"])
    await world.client.delete(kinds.NAMESPACES, world.namespace)

    async def it_says_so() -> bool:
        found = await world.client.get(kinds.NAMESPACES, world.namespace)
        conditions = (found.get("status") or {}).get("conditions")
        content = meta.find_condition(conditions, "NamespaceContentRemaining") or {}
        finalizers = meta.find_condition(conditions, "NamespaceFinalizersRemaining") or {}
        return (content.get("message"), finalizers.get("message")) == (
            "Some resources are remaining: configmaps. has 1 resource instances",
            "Some finalizers are remaining: example.com/hold in 1 resource instances",
        )

    await world.eventually(it_says_so)
    await world.client.patch(kinds.CONFIG_MAPS, "held", world.namespace, {"metadata": {"finalizers": None}})
