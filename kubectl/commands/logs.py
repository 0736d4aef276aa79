"""`skiff logs`: of containers, or, by their names, of the processes of the cluster on this machine.

Upstream: kubectl/pkg/cmd/logs/logs.go. Component logs are `cluster`'s; only the choice between the two is here.
"""

import asyncio
import importlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from kubectl.command import SELECTOR, Command
from kubectl.flags import Args, listing, number, seconds, switch, text
from kubectl.kubeconfig import cluster_home
from kubectl.pods_behind import choose_container, containers_of, one_pod, select_pods
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json


@dataclass(frozen=True, slots=True)
class Stream:
    """One container's log; `prefix` stands before each of its lines."""

    namespace: str
    pod: str
    container: str
    prefix: str


async def run(session: Session, args: Args) -> int | None:
    """Print the logs that are asked for, one after the other, or, with -f, as they come."""
    if _is_component(args):
        # It reads a file without end and without the event loop, whose handler would swallow the first Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        module = importlib.import_module("cluster.commands")
        try:
            module.component_logs(args.words[0], args.on("follow"), args.number("tail"))
        except module.typer.Exit as done:  # it has said by itself what was wrong
            return int(done.exit_code)
        return None
    _check(args)
    streams = await _streams(session, args)
    if args.on("follow") and len(streams) > args.number("max-log-requests"):
        raise CliError(
            f"you are attempting to follow {len(streams)} log streams, but maximum allowed concurrency is "
            f"{args.number('max-log-requests')}, use --max-log-requests to increase the limit"
        )
    if args.on("follow") and len(streams) > 1:
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(_copy(session, args, stream))
        return None
    for stream in streams:
        await _copy(session, args, stream)
    return None


def _is_component(args: Args) -> bool:
    """A bare word that is a process of the local cluster; -n, -c, -l or TYPE/ say that a pod is meant."""
    if len(args.words) != 1 or "/" in args.words[0] or any(args.given(flag) for flag in ("namespace", "container")):
        return False
    if not (cluster_home() / "cluster.json").exists():
        return False
    return args.words[0] in importlib.import_module("cluster.commands").component_names()


def _check(args: Args) -> None:
    if not args.words and not args.text("selector"):
        raise CliError(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
            "POD or TYPE/NAME is a required argument for the logs command\n"
            "See 'skiff logs -h' for help and examples"
        )
    if args.words and args.text("selector"):
        raise CliError("only a selector (-l) or a POD name is allowed")
    if args.given("since") and args.given("since-time"):
        raise CliError("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if args.on("all-containers") and (args.text("container") or len(args.words) > 1):
        raise CliError(f"--all-containers=true should not be specified with container name {args.text('container')}")


async def _streams(session: Session, args: Args) -> list[Stream]:
    if selector := args.text("selector"):
        found = await select_pods(session, session.namespace, selector)
        if not found:
            session.warn(f"No resources found in {session.namespace} namespace.")
    else:
        found = [await _one_pod(session, args.words[0])]
    wanted = args.text("container") or (args.words[1] if len(args.words) > 1 else "")
    return [stream for pod in found for stream in _of_pod(session, args, pod, wanted)]


async def _one_pod(session: Session, word: str) -> Json:
    try:
        return await one_pod(session, word)
    except errors.NotFound as problem:
        where = f'in namespace "{session.namespace}"'
        raise CliError(f"error from server (NotFound): {problem.message} {where}") from problem


def _of_pod(session: Session, args: Args, pod: Json, wanted: str) -> list[Stream]:
    if args.on("all-containers"):
        names: Sequence[str] = [name for name, _ in containers_of(pod)]
    else:
        names = [choose_container(session, pod, wanted)]
    name, namespace = meta.name_of(pod), meta.namespace_of(pod)
    prefix = args.on("prefix")
    return [Stream(namespace, name, one, f"[pod/{name}/{one}] " if prefix else "") for one in names]


def params_of(args: Args, container: str) -> dict[str, str]:
    """The query of the log subresource."""
    tail = args.number("tail")
    if tail < 0 and args.text("selector") and not args.given("tail"):
        tail = 10  # upstream's guard against drowning in the logs of many pods
    params = {
        "container": container,
        "follow": "true" if args.on("follow") else "",
        "previous": "true" if args.on("previous") else "",
        "timestamps": "true" if args.on("timestamps") else "",
        "tailLines": str(tail) if tail >= 0 else "",
        "sinceSeconds": str(-int(-args.seconds("since") // 1)) if args.seconds("since") else "",
        "sinceTime": args.text("since-time"),
        "limitBytes": str(args.number("limit-bytes")) if args.number("limit-bytes") else "",
    }
    return {key: value for key, value in params.items() if value}


async def _copy(session: Session, args: Args, stream: Stream) -> None:
    path = kinds.PODS.path(stream.namespace, stream.pod, "log")
    try:
        async with session.stream(path, params=params_of(args, stream.container)) as answer:
            rest = b""
            async for chunk in answer.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    session.write_bytes(stream.prefix.encode() + line + b"\n")
            if rest:
                session.write_bytes(stream.prefix.encode() + rest)
    except errors.StatusError as problem:
        if not args.on("ignore-errors"):
            raise
        session.warn(f"error: {problem.message}")


COMMAND = Command(
    "logs (POD | TYPE/NAME | -l SELECTOR | COMPONENT) [-c CONTAINER] [FLAGS]",
    "Show the log of a container, or of a component of the cluster on this machine (apiserver, etcd, kubelet-a …).",
    (
        SELECTOR,
        switch("follow", "Go on with what is written.", "f"),
        switch("previous", "Of the container's run before this one.", "p"),
        text("container", "Which container.", "c"),
        switch("all-containers", "All containers of the pod."),
        switch("all-pods", "All pods of the workload."),
        switch("prefix", "Put pod and container before each line."),
        switch("timestamps", "Put the time before each line."),
        switch("ignore-errors", "Go on when one log cannot be had."),
        number("tail", "Only so many lines from the end; -1: all.", -1),
        number("limit-bytes", "At most so many bytes."),
        number("max-log-requests", "How many logs may be followed at once.", 5),
        seconds("since", "Only newer than this: 5s, 2m, 3h."),
        seconds("pod-running-timeout", "Accepted for compatibility.", 20.0),
        text("since-time", "Only after this time (RFC 3339)."),
        switch("insecure-skip-tls-verify-backend", "Do not check the kubelet's certificate."),
        listing("filename", "A file that names the workload.", "F"),
    ),
    run,
)
