"""Free ports for servers that a test starts."""

import random
import socket


def free_port() -> int:
    """A loopback port nobody listens on right now.

    Below the ports the kernel gives to clients: else a client that tries again and again to reach a server that is down
    gets the server's own port one day, is connected to itself, and the server cannot come back.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
