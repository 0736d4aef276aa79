#!/usr/bin/python3
"""runc for a root that lacks CAP_SYS_RESOURCE, as in some virtual machines: asks for no more than that root may give.

A Docker engine started with this as its runtime can run privileged containers there. It edits what runc is about to
read: the capability goes, limits are lowered to our own, oom_score_adj is raised to ours. Only tests use it.
"""

import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any


def within_bounds(process: dict[str, Any], lowest_score: int) -> dict[str, Any]:
    """The process of an OCI configuration, asking only for what may be had."""
    for name, capabilities in (process.get("capabilities") or {}).items():
        process["capabilities"][name] = [each for each in capabilities if each != "CAP_SYS_RESOURCE"]
    for limit in process.get("rlimits") or []:
        ours = resource.getrlimit(getattr(resource, limit["type"]))[1]
        if ours != resource.RLIM_INFINITY:
            limit["hard"] = min(limit["hard"], ours)
            limit["soft"] = min(limit["soft"], ours)
    if process.get("oomScoreAdj") is not None:
        process["oomScoreAdj"] = max(process["oomScoreAdj"], lowest_score)
    return process


def value_of(arguments: list[str], *names: str) -> str:
    """The value of an option, written with a blank or with an equals sign; empty when it is not there."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else arguments[index + 1]
    return ""


def main(arguments: list[str]) -> None:
    """Edit the bundle's configuration (create, run) or the process file (exec), then become runc."""
    lowest_score = int(Path("/proc/self/oom_score_adj").read_text())
    if "create" in arguments or "run" in arguments:
        path = Path(value_of(arguments, "--bundle", "-b") or ".", "config.json")
        config = json.loads(path.read_text())
        if config.get("process"):
            config["process"] = within_bounds(config["process"], lowest_score)
        path.write_text(json.dumps(config))
    elif "exec" in arguments and (file := value_of(arguments, "--process", "-p")):
        path = Path(file)
        path.write_text(json.dumps(within_bounds(json.loads(path.read_text()), lowest_score)))
    runc = shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "/usr/sbin/runc"
    os.execv(runc, ["runc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
