"""KIND ADDRESS PORT COUNT: prints a JSON list of answers, or of the names of errors. Run inside a namespace.

Datagrams all come from one port, as those of a client that keeps its socket.
"""

import json
import socket
import sys

_SECONDS = 1.5


def main() -> None:
    """Ask and print."""
    kind, address, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if kind == "tcp":
        answers = [ask_tcp(address, port) for _ in range(count)]
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("0.0.0.0", 40000))
            client.settimeout(_SECONDS)
            answers = [ask_udp(client, address, port) for _ in range(count)]
    print(json.dumps(answers))


def ask_tcp(address: str, port: int) -> str:
    """One connection."""
    try:
        with socket.create_connection((address, port), timeout=_SECONDS) as connection:
            return connection.recv(100).decode()
    except OSError as problem:
        return type(problem).__name__


def ask_udp(client: socket.socket, address: str, port: int) -> str:
    """One datagram there, one back."""
    try:
        client.sendto(b"?", (address, port))
        return client.recv(100).decode()
    except OSError as problem:
        return type(problem).__name__


if __name__ == "__main__":
    main()
