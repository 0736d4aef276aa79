"""A policy's status tells what its expressions get wrong."""

from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.integration.controller_manager.world import World


async def test_a_policy_with_a_misspelt_field_is_told_of_it(world: World) -> None:
    name = f"{world.namespace}-policy"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "object.spec.replica < 5"}]}
    policy: Json = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"}
    await world.client.create(kinds.VALIDATING_POLICIES, {**policy, "metadata": {"name": name}, "spec": spec})

    async def is_checked() -> bool:
        found = await world.client.get(kinds.VALIDATING_POLICIES, name)
        return (found.get("status") or {}).get("observedGeneration") == meta.generation_of(found)

    await world.eventually(is_checked)
    found = await world.client.get(kinds.VALIDATING_POLICIES, name)
    (warning,) = found["status"]["typeChecking"]["expressionWarnings"]
    assert warning["fieldRef"] == "spec.validations[0].expression"
    assert "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replica'" in warning["warning"]
    await world.client.delete(kinds.VALIDATING_POLICIES, name)
