"""Vendors are asked for their models, in memory: what the catalog shows, what is logged, what is kept."""

from __future__ import annotations

import json
import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent
from twisted.python.failure import Failure

from ampproxy.config.load import parse
from ampproxy.providers import PROVIDERS
from ampproxy.relay.discovery import AT_ONCE, FIRST_RETRY, INTERVAL, TIMEOUT, Discovery
from ampproxy.relay.model_cache import ModelCache, cache_folder
from tests.resources.harness import FakeClient
from tests.state.bus import Bus

KEY = "canary-key-77aa"
ONE = f"claude-api-key: [{{api-key: {KEY}, base-url: 'http://a.test'}}]"


def anthropic(*names, more=False):
    last = names[-1] if names else None
    return json.dumps({"data": [{"id": name} for name in names], "has_more": more, "last_id": last}).encode()


def openai(*names):
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()


class World:
    """A discovery with everything around it."""

    def __init__(self, text=ONE, folder=None, start=1_700_000_000.0, bus=None):
        self.clock = Clock() if bus is None else bus.clock
        self.client = FakeClient()
        self.events = []
        self.changes = 0
        self.discovery = Discovery(
            self.client, self.clock, ModelCache(folder),
            Logger(namespace="ampproxy", observer=self.events.append),
            wall=lambda: start + self.clock.seconds(), random=lambda: 0.5,
        )  # fmt: skip
        if bus is not None:
            self.view = bus.view(open=False)
            self.discovery.share(self.view)
        self.read(text)

    def read(self, text):
        self.config = parse(
            text, name="c", environ={}, home=Path("/nonexistent"), read_secret=lambda path: ""
        )

    def configure(self, text, **how):
        self.read(text)
        providers = {account.label: PROVIDERS[account.kind](account) for account in self.config.accounts}
        self.discovery.watch(self.config, providers, self._changed, **how)

    def _changed(self):
        self.changes += 1

    @property
    def models(self):
        return self.discovery.models(self.config.accounts)

    @property
    def log(self):
        return [formatEvent(event) for event in self.events]

    @property
    def open(self):
        return [sent for sent in self.client.sent if not sent.answer.called]

    def answer(self, body, code=200):
        self.open[0].respond_whole(code, body)
        self.clock.advance(0.5)


def begun(text=ONE, **others):
    world = World(text, **others)
    world.configure(text)
    return world


def test_list_is_found():
    """The vendor is asked at the start; its answer is the account's list of models."""
    world = begun()
    (sent,) = world.client.sent
    assert (sent.method, sent.url) == ("GET", "http://a.test/v1/models?limit=1000")
    assert sent.header("x-api-key") == [KEY]
    assert sent.body == b""
    assert world.models == {}
    world.answer(anthropic("claude-x", "claude-y"))
    assert world.models == {"claude-api-key[0]": ("claude-x", "claude-y")}
    assert world.changes == 1
    assert world.log == ["claude-api-key[0]: its vendor lists 2 models"]


def test_pages():
    """A list in parts is asked for until its end."""
    world = begun()
    world.answer(anthropic("claude-x", more=True))
    assert world.client.sent[1].url == "http://a.test/v1/models?limit=1000&after_id=claude-x"
    assert world.models == {}
    world.answer(anthropic("claude-y"))
    assert world.models == {"claude-api-key[0]": ("claude-x", "claude-y")}
    assert world.changes == 1


def test_list_without_an_end():
    """A vendor whose list goes in a circle, or on for ever, is not asked for ever."""
    circle = begun()
    circle.answer(anthropic("claude-x", more=True))
    circle.answer(anthropic("claude-x", more=True))
    assert circle.models == {"claude-api-key[0]": ("claude-x",)}
    endless = begun()
    for number in range(40):
        if endless.open:
            endless.answer(anthropic(f"claude-{number}", more=True))
    assert len(endless.client.sent) == 20
    assert len(endless.models["claude-api-key[0]"]) == 20


