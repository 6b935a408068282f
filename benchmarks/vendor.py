"""A vendor that costs next to nothing: answers made before anybody asked, one write an answer.

``python -m benchmarks.vendor [CERTIFICATE]`` listens on a free port of 127.0.0.1 and prints it. With a
certificate and its key in a PEM file it prints a second port, too, which speaks TLS. The first segment of the
path names the behaviour, so that no body need be read:

- ``/json``: a whole answer of 1 KB
- ``/bulk``: a stream of :data:`BULK_EVENTS` events, each its own HTTP chunk, all in one write
- ``/paced``: a stream of :data:`PACED_EVENTS` events, :data:`PACE` a second, each with the time it was sent
- ``/held``: a stream that says nothing after its beginning
- ``/cut``: the beginning of such a stream, then the connection is closed
- ``/fails``: an error of status 500
- ``/api/.../N``: takes any body, then answers with N bytes
"""

from __future__ import annotations

import asyncio
import gc
import re
import ssl
import sys
import time

from benchmarks.payloads import MARK, chunk, stream_events, stream_parts, whole_answer

BULK_EVENTS = 200
PACE = 50
PACED_EVENTS = 160

#: Each piece of text in a bulk stream: as much as a vendor sends at a time.
BULK_TEXT = f" {MARK} ipsum dolor"

_STAMP = "@%017.6f@"
_STAMP_ROOM = "@" + "0" * 17 + "@"

#: A path's ending -> its dialect.
_DIALECTS = {
    b"/messages": "anthropic",
    b"/chat/completions": "openai-chat",
    b"/responses": "openai-responses",
    b":streamGenerateContent": "gemini",
}
_HEAD = re.compile(rb"(?:POST|PUT|GET) (/([a-z]+)[^ ?]*)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_WHOLE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nrequest-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_FAILURE = b'{"type":"error","error":{"type":"api_error","message":"Internal server error"}}'
_FAILED = (_WHOLE_HEAD % (b"application/json", len(_FAILURE))).replace(b"200 OK", b"500 Failed") + _FAILURE
_PIECE = b"0123456789abcdef" * 16384


def _whole(dialect: str) -> bytes:
    body = whole_answer(dialect)
    return _WHOLE_HEAD % (b"application/json", len(body)) + body


def _bulk(dialect: str) -> bytes:
    events = stream_events(dialect, BULK_EVENTS, BULK_TEXT)
    return _STREAM_HEAD + b"".join(map(chunk, events)) + b"0\r\n\r\n"


def _slow(dialect: str) -> tuple[bytes, bytes, bytes, bytes]:
    """The beginning, the event before and after its time stamp, the end."""
    before, event, after = stream_parts(dialect, _STAMP_ROOM)
    left, _, right = chunk(event).partition(_STAMP_ROOM.encode())
    return (
        _STREAM_HEAD + b"".join(map(chunk, before)),
        left,
        right,
        b"".join(map(chunk, after)) + b"0\r\n\r\n",
    )


_WHOLE = {dialect: _whole(dialect) for dialect in ("anthropic", "openai-chat")}
_BULK = {dialect: _bulk(dialect) for dialect in _DIALECTS.values()}
_SLOW = {dialect: _slow(dialect) for dialect in _DIALECTS.values()}


class Vendor(asyncio.Protocol):
    """One connection: requests one after another."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._chunked = False
        self._tail = b""
        self._path = b""
        self._behaviour = b""
        self._timer: asyncio.TimerHandle | None = None
        self._to_send = 0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if not self._left and not self._chunked:
            head = self._head + data
            end = head.find(b"\r\n\r\n")
            if end < 0:
                self._head = head
                return
            self._head = b""
            self._begin(head[: end + 2])
            data = head[end + 4 :]
        if self._chunked:
            tail = (self._tail + data)[-7:]
            self._tail = tail
            if tail.endswith(b"0\r\n\r\n") and len(tail) in (5, 7):
                self._chunked = False
                self._answer()
            return
        self._left -= len(data)
        if self._left <= 0:
            self._left = 0
            self._answer()

    def _begin(self, head: bytes) -> None:
        match = _HEAD.match(head)
        assert match is not None, head
        self._path, self._behaviour = match.groups()
        length = _LENGTH.search(head)
        self._left = int(length[1]) if length else 0
        self._chunked = _CHUNKED.search(head) is not None
        self._tail = b""

    def _answer(self) -> None:
        if self._behaviour == b"api":
            self._send_bytes(int(self._path.rpartition(b"/")[2]))
        elif self._behaviour == b"json":
            self.transport.write(_WHOLE[self._dialect()])
        elif self._behaviour == b"bulk":
            self.transport.write(_BULK[self._dialect()])
        elif self._behaviour in (b"paced", b"held"):
            self._slow = _SLOW[self._dialect()]
            self.transport.write(self._slow[0])
            if self._behaviour == b"paced":
                self._due, self._events = self._loop.time(), PACED_EVENTS
                self._tick()
        elif self._behaviour == b"cut":
            self.transport.write(_SLOW[self._dialect()][0])
            self.transport.close()
        elif self._behaviour == b"fails":
            self.transport.write(_FAILED)
        else:
            self.transport.write(_WHOLE_HEAD % (b"text/plain", 2) + b"OK")

    def _dialect(self) -> str:
        for ending, dialect in _DIALECTS.items():
            if self._path.endswith(ending):
                return dialect
        raise ValueError(f"no dialect has the path {self._path!r}")

    def _tick(self) -> None:
        stamp = (_STAMP % time.monotonic()).encode()
        _, left, right, end = self._slow
        self._events -= 1
        if not self._events:
            self._timer = None
            self.transport.write(left + stamp + right + end)
            return
        self.transport.write(left + stamp + right)
        self._due += 1 / PACE
        self._timer = self._loop.call_at(self._due, self._tick)

    def _send_bytes(self, count: int) -> None:
        self.transport.write(_WHOLE_HEAD % (b"application/octet-stream", count))
        self._to_send = count
        self._paused = False
        self.resume_writing()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        while self._to_send and not self._paused:
            piece = _PIECE[: self._to_send]
            self._to_send -= len(piece)
            self.transport.write(piece)


async def serve(certificate: str = "") -> None:
    """Serve for ever; print the ports first.

    :param certificate: the path of a PEM file with a certificate and its key.
    """
    loop = asyncio.get_running_loop()
    contexts: list[ssl.SSLContext | None] = [None]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        contexts.append(context)
    servers = [await loop.create_server(Vendor, "127.0.0.1", 0, backlog=1024, ssl=each) for each in contexts]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    gc.disable()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
