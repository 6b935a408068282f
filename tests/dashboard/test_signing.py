"""Logins from the page, against the strict authorization server on a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor, threads
from twisted.logger import Logger, LogPublisher

from ampproxy.credentials.oauth.formats import KINDS
from ampproxy.dashboard import signing
from ampproxy.dashboard.signing import SignIns
from ampproxy.upstream.client import UpstreamClient
from tests.cli.test_login import get, world  # noqa: F401  the fixture
from tests.dashboard.owner import OwnersWorld, json_of
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback


class Logging:
    """The page of a gateway with the world's configuration, as its script sees it."""

    def __init__(self, world: Any) -> None:  # noqa: F811
        self.client = in_reactor(UpstreamClient, reactor, connect_timeout=5.0)
        log = Logger(namespace="ampproxy", observer=LogPublisher())
        runtime = SimpleNamespace(client=self.client, log=log)
        self.generation: Any = SimpleNamespace(config=world.config, runtime=runtime)
        self.signs = SignIns(reactor, lambda work: threads.deferToThread(work), time.time)

    def begin(self, kind: str, *, device: bool = False, local: bool = True) -> Any:
        in_reactor(self.signs.begin, self.generation, kind, device=device, local=local)
        return self.until("waiting", "done", "failed") if not device else self.signs.shown().sign_in

    def until(self, *states: str) -> Any:
        late = time.monotonic() + 60
        while (found := self.signs.shown().sign_in) is None or found.state not in states:
            assert time.monotonic() < late, found
            time.sleep(0.01)
        return found


@pytest.fixture
def logging_in(world: Any) -> Iterator[Logging]:  # noqa: F811
    made = Logging(world)
    yield made
    in_reactor(made.signs.cancel)
    in_reactor(made.client.close)


@pytest.mark.parametrize("kind", KINDS)
def test_by_browser(world: Any, logging_in: Logging, kind: str) -> None:  # noqa: F811
    """The browser opens the vendor's page and comes back to this machine; the login is in its file."""
    waiting = logging_in.begin(kind)
    _, headers, _ = get(waiting.url)
    assert "You are back" in get(headers["location"])[2]
    done = logging_in.until("done", "failed")
    assert done.state == "done", done.text
    (file,) = world.config.auth_dir.glob("*.json")
    login = world.store.read(file.name)
    assert world.server.knows(login.access_token)
    assert login.access_token not in repr(done)


def test_pasted(world: Any, logging_in: Logging) -> None:  # noqa: F811
    """A browser on another machine ends at an address that its user pastes; nothing listens for it."""
    waiting = logging_in.begin("claude", local=False)
    _, headers, _ = get(waiting.url)
    with pytest.raises(ConnectionRefusedError):
        get(headers["location"])
    in_reactor(logging_in.signs.finish, f" {headers['location']}\n")
    assert logging_in.until("done", "failed").state == "done"


def test_by_device(world: Any, logging_in: Logging) -> None:  # noqa: F811
    """The code is shown until it is typed; a vendor without such a flow says so."""
    with pytest.raises(Exception, match="no device flow"):
        logging_in.begin("claude", device=True)
    logging_in.begin("codex", device=True)
    late = time.monotonic() + 60
    while "type the code" not in (shown := logging_in.signs.shown().sign_in.text):  # type: ignore[union-attr]
        assert time.monotonic() < late
        time.sleep(0.01)
    assert "http" in shown


def test_what_is_pasted_is_wrong(world: Any, logging_in: Logging) -> None:  # noqa: F811
    """It is said what is wrong; the next attempt is free to begin."""
    logging_in.begin("claude", local=False)
    in_reactor(logging_in.signs.finish, "http://127.0.0.1:1/callback?code=x&state=y")
    assert logging_in.until("failed").text
    with pytest.raises(Exception, match="No login waits"):
        in_reactor(logging_in.signs.finish, "http://127.0.0.1:1/callback?code=x&state=y")
    assert logging_in.begin("claude", local=False).state == "waiting"


def test_given_up(world: Any, logging_in: Logging) -> None:  # noqa: F811
    """Another begins in its place, and its port is free."""
    logging_in.begin("claude")
    second = logging_in.begin("claude")
    _, headers, _ = get(second.url)
    assert get(headers["location"])[0] == 200
    assert logging_in.until("done", "failed").state == "done"


def test_late(world: Any, logging_in: Logging, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A browser that does not come back is waited for for a while only."""
    monkeypatch.setattr(signing, "CALLBACK_TIMEOUT", 0.05)
    logging_in.begin("claude")
    assert "did not come back" in logging_in.until("failed").text


def test_by_the_api() -> None:
    """What the page's script asks, and what is wrong with it."""
    gateway = OwnersWorld()
    assert {one["kind"] for one in json_of(gateway.call("logins"))["vendors"]} == set(KINDS)
    for path, body, words in (
        ("logins/begin", b"", "expected one of"),
        ("logins/begin?vendor=moon", b"", "expected one of"),
        ("logins/begin?vendor=claude&device=1", b"", "no device flow"),
        ("logins/finish", b"{}", "expected"),
        ("logins/finish", b'{"url": "x"}', "No login waits"),
        ("logins/finish", b'{"url": "' + b"x" * 20000 + b'"}', "larger than"),
    ):
        answer = gateway.call(path, "POST", body=body)
        assert answer.status in (400, 413)
        assert words in json_of(answer)["error"]
    assert json_of(gateway.call("logins/cancel", "POST", body=b""))["sign_in"] is None
