"""The command `skiff`: finds the verb, reads its flags, runs it, says what went wrong. The verbs are in `commands/`.

A verb's module is loaded when it is asked for (COMMANDS names it): starting is a tenth of a second, and a tool that is
called in loops should not load the code of thirty verbs for one.
"""

import asyncio
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from kubectl import flags
from kubectl.command import GLOBAL_FLAGS, Command
from kubectl.flags import Args, Flag
from kubectl.problems import CliError, Several, Sourced, code_of, explain
from kubectl.session import Session
from machinery.api import errors

PROGRAM: Final = "skiff"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table of verbs: where its code is, the group it is listed in, one line of help."""

    module: str
    group: str
    help: str


BASIC, APPS, DEBUG, SETTINGS, OTHER, CLUSTER = (
    "Objects",
    "Workloads",
    "Looking inside",
    "Labels and changes",
    "The server and this tool",
    "The cluster on this machine",
)

COMMANDS: Final[dict[str, Entry]] = {
    "get": Entry("kubectl.commands.get", BASIC, "Show one or many objects"),
    "describe": Entry("kubectl.commands.describe", BASIC, "Show details of objects and their events"),
    "apply": Entry("kubectl.commands.apply", BASIC, "Make objects be as files say"),
    "create": Entry("kubectl.commands.create", BASIC, "Create objects from files or from flags"),
    "delete": Entry("kubectl.commands.delete", BASIC, "Delete objects by file, name or selector"),
    "explain": Entry("kubectl.commands.explain", BASIC, "Show what the fields of a kind are"),
    "run": Entry("kubectl.commands.run", APPS, "Run an image in a pod"),
    "expose": Entry("kubectl.commands.expose", APPS, "Make a Service for a workload"),
    "scale": Entry("kubectl.commands.scale", APPS, "Set the number of replicas"),
    "rollout": Entry("kubectl.commands.rollout", APPS, "Watch, restart, undo and pause rollouts"),
    "wait": Entry("kubectl.commands.wait", APPS, "Wait for a condition"),
    "logs": Entry(
        "kubectl.commands.logs", DEBUG, "Show the log of a container, or of a component of the local cluster"
    ),
    "why": Entry("kubectl.commands.why", DEBUG, "Show why a pod has no node, node by node, and what would help"),
    "exec": Entry("kubectl.commands.exec", DEBUG, "Run a command in a container"),
    "port-forward": Entry("kubectl.commands.port_forward", DEBUG, "Forward local ports to a pod"),
    "label": Entry("kubectl.commands.label", SETTINGS, "Change labels"),
    "annotate": Entry("kubectl.commands.annotate", SETTINGS, "Change annotations"),
    "patch": Entry("kubectl.commands.patch", SETTINGS, "Change fields by a patch"),
    "api-resources": Entry("kubectl.commands.api_resources", OTHER, "List the kinds the server has"),
    "api-versions": Entry("kubectl.commands.api_versions", OTHER, "List the API versions the server has"),
    "auth": Entry("kubectl.commands.auth", OTHER, "Ask what one may do and who one is"),
    "config": Entry("kubectl.commands.config", OTHER, "Look at and change kubeconfig files"),
    "version": Entry("kubectl.commands.version", OTHER, "Show the versions of this tool and of the server"),
}

CLUSTER_COMMANDS: Final[dict[str, str]] = {
    "up": "Bring a cluster up on this machine",
    "down": "Take it down and leave nothing behind",
    "status": "Show what runs, where, since when",
    "stop": "Stop one component",
    "start": "Start it again",
    "restart": "Restart one component",
    "kubeconfig": "Print the path of the cluster's kubeconfig",
    "demo": "Bring a cluster up and run an example on it",
    "token": "Make and list the tokens that machines join with",
    "join": "Make this machine a node of a cluster elsewhere",
    "image": "Make images and load them into the nodes",
}
_CLUSTER_MODULE: Final = "cluster.commands"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry point: runs the command line and exits with its code."""
    code = run(list(sys.argv[1:] if argv is None else argv))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough; without this the interpreter would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(argv: list[str]) -> int:
    """One command line; the exit code."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except (CliError, Several, Sourced, errors.StatusError, BaseExceptionGroup) as problem:
        return _complain(problem)


def _complain(problem: BaseException) -> int:
    sys.stdout.flush()
    while isinstance(problem, BaseExceptionGroup):  # a TaskGroup inside a command wraps what went wrong
        problem = problem.exceptions[0]
    if not isinstance(problem, CliError | Several | Sourced | errors.StatusError):
        raise problem
    for line in explain(problem):
        print(line, file=sys.stderr)
    return code_of(problem)


def _run(argv: list[str]) -> int:
    index = flags.first_word(GLOBAL_FLAGS, argv)
    if index < 0:
        arguments(Command("", ""), [], argv)
        sys.stdout.write(_overview())
        return 0
    name, rest = argv[index], argv[:index] + argv[index + 1 :]
    if name == "help":
        return _run([*rest, "--help"] if rest else [])
    if name in CLUSTER_COMMANDS:
        return _run_cluster([name, *rest])
    if name not in COMMANDS:
        raise CliError(_unknown(name))
    command, path, rest = _subcommand(load(name), [name], rest)
    args = arguments(command, path, rest)
    if args.on("help") or command.run is None:
        return _show_help(command, path, args)
    return asyncio.run(_execute(command, args)) or 0


def load(name: str) -> Command:
    """The verb of that name, its module loaded; raises KeyError for an unknown one."""
    command: Command = importlib.import_module(COMMANDS[name].module).COMMAND
    return command


def _subcommand(command: Command, path: list[str], rest: list[str]) -> tuple[Command, list[str], list[str]]:
    while command.subcommands:
        index = flags.first_word((*GLOBAL_FLAGS, *command.flags), rest)
        if index < 0 or rest[index] not in command.subcommands:
            break
        name = rest[index]
        command, path = command.subcommands[name], [*path, name]
        rest = rest[:index] + rest[index + 1 :]
    return command, path, rest


def arguments(command: Command, path: list[str], rest: list[str]) -> Args:
    """A verb's and the global flags; raises CliError that tells how to get help."""
    try:
        return flags.parse(_all_flags(command.flags), rest)
    except CliError as problem:
        raise CliError(f"{problem}\nSee '{' '.join([PROGRAM, *path])} --help' for usage.") from problem


