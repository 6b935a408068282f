"""The two bags: what lives as long as the process, and what follows from one configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.relay.settings import ExchangeSettings
from tests.resources.harness import World

QUESTION = json.dumps({"model": "claude-local", "max_tokens": 9, "messages": []}).encode()


def test_nothing_is_kept_twice() -> None:
    """What the process holds is found in one place, so that nobody looks at a copy that is out of date."""
    world = World()
    shared = {
        id(value): name
        for name in world.generation.runtime.__struct_fields__
        if type(value := getattr(world.generation.runtime, name)).__module__ != "builtins"
    }
    assert {"clock", "client", "log", "running"} <= set(shared.values())
    assert [name for name, value in vars(world.generation).items() if id(value) in shared] == []


def test_settings_of_exchanges_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a configuration, not for a request."""
    made: list[ExchangeSettings] = []

    def counted(*args: Any) -> ExchangeSettings:
        made.append(ExchangeSettings(*args))
        return made[-1]

    monkeypatch.setattr("ampproxy.relay.settings.ExchangeSettings", counted)
    world = World()
    for _ in range(3):
        world.request("POST", "/v1/messages", body=QUESTION)
    assert len(world.client.sent) == 3
    assert made == [world.generation.exchanges]