def test_who_is_asked():
    """Only accounts that name no models, at vendors that have a list; through their own proxies."""
    world = begun("""
proxy-url: http://proxy.test:1
claude-api-key:
  - {api-key: k1, base-url: "http://a.test", models: [{name: claude-x}]}
  - {api-key: k2, base-url: "http://b.test", proxy-url: direct}
vertex-api-key: [{api-key: k3, base-url: "http://c.test"}]
openai-compatibility:
  - {name: local, base-url: "http://d.test/v1", api-key-entries: [{api-key: k4}]}
""")
    assert {(sent.url, sent.proxy) for sent in world.client.sent} == {
        ("http://b.test/v1/models?limit=1000", "direct"),
        ("http://d.test/v1/models", "http://proxy.test:1"),
    }


def test_hourly():
    """Each list is refreshed every hour; one that stayed the same makes no noise and no new catalog."""
    world = begun()
    world.answer(anthropic("claude-x"))
    for _ in range(3):
        world.clock.advance(INTERVAL - 10)
        assert not world.open
        world.clock.advance(20)
        world.answer(anthropic("claude-x"))
    assert len(world.client.sent) == 4
    assert (world.changes, len(world.log)) == (1, 1)
    world.clock.advance(INTERVAL)
    world.answer(anthropic("claude-new"))
    assert world.models == {"claude-api-key[0]": ("claude-new",)}
    assert world.changes == 2


@pytest.mark.parametrize(
    ("fail", "says"),
    [
        (
            lambda world: world.answer(b"no", 404),
            "http://a.test/v1/models answered with status 404.",
        ),
        (lambda world: world.answer(b"", 302), "http://a.test/v1/models answered with status 302."),
        (
            lambda world: world.answer(b"<html>"),
            "http://a.test/v1/models did not return a list of models.",
        ),
        (
            lambda world: world.open[0].answer.errback(Failure(ConnectionRefusedError())),
            "a.test refused the connection.",
        ),
        (lambda world: world.clock.advance(TIMEOUT + 1), "a.test did not answer in time."),
        (
            lambda world: (world.open[0].respond(), world.clock.advance(TIMEOUT + 1)),
            "a.test did not answer in time.",
        ),
    ],
    ids=["status", "redirect", "page", "refused", "silent", "stalled"],
)
def test_failure_keeps_the_list(fail, says):
    """A vendor that cannot be asked changes nothing; the log says so once, not at each hour."""
    world = begun()
    world.answer(anthropic("claude-x"))
    world.clock.advance(INTERVAL)
    fail(world)
    assert world.models == {"claude-api-key[0]": ("claude-x",)}
    told = f"claude-api-key[0]: could not fetch the model list: {says} The last list stays."
    assert world.log[1:] == [told]
    assert list(world.discovery.failures()) == [("claude-api-key[0]", says)]
    world.clock.advance(FIRST_RETRY)
    fail(world)
    assert world.log[1:] == [told]
    world.clock.advance(2 * FIRST_RETRY)
    world.answer(anthropic("claude-x"))
    assert list(world.discovery.failures()) == []
    world.clock.advance(INTERVAL)
    fail(world)
    assert world.log[1:] == [told, told]
    assert world.changes == 1


def test_failures_are_asked_again_soon_but_not_often():
    """A server that starts later is found within minutes; one that never comes is asked hourly."""
    world = begun()
    times = []
    for _ in range(12 * 60):
        if world.open:
            times.append(round(world.clock.seconds() / 60))
            world.open[0].answer.errback(Failure(ConnectionRefusedError()))
        world.clock.advance(60)
    assert times[:5] == [0, 1, 3, 7, 15]
    assert {later - earlier for earlier, later in pairwise(times[6:])} <= {60, 61}


def test_few_at_once():
    """However many accounts there are, few are asked at a time; waiting does not count as silence."""
    keys = "".join(f"\n  - {{api-key: k{number}, base-url: 'http://a.test'}}" for number in range(10))
    world = begun("claude-api-key:" + keys)
    assert len(world.client.sent) == AT_ONCE
    world.clock.advance(TIMEOUT - 1)
    world.answer(anthropic("claude-x"))
    assert len(world.client.sent) == AT_ONCE + 1
    world.clock.advance(1)
    while world.open:
        world.answer(anthropic("claude-x"))
    assert len(world.client.sent) == 10
    assert len(world.models) == 10 - (AT_ONCE - 1)