def _all_flags(own: Iterable[Flag]) -> list[Flag]:
    """The verb's and the global ones; a verb's letter takes precedence (`-s`, `-v` are free for verbs)."""
    own = list(own)
    letters = {flag.short for flag in own}
    names = {flag.name for flag in own}
    common = [replace(flag, short="") if flag.short in letters else flag for flag in GLOBAL_FLAGS]
    return own + [flag for flag in common if flag.name not in names]


async def _execute(command: Command, args: Args) -> int | None:
    assert command.run is not None
    async with Session(args) as session:
        return await command.run(session, args)


def _run_cluster(argv: list[str]) -> int:
    typer = importlib.import_module("typer")
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
    )
    importlib.import_module(_CLUSTER_MODULE).register(app)
    try:
        typer.main.get_command(app).main(args=argv, prog_name=PROGRAM)
    except SystemExit as done:  # typer says by itself what was wrong
        return int(done.code or 0)
    return 0


# --- help ------------------------------------------------------------------------------------------------------------


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, [*COMMANDS, *CLUSTER_COMMANDS], n=3)
    hint = "\n\nDid you mean this?\n" + "\n".join(f"\t{one}" for one in close) if close else ""
    return f'unknown command "{name}" for "{PROGRAM}"{hint}'


def _overview() -> str:
    lines = [f"{PROGRAM} controls a Kubernetes cluster, and brings one up on this machine.", ""]
    for group in dict.fromkeys(entry.group for entry in COMMANDS.values()):
        lines += [f"{group}:", *(_row(n, e.help) for n, e in COMMANDS.items() if e.group == group), ""]
    lines += [f"{CLUSTER}:", *(_row(name, help_) for name, help_ in CLUSTER_COMMANDS.items()), ""]
    lines += [f"Usage: {PROGRAM} COMMAND [FLAGS]    Help: {PROGRAM} COMMAND --help", ""]
    return "\n".join(lines)


def _row(name: str, help_: str) -> str:
    return f"  {name:15} {help_}"


def _show_help(command: Command, path: list[str], args: Args) -> int:
    if not args.on("help") and args.words:
        raise CliError(f'unknown command "{" ".join([*path[1:], args.words[0]])}" for "{PROGRAM} {path[0]}"')
    sys.stdout.write("\n".join(_help_lines(command)) + "\n")
    return 0


def _help_lines(command: Command) -> Iterator[str]:
    yield command.help
    if command.subcommands:
        yield from ("", "Commands:")
        yield from (_row(name, one.help) for name, one in command.subcommands.items())
    if command.flags:
        yield from ("", "Flags:")
        yield from (_flag_line(flag) for flag in command.flags)
    yield from ("", "Flags for all commands:")
    yield from (_flag_line(flag) for flag in GLOBAL_FLAGS)
    yield from ("", f"Usage: {PROGRAM} {command.usage}")


def _flag_line(flag: Flag) -> str:
    letter = f"-{flag.short}, " if flag.short else "    "
    default = "" if flag.default in ("", None, False, 0) else f" (default {flag.default})"
    return f"  {letter}--{flag.name:26} {flag.help}{default}"


if __name__ == "__main__":
    main()
