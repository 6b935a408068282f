"""A WebSocket server under TLS that says again what it hears: ``python -m benchmarks.echo CERTIFICATE``.

Prints its port. Closes whoever asks for it.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

#: What a client says to be closed, and the code that it is closed with.
CLOSE, CLOSED = "close me", 4000
#: What a client says to be asked whether it is there, and what it is told then.
PING, PONG = "ping me", "you are there"
PROTOCOL = "rivet"


async def _echo(socket: ServerConnection) -> None:
    try:
        async for message in socket:
            if message == CLOSE:
                await socket.close(CLOSED)
            elif message == PING:
                await (await socket.ping())
                await socket.send(PONG)
            else:
                await socket.send(message)
    except ConnectionClosed:
        pass


async def _main(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with serve(
        _echo,
        "127.0.0.1",
        0,
        ssl=context,
        max_size=None,
        ping_interval=None,
        select_subprotocol=lambda _, offered: PROTOCOL if PROTOCOL in offered else None,
        backlog=2048,
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    gc.disable()
    asyncio.run(_main(sys.argv[1]))
