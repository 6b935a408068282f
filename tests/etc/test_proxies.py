"""nginx and HAProxy, configured as ``etc/`` says, in front of a gateway: streams, uploads, WebSockets."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from twisted.internet import reactor
from websockets.asyncio.client import connect

from ampproxy.config.load import parse
from ampproxy.tap import build
from ampproxy.testing import amp, anthropic
from tests.etc import ETC
from tests.loopback.sockets import Sockets
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting

pytestmark = pytest.mark.loopback

NAME = "amp.example.com"
MODEL = "claude-sonnet-4-5"
HANGS = f"{MODEL}+hang=stream"
KEY = {"X-Api-Key": "client-key"}
BIG = 50 * 1024 * 1024
#: Replicas.
NAMES = ("one", "two", "three")


class Front:
    """A proxy in front of one port, under TLS; its own port is held by us, so that nobody takes it."""

    def __init__(self, kind: str, gateway: int, folder: Path, authority: trustme.CA) -> None:
        folder.mkdir()
        issued = authority.issue_cert(NAME, "127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.context)
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self.log = folder / "log"
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        self.port = listening.getsockname()[1]
        command, environ = getattr(self, f"_{kind}")(folder, gateway, listening.fileno())
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **environ},
                pass_fds=[listening.fileno()],
            )
        listening.close()

    def _nginx(self, folder: Path, gateway: int, descriptor: int) -> tuple[list[str], dict[str, str]]:
        text = (ETC / "nginx" / "ampproxy.conf").read_text()
        old = "server 127.0.0.1:8317;"
        assert text.count(old) == 1, old
        return self._nginx_of(text.replace(old, f"server 127.0.0.1:{gateway};"), folder, descriptor)

    def _nginx_of(self, text: str, folder: Path, descriptor: int) -> tuple[list[str], dict[str, str]]:
        for old, new in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (f"/etc/ssl/certs/{NAME}.pem", f"{folder}/both.pem"),
            (f"/etc/ssl/private/{NAME}.key", f"{folder}/both.pem"),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "ampproxy.conf").write_text(text)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log stderr; {user} events {{}}\n"
            f"http {{ access_log off; {temporary} include {folder}/ampproxy.conf; }}\n"
        )
        command = [program("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
        return command, {"NGINX": f"{descriptor};"}

    def _haproxy(self, folder: Path, gateway: int, descriptor: int) -> tuple[list[str], dict[str, str]]:
        text = (ETC / "haproxy" / "ampproxy.cfg").read_text()
        old = "127.0.0.1:8317"
        assert text.count(old) == 1, old
        return self._haproxy_of(text.replace(old, f"127.0.0.1:{gateway}"), folder, descriptor)

    def _haproxy_of(self, text: str, folder: Path, descriptor: int) -> tuple[list[str], dict[str, str]]:
        for old, new in (
            ("bind :443 ", f"bind fd@{descriptor} "),
            (f"/etc/haproxy/certs/{NAME}.pem", f"{folder}/both.pem"),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "haproxy.cfg").write_text(f"global\n    maxconn 1000\n\n{text}")
        return [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")], {}

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.context)

    def await_ready(self) -> None:
        """Wait until it answers with what the gateway says."""

        def answers() -> bool:
            try:
                connection = self.connect()
                connection.request("GET", "/healthz", headers={"Host": NAME})
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                assert self.process.poll() is None, self.log.read_text()
                return False

        until(answers)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class Replicated(Front):
    """A proxy in front of three ports, as ``etc/`` has it for replicas."""

    def __init__(self, kind: str, ports: list[int], folder: Path, authority: trustme.CA) -> None:
        self._ports = ports
        super().__init__(kind, 0, folder, authority)

    def _nginx(self, folder: Path, gateway: int, descriptor: int) -> tuple[list[str], dict[str, str]]:
        text = (ETC / "nginx" / "replicas.conf").read_text()
        for number, port in enumerate(self._ports, 11):
            text = _replaced(text, f"10.0.0.{number}:8317", f"127.0.0.1:{port}")
        made = self._nginx_of(text, folder, descriptor)
        # HTTP/2 as well, to whoever asks for it.
        path = folder / "ampproxy.conf"
        path.write_text(_replaced(path.read_text(), " ssl;", " ssl http2;"))
        return made

    def _haproxy(self, folder: Path, gateway: int, descriptor: int) -> tuple[list[str], dict[str, str]]:
        text = (ETC / "haproxy" / "replicas.cfg").read_text()
        # Checks come sooner, for the test's sake.
        text = _replaced(text, "inter 2s fastinter 500ms", "inter 500ms fastinter 200ms")
        command, environ = self._haproxy_of(text, folder, descriptor)
        pairs = zip(NAMES, self._ports, strict=True)
        servers = {f"REPLICA_{name.upper()}": f"127.0.0.1:{port}" for name, port in pairs}
        return command, {**environ, **servers}


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def program(name: str) -> str:
    """Where a daemon is; Debian's are not on everybody's path."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)


