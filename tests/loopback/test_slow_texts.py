"""Requests made up to be slow to look at, to log or to refuse: everybody else is served meanwhile."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.clocked import TRIES
from tests.loopback.process import Service

pytestmark = pytest.mark.loopback

CONFIG = """
port: 0
metrics: {enable: false}
api-keys: [a-client-key-0123456789]
claude-api-key: [{api-key: an-account-key, base-url: "http://127.0.0.1:9", models: [{name: claude-x}]}]
"""
#: Seconds for which they are sent.
TIME = 2.5
#: Characters of a path or a header, below ``limits.max-header-bytes``.
SIZE = 60_000
WORDS = (b"-eyJ", b"key=", b"bearer%20", b"://a:", b"model/", b"%1b", b"/..", b"\xc3\xa9-")


def heads() -> list[bytes]:
    """Long paths, queries and headers, let in and refused."""
    made = []
    for word in WORDS:
        long = word * (SIZE // len(word))
        made += [
            b"GET /x" + long + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET /x?" + long + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET /api/x" + long + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            b"GET /v1beta/models/" + long + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"X-Api-Key: a-client-key-0123456789\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: " + long.replace(b"/", b"") + b"\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: " + long + b"\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + long + b"\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://" + long + b"\r\n\r\n",
        ]
    return made


def test_nobody_waits(tmp_path: Path) -> None:
    """``/healthz`` is answered at once while four clients send nothing but such requests."""
    service = Service(tmp_path, CONFIG)
    answered: list[bytes] = []
    try:
        for _ in range(TRIES):
            waits = waited(service, answered)
            slow = waits[int(len(waits) * 0.99)]
            if slow < 0.5:
                break
    finally:
        service.stop()
    assert slow < 0.5, waits[-5:]
    assert len(answered) > 64
    assert all(answer.startswith(b"HTTP/1.1 4") for answer in answered), set(answered)
    assert "Traceback" not in service.log_text


def waited(service: Service, answered: list[bytes]) -> list[float]:
    """How long each ``/healthz`` took for some time, in their order.

    :param answered: takes what the clients were told.
    """
    end = time.monotonic() + TIME

    def send(first: int) -> None:
        made = heads()
        for head in itertools.cycle(made[first:] + made[:first]):
            if time.monotonic() > end:
                return
            with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
                client.sendall(head)
                answered.append(client.recv(12))

    senders = [threading.Thread(target=send, args=(number * 16,)) for number in range(4)]
    for sender in senders:
        sender.start()
    waits = []
    while time.monotonic() < end:
        began = time.monotonic()
        connection = service.connect()
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        waits.append(time.monotonic() - began)
        time.sleep(0.005)
    for sender in senders:
        sender.join(60)
    return sorted(waits)
