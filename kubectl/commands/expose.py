"""`skiff expose`: a Service for what a workload, pod or Service selects.

Upstream: kubectl/pkg/cmd/expose/expose.go.
"""

from kubectl.builder import Target, Wanted, targets
from kubectl.command import DRY_RUN, FILES, PRINT_FLAGS, Command, dry_run_of
from kubectl.commands.create import create
from kubectl.flags import Args, switch, text
from kubectl.generators import named
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.writes import Results, for_each
from machinery.api import meta
from machinery.api.codec import Json


async def run(session: Session, args: Args) -> int | None:
    """Make a Service for every target."""
    services = (await session.discovery()).find("services")
    results = _Exposed(session, dry_run_of(args))

    async def expose(target: Target) -> None:
        live = await session.call("GET", target.path)
        service = service_of(args, live, target.kind.kind)
        if dry_run_of(args) != "client" or session.namespace_is_explicit:
            service["metadata"]["namespace"] = target.namespace
        await create(session, args, results, Target(services, target.namespace, meta.name_of(service), service))

    await for_each(await targets(session, args.words, Wanted.of(args)), expose)
    results.finish()
    return None


class _Exposed(Results):
    """Results in this verb's word."""

    def say(self, target: Target, what: str, obj: Json | None = None) -> None:
        """`service/web exposed`."""
        super().say(target, "exposed", obj)


def service_of(args: Args, live: Json, kind: str) -> Json:
    """The Service for an object; raises CliError when it selects nothing or has no port."""
    service = named("v1", "Service", args.text("name") or meta.name_of(live))
    if labels := dict(meta.labels_of(live)):
        service["metadata"]["labels"] = labels
    spec: Json = {"ports": _ports(args, live), "selector": _selector(args, live, kind)}
    for flag, field in (("type", "type"), ("cluster-ip", "clusterIP"), ("session-affinity", "sessionAffinity")):
        if args.text(flag):
            spec[field] = args.text(flag)
    return service | {"spec": spec, "status": {"loadBalancer": {}}}


def _selector(args: Args, live: Json, kind: str) -> Json:
    if given := args.text("selector"):
        return dict((pair.split("=", 1) + [""])[:2] for pair in given.split(","))
    if kind == "Pod":
        found = dict(meta.labels_of(live))
        if not found:
            raise CliError("the pod has no labels and cannot be exposed")
        return found
    selector: Json = (live.get("spec") or {}).get("selector") or {}
    if selector.get("matchExpressions"):
        raise CliError("couldn't convert expressions - \"matchExpressions\" is not supported by a Service's selector")
    chosen: Json = selector.get("matchLabels") or selector
    if not chosen:
        raise CliError(f"cannot expose a {kind}")
    return chosen


def _ports(args: Args, live: Json) -> list[Json]:
    protocol, target = args.text("protocol") or "TCP", args.text("target-port")
    numbers = args.text("port").split(",") if args.text("port") else [str(number) for number in _ports_of(live)]
    if not numbers:
        raise CliError("couldn't find port via --port flag or introspection")
    ports = []
    for index, number in enumerate(numbers):
        goal: str | int = int(target or number) if (target or number).isdigit() else target
        port = {"port": int(number), "protocol": protocol, "targetPort": goal}
        ports.append({"name": f"port-{index + 1}"} | port if len(numbers) > 1 else port)
    return ports


def _ports_of(live: Json) -> list[int]:
    spec = live.get("spec") or {}
    if "ports" in spec:
        return [port["port"] for port in spec["ports"]]
    pod = (spec.get("template") or {}).get("spec") or spec
    return [port["containerPort"] for container in pod.get("containers") or () for port in container.get("ports") or ()]


COMMAND = Command(
    "expose (TYPE NAME | TYPE/NAME | -f FILE) [--port=PORT] [--target-port=PORT] [FLAGS]",
    "Make a Service for a workload.",
    (
        *FILES,
        *PRINT_FLAGS,
        DRY_RUN,
        text("name", "The Service's name; else the object's."),
        text("port", "The Service's port; else the containers'."),
        text("target-port", "The containers' port, by number or name."),
        text("protocol", "TCP, UDP or SCTP."),
        text("type", "ClusterIP, NodePort or LoadBalancer."),
        text("selector", "Labels of the pods; else what the object selects."),
        text("cluster-ip", "The address; None for a headless Service."),
        text("session-affinity", "None or ClientIP."),
        switch("save-config", "Remember the object for `apply`."),
        text("field-manager", "The name that owns the fields.", default="kubectl-expose"),
        text("validate", "What the server does with unknown fields.", default="strict", bare="strict"),
    ),
    run,
)
