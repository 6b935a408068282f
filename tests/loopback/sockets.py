"""A real WebSocket server, in the place of Amp's."""

from __future__ import annotations

import asyncio
import ssl
import threading

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


class Sockets:
    """A WebSocket server under TLS, in a thread of its own.

    :ivar requests: the handshakes, as they came.
    :ivar begun: connections so far.
    :ivar ended: how each connection ended: its close code.
    :ivar flood: bytes sent to whoever asked for a flood.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.requests: list[Request] = []
        self.begun = 0
        self.ended: list[int | None] = []
        self.flood = 0
        self._context = context
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with serve(
            self._serve,
            "127.0.0.1",
            0,
            ssl=self._context,
            process_request=self._look,
            select_subprotocol=lambda _, offered: "rivet" if "rivet" in offered else None,
            max_size=None,
            ping_interval=None,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return connection.respond(402, "out of credits") if "refuse" in request.path else None

    async def _serve(self, socket: ServerConnection) -> None:
        self.begun += 1
        try:
            async for message in socket:
                if message == "close":
                    await socket.close(4001, "as you wish")
                elif message == "abort":
                    socket.transport.abort()
                elif message == "ping me":
                    await (await socket.ping(b"are you there"))
                    await socket.send("you are")
                elif message == "flood":
                    while True:
                        await socket.send(bytes(65536))
                        self.flood += 65536
                else:
                    await socket.send(message)
        except ConnectionClosed:
            pass
        finally:
            await socket.wait_closed()
            self.ended.append(socket.close_code)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
