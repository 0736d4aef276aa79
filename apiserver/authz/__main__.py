"""python -m apiserver.authz: what a decision costs with a thousand RoleBindings beside upstream's default policy."""

import time
from collections.abc import Callable, Iterator

from apiserver.authz import default_roles
from apiserver.authz.attributes import Attributes, Authorizer
from apiserver.authz.authorizer import Masters, Union
from apiserver.authz.rbac import RBAC
from apiserver.request import User
from machinery.api import kinds, meta
from machinery.api.codec import Json

BINDINGS = 1000
NAMESPACES = 50
ROUNDS = 20_000


def authorizer() -> Authorizer:
    """RBAC as a server has it, with bindings of view, edit and admin in fifty namespaces."""
    rbac = RBAC()
    policy = (
        (kinds.CLUSTER_ROLES, default_roles.cluster_roles()),
        (kinds.CLUSTER_ROLE_BINDINGS, default_roles.cluster_role_bindings()),
        (kinds.ROLES, default_roles.roles()),
        (kinds.ROLE_BINDINGS, (*default_roles.role_bindings(), *_bindings())),
    )
    for kind, objects in policy:
        for obj in objects:
            rbac.apply(kind, meta.key_of(obj), obj)
    return Union([Masters(), rbac])


def _bindings() -> Iterator[Json]:
    group = "rbac.authorization.k8s.io"
    for number in range(BINDINGS):
        role = ("view", "edit", "admin")[number % 3]
        yield {
            "metadata": {"name": f"b{number}", "namespace": f"ns{number % NAMESPACES}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": f"u{number}", "apiGroup": group}],
        }


def question(number: int, verb: str = "get", resource: str = "pods") -> Attributes:
    """One of a thousand users about an object of their namespace that nobody asked about before."""
    user = User(f"u{number % BINDINGS}", groups=("system:authenticated",))
    namespace = f"ns{number % BINDINGS % NAMESPACES}"
    return Attributes(user, verb, resource=resource, version="v1", namespace=namespace, name=f"p{number}")


def microseconds(decide: Authorizer, ask: Callable[[int], Attributes], rounds: int = ROUNDS) -> float:
    """CPU µs of a decision."""
    questions = [ask(number) for number in range(rounds)]
    started = time.process_time()
    for one in questions:
        decide.decide(one)
    return (time.process_time() - started) / rounds * 1e6


def main(rounds: int = ROUNDS) -> None:
    """Print them."""
    decide = authorizer()
    print(f"allowed, each user for the first time: {microseconds(decide, question, rounds):.1f} µs")
    print(f"allowed, other objects: {microseconds(decide, lambda number: question(number + 7), rounds):.1f} µs")
    print(f"denied: {microseconds(decide, lambda number: question(number, 'delete', 'nodes'), rounds):.1f} µs")


if __name__ == "__main__":
    main()
