"""The models that a running service learns from its vendors."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from ampproxy.testing import anthropic, gemini, openai_chat, openai_responses
from tests.loopback.process import Service
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

CLIENT_KEY = "canary-catalog-client-1"
KEYS = {part.__name__: f"canary-catalog-{part.__name__.rpartition('.')[2]}" for part in (
    anthropic, gemini, openai_chat, openai_responses
)}  # fmt: skip


def config(urls: dict[Any, str]) -> str:
    return f"""
port: 0
api-keys: [{CLIENT_KEY}]
claude-api-key: [{{api-key: {KEYS[anthropic.__name__]}, base-url: "{urls[anthropic]}"}}]
codex-api-key:
  - {{api-key: {KEYS[openai_responses.__name__]}, base-url: "{urls[openai_responses]}/v1"}}
gemini-api-key: [{{api-key: {KEYS[gemini.__name__]}, base-url: "{urls[gemini]}"}}]
openai-compatibility:
  - {{name: local, base-url: "{urls[openai_chat]}/v1",
     api-key-entries: [{{api-key: {KEYS[openai_chat.__name__]}}}]}}
"""


def listed(service: Service) -> set[str]:
    connection = service.connect()
    connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {CLIENT_KEY}"})
    return {model["id"] for model in json.load(connection.getresponse())["data"]}


def ask(service: Service, model: str) -> int:
    connection = service.connect()
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    headers = {"Authorization": f"Bearer {CLIENT_KEY}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    return connection.getresponse().status


def wait(check: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert check()


def test_vendors_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts that name no models list and serve their vendors'; after a restart at once, even if no vendor
    answers any more."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    parts = (anthropic, gemini, openai_chat, openai_responses)
    vendors = {part: in_reactor(part.start, reactor, keys=[KEYS[part.__name__]]) for part in parts}
    wanted = {name for part in (anthropic, openai_chat) for name in part.MODELS}
    text = config({part: vendor.url for part, vendor in vendors.items()})
    service = Service(tmp_path, text)
    try:
        wait(lambda: wanted <= listed(service))
        both = listed(service)
        assert any(name.startswith("gemini-") for name in both)
        assert any(name.startswith("gpt-5") for name in both)
        assert ask(service, openai_chat.MODELS[0]) == 200
        # All four are asked; the last may answer later than the others, and is shown a moment after that.
        wait(lambda: service.log_text.count("its vendor lists") == 4)
        time.sleep(0.5)
        both = listed(service)
    finally:
        assert service.stop() == 0
        for vendor in vendors.values():
            in_reactor(vendor.stop)
    assert "canary" not in service.log_text
    file = tmp_path / ".cache" / "ampproxy" / "models.json"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert "canary" not in file.read_text()
    again = Service(tmp_path, text)
    try:
        assert listed(again) == both
    finally:
        assert again.stop() == 0
