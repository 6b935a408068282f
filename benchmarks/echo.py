"""A WebSocket server under TLS that says again what it hears: ``python -m benchmarks.echo CERTIFICATE``.

Prints its port. With ``small`` behind it, it has :func:`small` sockets. Does some other things for whoever
asks for them: see the words below.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import ssl
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

#: What a client says to be closed, and the code that it is closed with.
CLOSE, CLOSED = "close me", 4000
#: What a client says to be asked whether it is there, and what it is told then.
PING, PONG = "ping me", "you are there"
#: What a client says to be sent so many frames, and to learn to how many that is still under way.
POUR, POURING = "pour", "pouring?"
FRAMES = 128
#: Each of them. It does not compress.
FRAME = random.Random(1).randbytes(65536)
#: What a client says to be read no further, until one says the other.
STALL, RESUME = "stall", "resume"
PROTOCOL = "rivet"
#: The option.
SMALL = "small"


class Echo:
    """What the connections have in common.

    :ivar pouring: how many are being sent a flood.
    :ivar stalled: those that are not read.
    """

    def __init__(self) -> None:
        self.pouring = 0
        self.stalled: list[ServerConnection] = []

    async def serve(self, client: ServerConnection) -> None:
        """Do what one client asks for, until it leaves."""
        try:
            async for message in client:
                await self._answer(client, message)
        except ConnectionClosed:
            pass

    async def _answer(self, client: ServerConnection, message: str | bytes) -> None:
        if message == CLOSE:
            await client.close(CLOSED)
        elif message == PING:
            await (await client.ping())
            await client.send(PONG)
        elif message == POUR:
            self.pouring += 1
            for _ in range(FRAMES):
                await client.send(FRAME)
            self.pouring -= 1
        elif message == POURING:
            await client.send(str(self.pouring))
        elif message == STALL:
            client.transport.pause_reading()
            self.stalled.append(client)
        elif message == RESUME:
            while self.stalled:
                self.stalled.pop().transport.resume_reading()
            await client.send(message)
        else:
            await client.send(message)


def small(connection: socket.socket) -> socket.socket:
    """A socket with small packets and buffers, as over a real network. On the loopback packets are of 64 KB,
    and the system's own buffers have room for many of them.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return connection


async def _main(certificate: str, *options: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = small(socket.socket()) if SMALL in options else socket.socket()
    listening.bind(("127.0.0.1", 0))
    async with serve(
        Echo().serve,
        sock=listening,
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
    asyncio.run(_main(sys.argv[1], *sys.argv[2:]))
