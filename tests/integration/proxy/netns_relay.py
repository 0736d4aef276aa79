"""LISTEN TARGET: passes connections on; each is a path (unix socket) or a port of 127.0.0.1.

Unix sockets do not know network namespaces: two of these carry a port of the machine's loopback into a namespace's.
"""

import asyncio
import sys


async def main() -> None:
    """Relay until killed."""
    listen, target = sys.argv[1:3]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await (
                asyncio.open_connection("127.0.0.1", int(target))
                if target.isdigit()
                else asyncio.open_unix_connection(target)
            )
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    if listen.isdigit():
        server = await asyncio.start_server(relay, "127.0.0.1", int(listen))
    else:
        server = await asyncio.start_unix_server(relay, listen)
    print("ready", flush=True)
    await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until it ends."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