def test_one_key_twice_is_asked_once():
    """Two entries with one key at one vendor have one list."""
    world = begun(ONE[:-1] + f", {{api-key: {KEY}, base-url: 'http://a.test', prefix: p}}]")
    assert len(world.client.sent) == 1
    world.answer(anthropic("claude-x"))
    assert world.models == dict.fromkeys(("claude-api-key[0]", "claude-api-key[1]"), ("claude-x",))


def test_answers_together():
    """Answers that come together make one new catalog."""
    world = begun(ONE[:-1] + ", {api-key: k2, base-url: 'http://b.test'}]")
    for sent in world.open:
        sent.respond_whole(200, anthropic("claude-x"))
    world.clock.advance(1)
    assert (len(world.models), world.changes) == (2, 1)


def test_reload():
    """After a reload the accounts that stayed keep their lists and times, wherever they stand now; those
    that went are asked no more, new ones at once; asked ``again``, all are."""
    world = begun()
    world.answer(anthropic("claude-x"))
    both = "claude-api-key: [{api-key: k2, base-url: 'http://b.test'}, " + ONE.partition("[")[2]
    world.configure(both)
    assert [sent.url for sent in world.open] == ["http://b.test/v1/models?limit=1000"]
    assert world.models == {"claude-api-key[1]": ("claude-x",)}
    world.configure(ONE)
    assert [sent.cancelled for sent in world.client.sent] == [False, True]
    world.clock.advance(INTERVAL)
    assert [sent.url for sent in world.client.sent[2:]] == ["http://a.test/v1/models?limit=1000"]
    world.answer(anthropic("claude-x"))
    world.configure(ONE, again=True)
    assert len(world.client.sent) == 4
    world.configure(ONE, again=True)
    assert len(world.client.sent) == 4, "it is being asked already"
    world.answer(anthropic("claude-z"))
    world.clock.advance(INTERVAL * 0.9)
    assert len(world.client.sent) == 4, "one timer an account"


def test_stop():
    """After the end nobody is asked, and nothing is left on the clock."""
    world = begun(
        ONE[:-1] + ", {api-key: k2, base-url: 'http://b.test'}, {api-key: k3, base-url: 'http://c.test'}]"
    )
    for sent in world.open[:2]:
        sent.respond_whole(200, anthropic("claude-x"))
    world.discovery.stop()
    assert world.client.sent[2].cancelled
    assert world.clock.getDelayedCalls() == []
    assert not any("fail" in line or "could not" in line for line in world.log)


def test_settled():
    """One can wait for all that is being asked, well or ill."""
    world = begun(ONE[:-1] + ", {api-key: k2, base-url: 'http://b.test'}]")
    done = []
    world.discovery.settled().addCallback(done.append)
    world.answer(anthropic("claude-x"))
    assert not done
    world.answer(b"", 500)
    assert done


def test_kept_on_disk(tmp_path):
    """At the next start the lists are there at once, and a vendor that was asked lately is not asked."""
    folder = tmp_path / "deep" / "cache"
    world = begun(folder=folder)
    world.answer(anthropic("claude-x"))
    world.discovery.stop()
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert KEY not in file.read_text()

    soon = begun(folder=folder, start=1_700_000_000.0 + 600)
    assert soon.models == {"claude-api-key[0]": ("claude-x",)}
    assert soon.client.sent == []
    soon.clock.advance(INTERVAL - 600)
    assert len(soon.client.sent) == 1
    late = begun(folder=folder, start=1_700_000_000.0 + 2 * INTERVAL)
    assert late.models == {"claude-api-key[0]": ("claude-x",)}
    assert len(late.client.sent) == 1


def test_end_right_after_an_answer(tmp_path):
    """What was found in the last moment is kept, too."""
    world = begun(folder=tmp_path)
    world.open[0].respond_whole(200, anthropic("claude-x"))
    world.discovery.stop()
    assert World(folder=tmp_path).models == {"claude-api-key[0]": ("claude-x",)}


