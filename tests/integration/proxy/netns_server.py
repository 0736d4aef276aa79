"""KIND PORT NAME: answers each connection or datagram with NAME and the client's address. Run inside a namespace."""

import socket
import sys


def main() -> None:
    """Serve until killed."""
    kind, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", port))
    if kind == "tcp":
        server.listen(128)
    print("ready", flush=True)
    while True:
        if kind == "tcp":
            connection, address = server.accept()
            with connection:
                connection.sendall(f"{name} {address[0]}".encode())
        else:
            _, address = server.recvfrom(100)
            server.sendto(f"{name} {address[0]}".encode(), address)


if __name__ == "__main__":
    main()
