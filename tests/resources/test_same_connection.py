"""Requests one after another on a connection: what let the first in lets in no other that is not like it."""

from __future__ import annotations

import pytest

from tests.resources.harness import CLIENT_KEY, Connection, World
from tests.resources.test_client_rights import ACCOUNTS, KEY
from tests.resources.test_provider import ANSWER, JSON

CONFIG = f"api-keys: [{CLIENT_KEY}, {{name: ci, key: {KEY}}}]\n{ACCOUNTS}"
BODY = b'{"model":"claude-local","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


def ask(
    here: World, connection: Connection, *headers: str, query: str = "", key: str = CLIENT_KEY
) -> tuple[int, str]:
    """The status of one more request, and whose the log says that it was."""
    connection.transport.clear()
    lines = [
        f"POST /v1/messages{query} HTTP/1.1",
        f"Content-Length: {len(BODY)}",
        *([f"X-Api-Key: {key}"] if key else []),
        *(headers or ["Host: 127.0.0.1:8317"]),
    ]
    sent = len(here.client.sent)
    connection.send("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + BODY)
    if len(here.client.sent) > sent:
        here.client.sent[-1].respond_whole(200, ANSWER, JSON)
    return connection.status, here.exchanges[-1]["client"]


@pytest.fixture
def here() -> World:
    return World(CONFIG)


def opened(here: World) -> Connection:
    """A connection on which two requests with the first key were let in."""
    connection = here.connect()
    assert ask(here, connection)[0] == 200
    assert ask(here, connection)[0] == 200
    return connection


def test_another_key(here: World) -> None:
    """Each request is its own key's."""
    connection = opened(here)
    anybody = here.exchanges[-1]["client"]
    assert ask(here, connection, key=KEY) == (200, "ci")
    assert ask(here, connection, key=KEY) == (200, "ci")
    assert ask(here, connection) == (200, anybody)
    assert ask(here, connection, key="")[0] == 401
    assert ask(here, opened(here), key="no-key")[0] == 401


@pytest.mark.parametrize(
    "header", ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Host: evil.example"]
)
def test_a_page(here: World, header: str) -> None:
    """What only a foreign page would send is refused, whatever came before."""
    host = [] if header.startswith("Host") else ["Host: 127.0.0.1:8317"]
    assert ask(here, opened(here), header, *host)[0] == 403


@pytest.mark.parametrize("key", ["", "no-key"])
def test_a_key_in_the_query(here: World, key: str) -> None:
    """It lets in its own request alone."""
    connection = here.connect()
    assert ask(here, connection, query=f"?key={KEY}", key=key) == (200, "ci")
    assert ask(here, connection, key=key)[0] == 401


def test_another_configuration(here: World) -> None:
    """A key that was taken away lets nobody in any more; others go on."""
    connection, other = opened(here), opened(here)
    here.use(CONFIG.replace(f"{CLIENT_KEY}, ", ""))
    assert ask(here, connection)[0] == 401
    assert ask(here, other, key=KEY) == (200, "ci")


def test_an_end(here: World) -> None:
    """A key that expires does so on a connection that it has opened."""
    here.use(CONFIG.replace(f"key: {KEY}", f"key: {KEY}, expires: 2023-11-14T22:14Z"))
    connection = here.connect()
    assert ask(here, connection, key=KEY) == (200, "ci")
    here.wall += 60
    assert ask(here, connection, key=KEY)[0] == 401


@pytest.mark.parametrize("path", ["xv1/messages", "/v1/x/../messages"])
def test_an_odd_path(here: World, path: str) -> None:
    """One that does not begin with a slash, or that no two servers read alike."""
    connection = opened(here)
    connection.transport.clear()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8317\r\nX-Api-Key: {CLIENT_KEY}\r\n"
    connection.send(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    assert connection.status == 400
