"""The service's memory after many large exchanges that did not end well: it comes back, by itself and soon.

With ``AMPPROXY_LONG=1`` with more of them, and larger ones.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.process import Service

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells how much memory there is"),
]

LONG = bool(os.environ.get("AMPPROXY_LONG"))
MB = 1_000_000
#: How much more memory than before may be held, and how many seconds it has to come back.
SLACK, SOON = 60 * MB, 10
#: What is done -> how often, and the size of its questions.
SHORT = {"upload": (12, 10), "529": (12, 10), "500": (10, 10), "translated": (7, 10), "failover": (10, 10),
         "cut": (10, 10), "leave": (10, 10)}  # fmt: skip
FULL = {"upload": (50, 58), "529": (1000, 1), "500": (1000, 1), "translated": (300, 1), "failover": (1000, 1),
        "cut": (100, 10), "leave": (100, 10)}  # fmt: skip
#: What a client hears of each.
EXPECTED = {"529": b" 529 ", "500": b" 500 ", "translated": b" 500 ", "failover": b"message_stop",
            "cut": b"event: error", "leave": b"message_start"}  # fmt: skip
ERROR = b'{"type":"error","error":{"type":"api_error","message":"no"}}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BEGIN = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","model":"m",'
    b'"role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
)
END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":1}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)


class Vendor:
    """Reads whole questions, and answers by the model's name or by what it is for."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                while self._answer(client):
                    pass
            except OSError:
                pass

    def _answer(self, client: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65536)
            if not more:
                return False
            head += more
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        begin, left, buffer = body, length - len(body), bytearray(1 << 20)
        while left:
            taken = client.recv_into(buffer)
            if not taken:
                return False
            begin, left = begin or bytes(buffer[:taken]), left - taken
        model = begin.partition(b'"model":"')[2].partition(b'"')[0].decode()
        if model in ("cut", "leave") or (model == "failover" and b"good-key" in head):
            client.sendall(STREAM + BEGIN + (END if model == "failover" else b""))
            return model == "leave" and client.recv(1) != b""
        status = b"500 X" if model in ("500", "translated") else b"529 X"
        client.sendall(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(ERROR), ERROR)
        )
        return True

    def close(self) -> None:
        self._server.close()


class Clients:
    """What clients do."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def upload(self, megabytes: int) -> None:
        """Send a body and break it off."""
        with self._begin("upload", megabytes * MB + 1) as client:
            client.sendall(bytes(megabytes * MB))

    def ask(self, model: str, megabytes: int) -> bytes:
        """Ask for a stream and read all of it; of one that has no end only the beginning."""
        asked = b'{"model":"%b","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"%b"}]}'
        body = asked % (model.encode(), b"x" * (megabytes * MB))
        with self._begin(model, len(body)) as client:
            client.sendall(body)
            told = b""
            while (more := client.recv(65536)) and not (model == "leave" and b"message_start" in told + more):
                told += more
            return told + more

    def _begin(self, model: str, length: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._service.port), timeout=60)
        client.sendall(
            f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\nConnection: close\r\n"
            f"Content-Length: {length}\r\n\r\n".encode()
        )
        return client


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    vendor = Vendor()
    models = ", ".join(f"{{name: '{name}'}}" for name in SHORT if name not in ("upload", "translated"))
    text = f"""
port: 0
api-keys: [k]
disable-cooling: true
routing: {{strategy: fill-first, session-affinity: false}}
claude-api-key:
  - {{api-key: bad-key, base-url: "{vendor.url}", models: [{models}]}}
  - {{api-key: good-key, base-url: "{vendor.url}", models: [{{name: failover}}]}}
openai-compatibility:
  - name: chat
    base-url: "{vendor.url}/v1"
    api-key-entries: [{{api-key: chat-key}}]
    models: [{{name: translated}}]
"""
    running = Service(tmp_path, text)
    yield running
    running.stop()
    vendor.close()


def test_memory_comes_back(service: Service) -> None:
    """Broken uploads, failed exchanges, such that another account served, cut streams, clients that leave."""
    clients = Clients(service)

    def do(what: str, megabytes: int) -> None:
        if what == "upload":
            clients.upload(megabytes)
        else:
            assert EXPECTED[what] in clients.ask(what, megabytes)

    for what, (_, megabytes) in SHORT.items():
        do(what, megabytes)
    time.sleep(1)
    before = service.rss()
    grown = {}
    for what, (count, megabytes) in (FULL if LONG else SHORT).items():
        for _ in range(count):
            do(what, megabytes)
        until = time.monotonic() + SOON
        while (more := service.rss() - before) > SLACK and time.monotonic() < until:
            time.sleep(0.1)
        grown[what] = round(more / MB)
        assert more < SLACK, grown
    print(f"from {before / MB:.0f} MB by", grown)
