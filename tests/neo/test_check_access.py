"""Amp's own requests to one model of each connection (``check-access``), against its strict stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from ampproxy.amp.connections import CUSTOM_URL
from ampproxy.cli import neo_steps
from ampproxy.cli.neo_steps import check_access
from ampproxy.desktop.neo.account import AmpAccount, AmpRefused
from ampproxy.testing.amp_cloud import AmpCloud, CloudError, Connection

THREAD = "T-11111111-2222-3333-4444-555555550001"


class World:
    """An account at Amp whose clock a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.asked: list[tuple[str, str]] = []
        self.cloud = AmpCloud(inferer=self.infer, now=lambda: self.now)
        self.cloud.threads.add(THREAD)
        self.account = AmpAccount(self.post)
        monkeypatch.setattr(neo_steps.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def infer(self, connection: Connection, name: str) -> Mapping[str, Any]:
        self.asked.append((connection.name, name))
        if name != "broken":
            return {"ok": True, "preview": "OK", "usage": {"input": 3}, "modelRouting": {}}
        error = {"code": "model-provider-error", "message": "HTTP 530", "status": 530, "details": {}}
        return {"ok": False, "error": error}

    def post(self, method: str, params: Mapping[str, Any]) -> bytes:
        try:
            return msgspec.json.encode({"ok": True, "result": self.cloud.call(method, params)})
        except CloudError as error:
            shown = {"code": error.code, "message": str(error)}
            return msgspec.json.encode({"ok": False, "error": shown})

    def add(self, name: str, mapping: str, *, active: bool = True) -> None:
        config = {"baseURL": "https://gw.example.org/v1", "modelMapping": mapping}
        members = {"target": "user", "type": CUSTOM_URL, "name": name, "secret": "s", "config": config}
        self.cloud.call("createModelProviderKey", {**members, "active": active})

    def check(self, thread: str = THREAD) -> tuple[bool, list[str]]:
        lines: list[str] = []
        return check_access(self.account, self.account.listing().keys, thread, lines.append), lines


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_each_connection(world: World) -> None:
    """The first model that each takes by name, further apart than Amp wants; not those of inactive ones."""
    world.add("one", "-openai/gpt-5.4\nopenai/gpt-5.5 -> gpt-5.5\nopenai/gpt-6 -> gpt-6")
    world.add("pattern", "xai/*")
    world.add("off", "xai/grok-6 -> grok-6", active=False)
    world.add("two", "anthropic/claude-x -> claude-y")
    good, lines = world.check()
    assert good
    assert lines == ["openai/gpt-5.5 by one: served", "anthropic/claude-x by two: served"]
    assert world.asked == [("one", "gpt-5.5"), ("two", "claude-y")]
    assert world.now >= 5


def test_failure(world: World) -> None:
    """Amp's words are shown, and the others are asked for all the same."""
    world.add("one", "openai/gpt-5.5 -> broken")
    world.add("two", "anthropic/claude-x -> claude-y")
    good, lines = world.check()
    assert not good
    assert lines == ["openai/gpt-5.5 by one: HTTP 530", "anthropic/claude-x by two: served"]


def test_refused(world: World) -> None:
    """A thread that is not one's own; what comes too early."""
    world.add("one", "openai/gpt-5.5 -> gpt-5.5")
    with pytest.raises(AmpRefused, match="No such thread"):
        world.check("T-other")
    assert world.check()[0]
    with pytest.raises(AmpRefused, match="Internal error"):
        world.check()
