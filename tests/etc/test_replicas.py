"""Several replicas behind HAProxy and nginx, as ``etc/`` has them, with one ledger: real processes that end,
are killed and are replaced under load.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor

from ampproxy.testing import anthropic
from tests.etc.test_proxies import NAME, NAMES, Replicated, program, until
from tests.loopback.process import Service
from tests.postgres import Postgres
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

MODEL = "claude-sonnet-4-5"
HANGS = f"{MODEL}+hang=stream"
PACED = f"{MODEL}+interval=0.15+events=12"
CURL = shutil.which("curl") or ""
_VERSION = subprocess.run([CURL, "--version"], capture_output=True, check=False).stdout if CURL else b""
#: Not every curl speaks it.
HTTP2_STREAMS = 6 if b"HTTP2" in _VERSION else 0


class Replicas:
    """Three gateways with one ledger, and the vendor that they share."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.vendor = in_reactor(anthropic.start, reactor, keys=["vendor-key"])
        self._folder = folder
        self._postgres = postgres
        self.services = [self._start(name, 0) for name in NAMES]
        self.ports = [service.port for service in self.services]

    def _start(self, name: str, port: int) -> Service:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        models = [{"name": each} for each in (MODEL, HANGS, PACED)]
        account = {"api-key": "vendor-key", "base-url": self.vendor.url, "models": models}
        config = {
            "port": port,
            "state-dir": str(folder / "state"),
            "api-keys": ["client-key"],
            "allowed-hosts": [NAME],
            "claude-api-key": [account],
            "ledger": {"url": self._postgres.url},
            "metrics": {"enable": False},
            # A stream that hangs shows a client its first events after so long.
            "streaming": {"keepalive-seconds": 1},
        }
        return Service(folder, json.dumps(config))

    def replace(self, number: int) -> None:
        """End one as an init system does, and start another in its place."""
        assert self.services[number].stop() == 0
        self.restart(number)

    def restart(self, number: int) -> None:
        """Start one in the place of one that is gone."""
        self.services[number] = self._start(NAMES[number], self.ports[number])

    @property
    def rows(self) -> int:
        """How many exchanges the ledger has."""
        return self._postgres.rows

    @property
    def sums(self) -> int:
        """How many of them its daily sums have."""
        return int(self._postgres.ask("SELECT coalesce(sum(requests), 0) FROM daily")[0][0])

    def running(self, number: int) -> int:
        """How many exchanges run in one of them."""
        with closing(self.services[number].connect()) as connection:
            connection.request("GET", "/readyz", headers={"X-Api-Key": "client-key"})
            return int(json.loads(connection.getresponse().read())["running"])

    def stop(self) -> None:
        for service in self.services:
            service.stop()
        in_reactor(self.vendor.stop)


@pytest.fixture
def replicas(tmp_path: Path, postgres: Postgres) -> Iterator[Replicas]:
    for name in ("haproxy", "nginx"):
        program(name)
    made = Replicas(tmp_path, postgres)
    yield made
    made.stop()


@contextmanager
def behind(kind: str, replicas: Replicas, folder: Path) -> Iterator[Replicated]:
    """A proxy in front of the replicas."""
    made = Replicated(kind, replicas.ports, folder / kind, trustme.CA())
    try:
        made.await_ready()
        yield made
    finally:
        made.stop()


