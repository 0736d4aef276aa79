"""`skiff run`: an image in a pod of its own, with -i its input and output here. Workloads are `create deployment`'s.

Upstream: kubectl/pkg/cmd/run/run.go.
"""

import asyncio

from kubectl import generators
from kubectl.builder import Target
from kubectl.command import DRY_RUN, PRINT_FLAGS, Command, dry_run_of
from kubectl.commands.create import create
from kubectl.flags import Args, listing, number, seconds, switch, text
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.streams import Wiring, connect
from kubectl.waiting import until, until_gone
from kubectl.writes import Results
from machinery.api import kinds, meta
from machinery.api.codec import Json

_RESTARTS = ("Always", "OnFailure", "Never")


async def run(session: Session, args: Args) -> int | None:
    """Create the pod; attached, wait for it and end with its exit code."""
    pod = pod_of(args)
    resource = (await session.discovery()).find("pods")
    if dry_run_of(args) != "client" or session.namespace_is_explicit:
        pod["metadata"]["namespace"] = session.namespace
    target = Target(resource, session.namespace, meta.name_of(pod), pod)
    attached = args.on("stdin") or args.on("attach")
    if args.on("rm") and not attached:
        raise CliError("--rm should only be used for attached containers")
    results = _Silent(session) if attached and dry_run_of(args) == "none" else Results(session, dry_run_of(args))
    await create(session, args, results, target)
    results.finish()
    if not attached or dry_run_of(args) != "none":
        return None
    try:
        return await _attached(session, args, target)
    finally:
        if args.on("rm"):
            await _remove(session, target)


class _Silent(Results):
    """Attached, only the container speaks."""

    def say(self, target: Target, what: str, obj: Json | None = None) -> None:
        """Nothing."""


def pod_of(args: Args) -> Json:
    """The pod the flags describe; raises CliError."""
    names = args.words[: args.dash] if args.dash >= 0 else args.words
    if not args.text("image"):
        raise CliError('required flag(s) "image" not set')
    if not names:
        raise CliError("NAME is required for run\nSee 'skiff run -h' for help and examples")
    if args.text("restart") not in _RESTARTS:
        raise CliError(f"invalid restart policy: {args.text('restart')}")
    labels = dict(_pair(pair, "label") for pair in args.list("labels"))
    pod = generators.pod(names[0], args.text("image"), labels, args.text("restart"))
    container = pod["spec"]["containers"][0]
    if words := [*names[1:], *(args.words[args.dash :] if args.dash >= 0 else ())]:
        container["command" if args.on("command") else "args"] = words
    if args.list("env"):
        container["env"] = [dict(zip(("name", "value"), _pair(pair, "env"), strict=True)) for pair in args.list("env")]
    if args.number("port"):
        container["ports"] = [{"containerPort": args.number("port")}]
    if args.text("image-pull-policy"):
        container["imagePullPolicy"] = args.text("image-pull-policy")
    if args.on("stdin"):
        container |= {"stdin": True, "stdinOnce": True} | ({"tty": True} if args.on("tty") else {})
    return pod


def _pair(text_: str, what: str) -> tuple[str, str]:
    key, equals, value = text_.partition("=")
    if not key or not equals:
        raise CliError(f"invalid {what}: {text_}")
    return key, value


async def _attached(session: Session, args: Args, target: Target) -> int:
    def started(state: Json | None) -> bool:
        phase = ((state or {}).get("status") or {}).get("phase")
        return state is None or phase in ("Running", "Succeeded", "Failed")

    async with asyncio.timeout(args.seconds("pod-running-timeout")):
        state = await until(session, target, started)
    if state is not None and state["status"]["phase"] == "Running":
        if not args.on("quiet"):
            session.warn("If you don't see a command prompt, try pressing enter.")
        path = kinds.PODS.path(target.namespace, target.name, "attach")
        await connect(session, path, [("container", target.name)], Wiring(args.on("stdin"), args.on("tty")))
    else:
        log = await session.response("GET", kinds.PODS.path(target.namespace, target.name, "log"))
        session.write_bytes(log.content)
    return await _exit_code(session, args, target)


async def _exit_code(session: Session, args: Args, target: Target) -> int:
    if args.text("restart") == "Always":
        return 0
    ended = await until(
        session, target, lambda state: state is None or state["status"]["phase"] in ("Succeeded", "Failed")
    )
    for status in ((ended or {}).get("status") or {}).get("containerStatuses") or ():
        return int(((status.get("state") or {}).get("terminated") or {}).get("exitCode") or 0)
    return 0


async def _remove(session: Session, target: Target) -> None:
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    await session.call("DELETE", target.path, body)
    session.print(f'pod "{target.name}" deleted')
    await until_gone(session, target)


COMMAND = Command(
    "run NAME --image=IMAGE [FLAGS] [-- ARGS…]",
    "Run an image in a pod.",
    (
        *PRINT_FLAGS,
        DRY_RUN,
        text("image", "The image."),
        text("image-pull-policy", "Always, IfNotPresent or Never."),
        text("restart", "Always, OnFailure or Never.", default="Always"),
        number("port", "The port the container listens on."),
        listing("env", "NAME=VALUE; can be repeated.", commas=False),
        listing("labels", "KEY=VALUE,…", "l"),
        switch("command", "What stands behind -- is the command, not its arguments."),
        switch("stdin", "Connect our standard input.", "i"),
        switch("tty", "Connect a terminal.", "t"),
        switch("attach", "Show what it prints."),
        switch("rm", "Delete the pod at the end."),
        switch("quiet", "Only what the container prints.", "q"),
        switch("save-config", "Remember the object for `apply`."),
        seconds("pod-running-timeout", "How long to wait until it runs.", 60.0),
        text("field-manager", "The name that owns the fields.", default="kubectl-run"),
        text("validate", "What the server does with unknown fields.", default="strict", bare="strict"),
    ),
    run,
)