class House:
    """Two gateways, for their upstreams differ: one with stand-ins, one with a WebSocket server."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(context)
        self.sockets = Sockets(context)
        self.folder = folder
        in_reactor(self._start)
        self.ports = [service.ports[0].getHost().port for service in self.services]

    async def _start(self) -> None:
        self.vendor = await anthropic.start(reactor, keys=["vendor-key"])
        self.upstream = await amp.start(reactor, keys=["amp-key"])
        models = [{"name": MODEL}, {"name": HANGS}]
        account = {"api-key": "vendor-key", "base-url": self.vendor.url, "models": models}
        urls = (self.upstream.url, f"https://localhost:{self.sockets.port}")
        self.services = []
        for url in urls:
            values = {
                "port": 0,
                "api-keys": ["client-key"],
                "allowed-hosts": [NAME],
                "claude-api-key": [account],
                # A stream that hangs shows a client its first events after so long.
                "streaming": {"keepalive-seconds": 1, "websockets": True},
                "ampcode": {"upstream-url": url, "upstream-api-key": "amp-key"},
            }
            config = parse(
                json.dumps(values), name="c", environ={}, home=self.folder, read_secret=lambda path: ""
            )
            service = build(
                config, reactor, environ={}, policy=Trusting(self.authority), observer=lambda _: None
            )
            await service.listen()
            self.services.append(service)

    def stop(self) -> None:
        for service in self.services:
            in_reactor(service.stopService)
        in_reactor(self.vendor.stop)
        in_reactor(self.upstream.stop)
        self.sockets.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("house"))
    yield made
    made.stop()


@pytest.fixture(scope="module", params=["nginx", "haproxy", "nginx-replicas", "haproxy-replicas"])
def fronts(
    house: House, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Front]]:
    """The proxy in front of each of the two gateways."""
    kind, _, replicas = request.param.partition("-")
    program(kind)
    folder = tmp_path_factory.mktemp(request.param)
    running = [
        Replicated(kind, [port] * 3, folder / str(number), house.authority)
        if replicas
        else Front(kind, port, folder / str(number), house.authority)
        for number, port in enumerate(house.ports)
    ]
    try:
        for front in running:
            front.await_ready()
        yield running
    finally:
        for front in running:
            front.stop()


def ask(front: Front, model: str) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
    connection = front.connect()
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    connection.request("POST", "/v1/messages", json.dumps(body), {**KEY, "Host": NAME})
    return connection, connection.getresponse()


def test_stream(house: House, fronts: list[Front]) -> None:
    """The first events arrive though the vendor never sends another: nothing on the way gathers them. When
    the client leaves, the vendor's connection is closed.
    """
    connection, answer = ask(fronts[0], HANGS)
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/event-stream")
    assert answer.readline().startswith(b"event: message_start")
    recorded = house.vendor.requests[-1]
    assert not recorded.finished
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    answer.close()
    until(lambda: recorded.closed_by_client)


def test_stream_to_its_end(fronts: list[Front]) -> None:
    """Whole, uncompressed although the client would take it compressed."""
    connection = fronts[0].connect()
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {**KEY, "Host": NAME, "Accept-Encoding": "gzip"}
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.headers["Content-Encoding"] is None
    assert answer.read().count(b"event: message_stop") == 1


def test_upload(house: House, fronts: list[Front]) -> None:
    """50 MB arrive byte for byte. The client is on this machine and the proxy says so, so it may."""
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256(piece * (BIG // len(piece))).hexdigest()
    connection = fronts[0].connect()
    pieces = (piece for _ in range(BIG // len(piece)))
    headers = {**KEY, "Host": NAME, "Content-Length": str(BIG)}
    connection.request("POST", "/api/attachments", pieces, headers)
    assert json.loads(connection.getresponse().read())["result"] == {"bytes": BIG, "sha256": digest}
    assert "x-forwarded-for" not in house.upstream.requests[-1].headers


def test_socket(fronts: list[Front]) -> None:
    """A WebSocket is upgraded through both, and talks both ways."""

    async def work() -> None:
        url = f"wss://127.0.0.1:{fronts[1].port}/actors/gateway/a/websocket/?x=1"
        async with connect(url, ssl=fronts[1].context, proxy=None, max_size=None) as opened:
            for message in ("hello", os.urandom(100_000), "x" * 100_000):
                await opened.send(message)
                assert await opened.recv() == message
            await opened.send("ping me")
            assert await opened.recv() == "you are"

    asyncio.run(asyncio.wait_for(work(), 30))


def test_socket_of_models(fronts: list[Front]) -> None:
    """Likewise one for requests to models, each of which is answered event by event."""

    async def work() -> None:
        url = f"wss://127.0.0.1:{fronts[0].port}/v1/responses"
        key = {"Authorization": "Bearer client-key"}
        async with connect(url, ssl=fronts[0].context, proxy=None, additional_headers=key) as opened:
            for _ in range(2):
                await opened.send(json.dumps({"type": "response.create", "model": MODEL, "input": "hi"}))
                kinds = [json.loads(await opened.recv())["type"]]
                while kinds[-1] != "response.completed":
                    kinds.append(json.loads(await opened.recv())["type"])
                assert kinds[0] == "response.created"
                assert "response.output_text.delta" in kinds

    asyncio.run(asyncio.wait_for(work(), 30))


@pytest.mark.parametrize("lie", [{"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {}])
def test_nobody_says_who_he_is(fronts: list[Front], lie: dict[str, str]) -> None:
    """What a client says of its address does not pass; what is true does, so it is local here."""
    connection = fronts[0].connect()
    connection.request("GET", "/ampproxy/accounts", headers={**KEY, "Host": NAME, **lie})
    assert connection.getresponse().status == 200
    connection = fronts[0].connect()
    strange = dict.fromkeys(lie, "203.0.113.9")
    connection.request("GET", "/ampproxy/accounts", headers={**KEY, "Host": NAME, **strange})
    assert connection.getresponse().status == 200


def test_other_names(fronts: list[Front]) -> None:
    """The name that the client used reaches the gateway, which knows its own."""
    connection = fronts[0].connect()
    connection.request("GET", "/v1/models", headers={**KEY, "Host": "other.example.com"})
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"allowed-hosts" in answer.read()