class Stream:
    """A streamed answer as a client has it.

    :ivar status: of the answer.
    :ivar text: what has come so far.
    :ivar broken: whether it ended before its end.
    """

    def __init__(self, front: Replicated, model: str) -> None:
        self._front = front
        self._model = model
        self.status = 0
        self.text = b""
        self.broken = False

    @property
    def _body(self) -> str:
        asked = [{"role": "user", "content": "hi"}]
        return json.dumps({"model": self._model, "max_tokens": 9, "messages": asked, "stream": True})

    async def begin(self) -> Stream:
        """Send the request, and read to the first event."""
        context: ssl.SSLContext = self._front.context
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._front.port, ssl=context, server_hostname="127.0.0.1"
        )
        body = self._body.encode()
        self._writer.write(
            f"POST /v1/messages HTTP/1.1\r\nHost: {NAME}\r\nX-Api-Key: client-key\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.status = int(head.split()[1])
        if self.status == 200:
            while b"message_start" not in self.text:
                self.text += await self._chunk()
        return self

    async def _chunk(self) -> bytes:
        """The next chunk; empty: the body is at its end. A body that breaks off raises."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def end(self) -> Stream:
        """Read the rest."""
        try:
            while self.status == 200 and (piece := await self._chunk()):
                self.text += piece
        except (asyncio.IncompleteReadError, OSError):
            self.broken = True
        self.close()
        return self

    def close(self) -> None:
        self._writer.close()

    @property
    def whole(self) -> bool:
        return self.status == 200 and not self.broken and b"message_stop" in self.text


class Http2Stream(Stream):
    """The same as curl has it, which speaks HTTP/2 where it is let."""

    async def begin(self) -> Http2Stream:
        """See :meth:`Stream.begin`."""
        headers = [f"Host: {NAME}", "X-Api-Key: client-key", "Content-Type: application/json"]
        options = [word for header in headers for word in ("--header", header)]
        url = f"https://127.0.0.1:{self._front.port}/v1/messages"
        command = [CURL, "--http2", "-s", "--no-buffer", "--include", "--cacert", self._front.authority]
        self._out = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [*command, *options, "--data-binary", self._body, url], stdout=self._out
        )
        await until_soon(lambda: b"message_start" in self._read())
        self.status = int(self.text.split()[1])
        return self

    def _read(self) -> bytes:
        self.text = os.pread(self._out.fileno(), 1 << 20, 0)
        return self.text

    async def end(self) -> Http2Stream:
        """See :meth:`Stream.end`."""
        while self._process.poll() is None:
            await asyncio.sleep(0.02)
        self._read()
        self._out.close()
        self.broken = self._process.returncode != 0
        return self

    def close(self) -> None:
        self._process.kill()


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 240))


async def until_soon(condition: Any, timeout: float = 60) -> None:
    """As :func:`until`, while other things go on."""
    for _ in range(int(timeout * 50)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {timeout} s")


def test_replicas(replicas: Replicas, tmp_path: Path) -> None:
    """One after another, for each replica takes seconds to start: an upgrade of all behind HAProxy, the death
    of one there and of another behind nginx, and the end of one while the dead one is still in its list.
    """
    with behind("haproxy", replicas, tmp_path) as front:
        run(upgraded(replicas, front))
        until(lambda: replicas.rows == len(replicas.vendor.requests))
        assert replicas.sums == replicas.rows
        run(killed(replicas, front, 0))
    replicas.restart(0)
    with behind("nginx", replicas, tmp_path) as front:
        run(killed(replicas, front, 1))
        run(ended(replicas, front, 2))


async def upgraded(replicas: Replicas, front: Replicated) -> None:
    """Each replica is replaced under load, one after another: nothing is cut, no request fails."""
    whole, failed = 0, []
    over = asyncio.Event()

    async def client(model: str) -> None:
        nonlocal whole
        while not over.is_set():
            stream = await (await Stream(front, model).begin()).end()
            whole += stream.whole
            if not stream.whole:
                failed.append((stream.status, stream.broken, stream.text[-80:]))
            await asyncio.sleep(0.1)

    clients = [asyncio.ensure_future(client(model)) for model in (PACED, PACED, PACED, MODEL)]
    for number in range(3):
        await asyncio.to_thread(replicas.replace, number)
        await asyncio.sleep(0.5)
    over.set()
    await asyncio.gather(*clients)
    logs = [service.log_text[-1000:] for service in replicas.services]
    assert not failed, (logs, front.log.read_text()[-1000:])
    assert whole == len(replicas.vendor.requests) > 10


async def killed(replicas: Replicas, front: Replicated, number: int) -> None:
    """A replica is killed among many running streams: its own end, and only these, each with an error that
    its client sees; who asks now is served by the others.
    """
    kinds = [Stream] * 200 + [Http2Stream] * HTTP2_STREAMS
    running = await asyncio.gather(*(kind(front, HANGS).begin() for kind in kinds))
    assert {stream.status for stream in running} == {200}
    ends = [asyncio.ensure_future(stream.end()) for stream in running]
    its_own = await asyncio.to_thread(replicas.running, number)
    assert 0 < its_own < len(running)
    process = replicas.services[number].process
    process.kill()
    # A request that it is sent while it dies is one of its own.
    await asyncio.to_thread(process.wait, 60)
    await served(front)
    await until_soon(lambda: sum(end.done() for end in ends) >= its_own)
    broken = [stream for stream, end in zip(running, ends, strict=True) if end.done()]
    assert len(broken) == its_own
    whole = [(type(stream).__name__, stream.text[-80:]) for stream in broken if not stream.broken]
    assert not whole, front.log.read_text()[-2000:]
    for stream in running:
        stream.close()
    await asyncio.gather(*ends)


async def ended(replicas: Replicas, front: Replicated, number: int) -> None:
    """A replica that ends gets nothing new; its streams go on to their end, event by event."""
    running = await asyncio.gather(*(Stream(front, PACED).begin() for _ in range(8)))
    assert all(b"message_stop" not in stream.text for stream in running), "events come as they are sent"
    ends = [asyncio.ensure_future(stream.end()) for stream in running]
    process = replicas.services[number].process
    process.send_signal(signal.SIGTERM)
    await served(front)
    assert all(stream.whole for stream in await asyncio.gather(*ends))
    assert await asyncio.to_thread(process.wait, 60) == 0


async def served(front: Replicated) -> None:
    """Every request is served now."""
    for _ in range(10):
        new = await asyncio.gather(*(Stream(front, MODEL).begin() for _ in range(3)))
        await asyncio.wait([asyncio.ensure_future(stream.end()) for stream in new], timeout=60)
        assert all(stream.whole for stream in new), [(one.status, one.broken, one.text) for one in new]