def test_two_processes(tmp_path):
    """Two services with one cache keep each other's lists."""
    begun(folder=tmp_path).answer(anthropic("claude-x"))
    second = "claude-api-key: [{api-key: k2, base-url: 'http://b.test'}]"
    first, other = begun(folder=tmp_path), begun(second, folder=tmp_path)
    other.answer(anthropic("claude-y"))
    first.clock.advance(INTERVAL)
    first.answer(anthropic("claude-z"))
    assert World(second, folder=tmp_path).models == {"claude-api-key[0]": ("claude-y",)}
    assert World(folder=tmp_path, start=1_700_000_000.0 + 2 * INTERVAL).models == {
        "claude-api-key[0]": ("claude-z",)
    }


def test_damaged_file(tmp_path):
    """A damaged cache is as good as none."""
    (tmp_path / "models.json").write_bytes(b"{\x00")
    world = begun(folder=tmp_path)
    assert world.models == {}
    world.answer(anthropic("claude-x"))
    assert World(folder=tmp_path).models == {"claude-api-key[0]": ("claude-x",)}


def test_disk_that_takes_nothing(tmp_path):
    """Where nothing can be written the service works all the same, and says so once."""
    (tmp_path / "file").write_text("")
    world = begun(folder=tmp_path / "file" / "cache")
    for _ in range(3):
        world.answer(anthropic("claude-x"))
        world.clock.advance(INTERVAL)
    assert world.models == {"claude-api-key[0]": ("claude-x",)}
    assert len([line for line in world.log if "cannot be written to" in line]) == 1


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """A write that fails half-way leaves the file as it was, and no other file."""
    begun(folder=tmp_path).answer(anthropic("claude-x"))
    before = (tmp_path / "models.json").read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    world = begun(folder=tmp_path, start=1_700_000_000.0 + 2 * INTERVAL)
    world.answer(anthropic("claude-y"))
    assert os.listdir(tmp_path) == ["models.json"]
    assert (tmp_path / "models.json").read_bytes() == before


def test_cache_folder():
    """systemd's, ``XDG_CACHE_HOME``, or ``~/.cache``; a relative one does not count."""
    home = Path("/home/u")
    assert cache_folder({}, home) == Path("/home/u/.cache/ampproxy")
    assert cache_folder({"XDG_CACHE_HOME": "/var/c"}, home) == Path("/var/c/ampproxy")
    assert cache_folder({"XDG_CACHE_HOME": "c"}, home) == Path("/home/u/.cache/ampproxy")
    systemd = {"CACHE_DIRECTORY": "/var/cache/ampproxy:/var/cache/other", "XDG_CACHE_HOME": "/var/c"}
    assert cache_folder(systemd, home) == Path("/var/cache/ampproxy")


def test_what_one_process_was_given_all_have():
    """The same account has the same list in all, also in one that starts later, or that gets no answer."""
    bus = Bus()
    one, two = World(bus=bus), World(bus=bus)
    for world in (one, two):
        world.view.wire.open()
        world.configure(ONE)
    one.answer(anthropic("claude-x", "claude-y"))
    bus.settle()
    bus.clock.advance(0.5)
    two.open[0].answer.errback(Failure(ConnectionRefusedError()))
    assert two.models == one.models == {"claude-api-key[0]": ("claude-x", "claude-y")}
    assert two.changes == 1
    late = World("port: 1\n" + ONE.replace(KEY, "other"), bus=bus)
    late.configure(ONE)
    late.view.wire.open()
    assert late.models == one.models
    assert KEY not in repr([*bus.hub.entries(bus.clock.seconds())])


def test_the_later_list_counts():
    """Whichever process was given it; another account is not concerned."""
    bus = Bus()
    two_accounts = ONE[:-1] + ", {api-key: canary-other, base-url: 'http://b.test'}]"
    one, two = World(two_accounts, bus=bus), World(two_accounts, bus=bus)
    for world in (one, two):
        world.view.wire.open()
        world.configure(two_accounts)
    one.answer(anthropic("claude-x"))
    one.answer(anthropic("claude-b"))
    bus.clock.advance(1)
    two.answer(anthropic("claude-z"))
    bus.settle()
    assert (
        one.models == two.models == {"claude-api-key[0]": ("claude-z",), "claude-api-key[1]": ("claude-b",)}
    )
    two.view.publish("models", "claude-api-key#00000000", b"\xc1", 60.0)
    bus.settle()
    assert one.models == two.models
