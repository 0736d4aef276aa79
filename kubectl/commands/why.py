"""`skiff why pod/NAME`: what the scheduler said about each node when it last tried to place a pod, and what would help.

Skiff's scheduler answers at /debug/pods/NAMESPACE/NAME of its health port; a scheduler that does not is represented by
the pod's own condition. Upstream's kubectl has no such verb.
"""

import asyncio
import importlib
from dataclasses import replace
from typing import Any, Final

from kubectl.command import OUTPUT, Command
from kubectl.flags import Args, text
from kubectl.printers.json_text import to_json
from kubectl.printers.tabwriter import TabWriter
from kubectl.printers.yaml_text import to_yaml
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api import codec, errors, kinds, meta, pods
from machinery.api.codec import Json

_SECONDS: Final = 5.0


async def run(session: Session, args: Args) -> int | None:
    """Print the verdicts."""
    if len(args.words) != 1:
        raise CliError("you must specify one pod: skiff why pod/NAME")
    name = args.words[0].removeprefix("pods/").removeprefix("pod/").removeprefix("po/")
    pod = await session.call("GET", kinds.PODS.path(session.namespace, name))
    attempt = await ask(session, args.text("scheduler"), session.namespace, name)
    if args.text("output"):
        session.print(_encoded(attempt or {}, args.text("output")).rstrip("\n"))
        return None
    session.print(report(pod, attempt).rstrip("\n"))
    return None


async def ask(session: Session, url: str, namespace: str, name: str) -> Json | None:
    """The last attempt, None where the scheduler remembers none; raises CliError when it cannot be asked.

    It is asked as whoever asks the API server: the scheduler has the API server say who may read what.
    """
    config = (await session.client()).config
    if url:
        config = replace(config, server=url.rstrip("/"))
    else:
        found = importlib.import_module("cluster.commands").scheduler_address()
        if found is None:
            return None
        config = replace(config, server=found[0], ca=found[1].read_bytes())
    rest = importlib.import_module("machinery.client.rest")
    try:
        async with asyncio.timeout(_SECONDS), rest.Client(config, "skiff") as scheduler:
            answer = await scheduler.request("GET", f"/debug/pods/{namespace}/{name}")
            attempt: Json = codec.loads(answer.content)
            return attempt
    except errors.NotFound:
        return None
    except (OSError, ValueError, errors.StatusError) as problem:
        said = str(problem) or type(problem).__name__
        raise CliError(f"the scheduler at {config.server} cannot be asked: {said}") from problem


def report(pod: Json, attempt: Json | None) -> str:
    """What a person reads."""
    who = f"pod {meta.namespace_of(pod)}/{meta.name_of(pod)}"
    if node := pods.node_of(pod):
        return f"{who} is on {node}."
    condition = meta.find_condition((pod.get("status") or {}).get("conditions"), "PodScheduled") or {}
    if attempt is None:
        said = (
            condition.get("message") or "nothing yet: is a scheduler running, and does it know the pod's schedulerName?"
        )
        return f"{who} has no node. The scheduler says: {said}"
    lines = [f"{who}: {attempt['result']} at attempt {attempt['attempt']}, {attempt['at']}", str(attempt["message"])]
    if attempt["nodes"]:
        rows = ["NODE\tPLUGIN\tREASON\tPREEMPTION\n"]
        rows += [_row(verdict) for verdict in attempt["nodes"]]
        lines += ["", TabWriter(minimum=6, padding=3).layout("".join(rows)).rstrip("\n")]
    if attempt["advice"]:
        lines += ["", "What would help:", *(f"- {text}" for text in attempt["advice"])]
    return "\n".join(lines) + "\n"


def _row(verdict: dict[str, Any]) -> str:
    helps = "may help" if verdict["preemptionMayHelp"] else "does not help"
    return f"{verdict['node']}\t{verdict['plugin']}\t{verdict['reason']}\t{helps}\n"


def _encoded(attempt: Json, output: str) -> str:
    if output == "json":
        return to_json(attempt)
    if output == "yaml":
        return to_yaml(attempt)
    raise CliError(f"--output must be json or yaml, not {output}")


COMMAND: Final = Command(
    "why pod/NAME [flags]",
    "Show what the scheduler said about each node when it last tried to place a pod, and what would help.",
    (OUTPUT, text("scheduler", "Address of the scheduler's health port (default: the local cluster's).")),
    run,
)
