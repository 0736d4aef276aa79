"""python -m bench.noise URL TOKEN CA PATH CONNECTIONS: creates ConfigMaps as fast as it is let, until it is ended.

A process of its own, at the lowest priority, so that it takes nothing but the server's time from what is measured.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import client, objects
from bench.client import Address, Request


def requests(path: str) -> Iterator[Request]:
    """For ever."""
    return (Request("POST", path, objects.config_map(f"noise-{number}")) for number in itertools.count())


def main(argv: list[str]) -> None:
    """Make noise."""
    url, token, ca, path, connections = argv
    os.nice(19)
    address = Address(url, token, Path(ca))
    uvloop.run(client.run(address, requests(path), int(connections)))


if __name__ == "__main__":
    main(sys.argv[1:])
