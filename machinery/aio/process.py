"""Runs a program to its end: input in, output out. Programs that live long are not for this."""

import asyncio
from collections.abc import Sequence


class CommandFailed(OSError):
    """The program is missing or refused; the text says which, and what it said."""


async def run(command: Sequence[str], text: str = "") -> str:
    """Standard output; raises CommandFailed when the program is not there or its exit code is not 0."""
    # No pipe where there is nothing to say: writing to a program that has ended by then is an error under uvloop.
    source = asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=source, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise CommandFailed(f"{command[0]} is not installed") from None
    output, problems = await process.communicate(text.encode() if text else None)
    if process.returncode:
        why = problems.decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise CommandFailed(f"{' '.join(command)}: {why}")
    return output.decode(errors="replace")


async def succeeds(command: Sequence[str]) -> bool:
    """Whether the exit code is 0; raises CommandFailed only when the program is not there."""
    try:
        await run(command)
    except CommandFailed as problem:
        if str(problem).endswith("is not installed"):
            raise
        return False
    return True
