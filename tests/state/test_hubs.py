"""What every hub does, in memory and in Redis: keep the latest, let one claim win, number its locks."""

from __future__ import annotations

import time

import pytest

from ampproxy.model.sharing import RedisAddress, StateSettings
from ampproxy.state.entries import KINDS, Entry
from ampproxy.state.hub import Hub
from tests.state.redis_server import RedisServer, Turned, needs_redis


class InMemory:
    def __init__(self):
        self.hub = Hub({"cooldown": 3})

    def put(self, entry, exchanged=False):
        return self.hub.put(entry, time.monotonic(), exchanged=exchanged)

    def claim(self, entry):
        return self.hub.claim(entry, time.monotonic())[0]

    def entries(self):
        return [*self.hub.entries(time.monotonic())]

    def lock(self, name, ttl):
        return self.hub.lock(name, ttl, time.monotonic())

    def unlock(self, name, number):
        self.hub.unlock(name, number)

    def close(self):
        pass


class InRedis:
    """The scripts, run one by one as the engine runs them."""

    def __init__(self, server):
        from ampproxy.state.redis.engine import RedisLink, Sender

        self.server, self.known = server, []
        server.client().flushall()
        settings = StateSettings(url=RedisAddress(socket=server.socket), timeout=20.0)
        self.link = RedisLink(settings, Turned(), self, None)
        self.sender = Sender(settings)

    def _run(self, ask):
        results = []
        ask()
        command = self.link._commands.get_nowait()
        results = self.sender.run([command])
        return results[0]

    def put(self, entry, exchanged=False):
        return bool(self._run(lambda: self.link.put(entry, 0 if exchanged else 7)))

    def claim(self, entry):
        return self._run(lambda: self.link.claim(entry))

    def entries(self):
        client = self.server.client()
        found = []
        self.link._know = found.extend
        for kind in KINDS:
            self.link._read(client, kind)
        while not self.link._reactor.queued.empty():
            self.link._reactor.turn()
        return found

    def lock(self, name, ttl):
        return self._run(lambda: self.link.lock(name, ttl))

    def unlock(self, name, number):
        self._run(lambda: self.link.unlock(name, number))

    def close(self):
        self.sender.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
def hub(request, monkeypatch):
    if request.param == "memory":
        made = InMemory()
    else:
        few = {"cooldown": 3, "affinity": 100_000}
        monkeypatch.setattr("ampproxy.state.redis.commands.KINDS", few)
        made = InRedis(request.getfixturevalue("server"))
    yield made
    made.close()


def known(hub):
    return {entry.key: entry.value for entry in hub.entries()}


def test_the_latest_of_each_key(hub):
    """Whatever bytes a value has; an end is kept as well, and all of them have a time and an age."""
    value = bytes(range(256)) + b" 1 2 "
    assert hub.put(Entry("cooldown", "a", b"1", 60.0))
    assert hub.put(Entry("cooldown", "a", value, 60.0))
    assert hub.put(Entry("cooldown", "ü\0", None, 60.0))
    assert hub.put(Entry("affinity", "c", b"", 60.0))
    assert known(hub) == {"a": value, "ü\0": None, "c": b""}
    assert all(50 < entry.ttl <= 60 and 0 <= entry.age < 10 for entry in hub.entries())


def test_they_end(hub):
    """After its time an entry is not there any more, and can be claimed."""
    hub.put(Entry("cooldown", "a", b"1", 0.05))
    hub.put(Entry("cooldown", "b", b"1", 60.0))
    time.sleep(0.06)
    assert known(hub) == {"b": b"1"}
    assert hub.claim(Entry("cooldown", "a", b"2", 60.0)) == b"2"


def test_an_exchange_leaves_what_is_younger(hub):
    """The same value is prolonged, an older one dropped, a younger one kept."""
    hub.put(Entry("cooldown", "a", b"1", 60.0))
    assert not hub.put(Entry("cooldown", "a", b"0", 60.0, age=30.0), exchanged=True)
    assert not hub.put(Entry("cooldown", "a", b"1", 600.0, age=30.0), exchanged=True)
    (entry,) = hub.entries()
    assert (entry.value, entry.ttl > 500, entry.age < 10) == (b"1", True, True)
    hub.put(Entry("cooldown", "b", b"1", 60.0, age=100.0), exchanged=True)
    assert hub.put(Entry("cooldown", "b", b"2", 60.0, age=50.0), exchanged=True)
    assert known(hub) == {"a": b"1", "b": b"2"}


def test_what_is_published_always_counts(hub):
    """It is the latest by the hub's order, and is sent to all though it has the value that is there."""
    assert hub.put(Entry("cooldown", "a", b"1", 60.0))
    assert hub.put(Entry("cooldown", "a", b"1", 60.0))


def test_of_too_many_some_go(hub):
    """A kind does not grow beyond its bound."""
    for number in range(5):
        hub.put(Entry("cooldown", str(number), b"1", 60.0 + number))
    assert sorted(known(hub)) == ["2", "3", "4"]


def test_a_claim_has_one_winner(hub):
    """The first; a tombstone is none."""
    assert hub.claim(Entry("affinity", "a", b"1", 60.0)) == b"1"
    assert hub.claim(Entry("affinity", "a", b"2", 600.0)) == b"1"
    (entry,) = hub.entries()
    assert entry.ttl > 500
    hub.put(Entry("affinity", "a", None, 60.0))
    assert hub.claim(Entry("affinity", "a", b"3", 60.0)) == b"3"


def test_locks(hub):
    """One holder at a time; the numbers grow; a lock whose time is over is another's, who keeps it."""
    first = hub.lock("l", 1.0)
    assert hub.lock("l", 60.0) is None
    other = hub.lock("m", 60.0)
    deadline = time.monotonic() + 60
    while (second := hub.lock("l", 60.0)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert first < other < second
    hub.unlock("l", first)
    assert hub.lock("l", 60.0) is None
    hub.unlock("l", second)
    assert hub.lock("l", 60.0) > second


def test_many_entries_are_read_in_pages(hub):
    """All of them, each once."""
    for number in range(1200):
        hub.put(Entry("affinity", str(number), b"1", 60.0))
    entries = hub.entries()
    assert len(entries) == len({entry.key for entry in entries}) == 1200


@needs_redis
def test_nothing_stays_in_redis(server):
    """Every key has an end, so that a gateway that is given up leaves nothing behind, and has the prefix."""
    hub = InRedis(server)
    hub.put(Entry("cooldown", "a", b"1", 60.0))
    hub.claim(Entry("affinity", "a", b"1", 60.0))
    hub.lock("l", 60.0)
    client = server.client()
    keys = client.keys("*")
    lasting = [key for key in keys if client.ttl(key) < 0]
    assert all(key.startswith(b"ampproxy:") for key in keys)
    assert lasting == []
    hub.close()
