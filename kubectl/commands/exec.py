"""`skiff exec`: a command in a container. The streams are `streams`'s.

Upstream: kubectl/pkg/cmd/exec/exec.go.
"""

import sys

from kubectl.command import Command
from kubectl.flags import Args, listing, seconds, switch, text
from kubectl.pods_behind import choose_container, one_pod
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.streams import Wiring, connect
from machinery.api import kinds, meta


async def run(session: Session, args: Args) -> int | None:
    """Run the command; its exit code is ours, and is said on standard error when it is not 0."""
    word, command = _split(args)
    pod = await one_pod(session, word)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise CliError(f"cannot exec into a container in a completed pod; current phase is {phase}")
    container = choose_container(session, pod, args.text("container"), quiet=args.on("quiet"))
    wiring = wiring_of(session, args)
    params = [("command", part) for part in command] + [("container", container)]
    path = kinds.PODS.path(meta.namespace_of(pod), meta.name_of(pod), "exec")
    code = await connect(session, path, params, wiring)
    if code:
        raise CliError(f"command terminated with exit code {code}", code=code, bare=True)
    return None


def _split(args: Args) -> tuple[str, list[str]]:
    if args.dash < 0 and len(args.words) > 1:
        raise CliError(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n"
            "See 'skiff exec -h' for help and examples"
        )
    if args.dash == 0 or not args.words:
        raise CliError("pod, type/name or --filename must be specified")
    command = args.words[1:]
    if not command:
        raise CliError("you must specify at least one command for the container")
    return args.words[0], command


def wiring_of(session: Session, args: Args) -> Wiring:
    """Which streams to connect; a terminal only where there is one."""
    stdin, tty = args.on("stdin"), args.on("tty")
    if tty and not (stdin and sys.stdin.isatty()):
        session.warn("Unable to use a TTY - input is not a terminal or the right kind of file")
        tty = False
    return Wiring(stdin, tty)


COMMAND = Command(
    "exec (POD | TYPE/NAME) [-c CONTAINER] [-i] [-t] -- COMMAND [ARGS…]",
    "Run a command in a container.",
    (
        text("container", "Which container.", "c"),
        switch("stdin", "Connect our standard input.", "i"),
        switch("tty", "Connect a terminal.", "t"),
        switch("quiet", "Only what the command prints.", "q"),
        listing("filename", "A file that names the workload.", "f"),
        seconds("pod-running-timeout", "Accepted for compatibility.", 60.0),
    ),
    run,
)
