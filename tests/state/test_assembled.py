"""By what a service shares its state: nothing, what it is given, or what its configuration names."""

from __future__ import annotations

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, formatEvent

from ampproxy.assembly import Outside, assemble
from ampproxy.errors import ConfigError
from ampproxy.service import GatewayService
from ampproxy.state.shared import ALONE
from tests.state.bus import Bus
from tests.state.redis_server import RedisServer, Turned, needs_redis
from tests.test_secrets_in_force import TEXT, configured

STATE = "state: {url: 'redis://:canary-of-redis@127.0.0.1:1/0', when-away: fail-closed}\n"


def assembled(tmp_path, text=TEXT, **more):
    outside = Outside(
        reactor=MemoryReactorClock(), environ={}, home=tmp_path, observer=lambda event: None, **more
    )
    return assemble(configured(text, tmp_path), outside)


def test_by_default_nothing(tmp_path):
    """One process is alone; it reports nothing of what it does not do."""
    parts = assembled(tmp_path)
    assert parts.runtime.shared is ALONE
    assert parts.runtime.pool_state.sharing is None
    assert GatewayService(parts).status().shared is None


def test_by_what_it_is_given(tmp_path):
    """As a worker is by its supervisor."""
    view = Bus().view()
    parts = assembled(tmp_path, shared=view)
    assert parts.runtime.shared is view
    assert parts.runtime.pool_state.sharing is not None
    assert GatewayService(parts).status().shared.connected


def test_what_reaches_further_goes_before(tmp_path):
    """A worker of a machine among several shares with them all."""
    view = Bus().view()
    parts = assembled(tmp_path, TEXT + STATE, shared=view)
    shared = parts.runtime.shared
    assert shared is not view
    assert "127.0.0.1:1" in shared.refusal
    report = GatewayService(parts).status().shared
    assert (report.by, report.connected) == ("redis://127.0.0.1:1/0", False)
    assert "canary" not in repr(report)


def test_without_the_library(tmp_path, monkeypatch):
    """The service does not start, and names what is to be installed."""
    monkeypatch.setattr("ampproxy.state.library.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"state: needs a client library .*ampproxy\[redis\]"):
        assembled(tmp_path, TEXT + STATE)
    assembled(tmp_path)


@needs_redis
def test_what_is_learned_while_it_ends(tmp_path):
    """What was published right before the end reaches the others."""
    from ampproxy.state.redis.engine import RedisState

    server, loop = RedisServer(tmp_path).start(), Turned()
    events = []
    view = RedisState(server.settings(), loop, lambda: 0.0, Logger(observer=events.append))
    view.start()
    loop.until(lambda: view.connected)
    view.publish("pin", "a", b"1", 60.0)
    stopped = []
    view.stop().addCallback(stopped.append)
    loop.until(lambda: stopped)
    assert server.client().hexists("ampproxy:pin", "a")
    assert [formatEvent(event) for event in events] == [f"The state is shared by unix://{server.socket}?db=0"]
    server.kill()
