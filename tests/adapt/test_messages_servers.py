"""Servers of Messages that are not Anthropic's get requests that they take, from clients of each dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ampproxy.adapt import target as targets
from ampproxy.adapt.target import target_at
from ampproxy.catalog.compile_hosts import read_hosts
from ampproxy.catalog.hosts import Hosts
from ampproxy.config.load import parse
from ampproxy.model.base import ANTHROPIC
from tests.adapt.test_hosts import TEXT
from tests.adapt.test_servers import ASKED, MESSAGES, sent
from tests.cases import each
from tests.resources.harness import ACCOUNT_KEY, CLIENT_KEY, World

#: What Anthropic has and none of these: ignored, or refused.
ANTHROPICS = ("container", "mcp_servers", "speed", "inference_geo", "service_tier")
#: A server's address, a model of its, and what it refuses beside that.
SERVERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "deepseek": (
        "https://api.deepseek.com/anthropic",
        "deepseek-v4",
        {"forced": False, "members": ["top_k"]},
    ),
    "moonshot": ("https://api.moonshot.ai/anthropic", "kimi-k2.6", {"forced": False, "members": ["top_k"]}),
    "k3": (
        "https://api.moonshot.ai/anthropic",
        "kimi-k3",
        {"forced": "never", "disabled": False, "members": ["temperature", "top_p", "top_k"]},
    ),
    "zai": ("https://api.z.ai/api/anthropic", "glm-5.2", {"forced": "never", "members": ["top_k"]}),
    "minimax": (
        "https://api.minimax.io/anthropic",
        "MiniMax-M2",
        {"disabled": False, "members": ["top_k", "stop_sequences"]},
    ),
    "dashscope": (
        "https://dashscope-intl.aliyuncs.com/apps/anthropic",
        "qwen3-max",
        {"forced": False, "members": ["metadata"]},
    ),
    "ollama": ("http://127.0.0.1:11434", "qwen3-coder:30b", {"forced": "never", "members": ["metadata"]}),
}


def complaints(body: dict[str, Any], rules: dict[str, Any]) -> Iterator[str]:
    """What such a server says to a request; nothing where it takes it."""
    for name in (*ANTHROPICS, *rules["members"]):
        if name in body:
            yield f"{name} is not supported"
    thinking = body.get("thinking", {"type": "enabled"})
    if thinking["type"] not in ("enabled", "disabled"):
        yield f"thinking.type: unknown variant {thinking['type']}"
    if thinking["type"] == "disabled" and not rules.get("disabled", True):
        yield "this model always thinks"
    if "effort" in body.get("output_config", {}):
        yield "output_config.effort is not supported"
    if any(message["role"] == "system" for message in body["messages"]):
        yield "messages: unknown role system"
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    allowed = rules.get("forced", True)
    if forced and (allowed == "never" or (allowed is False and thinking["type"] != "disabled")):
        yield "tool_choice 'specified' is incompatible with thinking enabled"


def gateway(base_url: str, model: str, more: str = "") -> World:
    return World(
        f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - api-key: {ACCOUNT_KEY}
    base-url: {base_url}
    models: [{{name: "{model}", alias: m}}]
{more}
"""
    )


#: As Claude Code asks a newest Claude.
CLAUDE_CODE = {
    **MESSAGES,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "top_k": 40,
    "stop_sequences": ["END"],
    "service_tier": "auto",
    "container": "container_1",
    "tool_choice": {"type": "any"},
}
REQUESTS = {**{name: (name, body) for name, body in ASKED.items()}, "claude code": (ANTHROPIC, CLAUDE_CODE)}


@each("stream", [False, True], ids=["whole", "stream"])
@each("request_", REQUESTS)
@each("server", SERVERS)
def test_a_server_of_messages_takes_an_agents_whole_request(server: str, request_: str, stream: bool) -> None:
    """Chosen by its address; what it does not take is left out or bent, and each is a loss in the log."""
    base_url, model, rules = SERVERS[server]
    dialect, asked = REQUESTS[request_]
    world = gateway(base_url, model)
    body, _ = sent(world, dialect, asked, stream=stream)
    assert list(complaints(body, rules)) == []
    assert body["model"] == model
    if request_ == "claude code":
        lost = world.client.sent[-1]
        assert list(complaints(asked, rules)), "the server would have refused it"
        assert lost.url.startswith(base_url)


def test_losses_are_declared() -> None:
    """In the log, each by its kind."""
    world = gateway("https://api.deepseek.com/anthropic", "deepseek-v4")
    sent(world, ANTHROPIC, CLAUDE_CODE)
    usage = {"input_tokens": 1, "output_tokens": 1}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "deepseek-v4", "usage": usage}
    body = json.dumps({**answer, "stop_reason": "end_turn", "content": []}).encode()
    world.client.sent[-1].respond_whole(200, body, {"Content-Type": ["application/json"]})
    world.turn()
    assert {"top_k", "service_tier", "extras", "system_turn"} <= world.exchanges[-1]["losses"].keys()


def test_what_fits_passes_byte_for_byte() -> None:
    """But for the model's name."""
    body = {
        "model": "m",
        "max_tokens": 100,
        "system": "You are brief.",
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": "go  "}],
    }
    for base_url, model, _ in SERVERS.values():
        raw = sent(gateway(base_url, model), ANTHROPIC, body)[1]
        assert raw == json.dumps(body).replace('"m"', json.dumps(model), 1).encode()


@pytest.mark.parametrize("base_url", ["https://api.anthropic.com", "http://10.0.0.1:4000"])
def test_anthropic_and_unknown_servers_are_sent_everything(base_url: str) -> None:
    """A proxy in front of Claude takes what Claude takes."""
    raw = sent(
        gateway(base_url, "claude-opus-5"), ANTHROPIC, {**CLAUDE_CODE, "tool_choice": {"type": "auto"}}
    )[0]
    assert {"container", "top_k", "output_config", "service_tier"} <= raw.keys()


def test_the_account_names_its_server() -> None:
    """Where the address does not show it; a name that there is not is a mistake with its line."""
    world = gateway("http://10.0.0.1:4000", "deepseek-v4", "    profile: deepseek")
    assert list(complaints(sent(world, ANTHROPIC, CLAUDE_CODE)[0], SERVERS["deepseek"][2])) == []
    text = "claude-api-key: [{api-key: a, profile: mistral}]"
    with pytest.raises(Exception, match=r"c\.yaml:1.*expected deepseek or .*mistral"):
        parse(text, name="c.yaml", environ={}, home=Path(), read_secret=Path.read_text)


def test_a_server_of_messages_is_added_by_data_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile with what it takes over Messages."""
    added = """
  - name: acme
    addresses: [acme.test]
    messages:
      refuses: [top_k]
      thinking: budget
      models:
        - {names: [acme-9], switch: none, forced-tools: never}
"""
    table = Hosts(read_hosts(TEXT + added))
    monkeypatch.setattr(targets, "shipped_hosts", lambda: table)
    eight, nine = (target_at(ANTHROPIC, f"acme-{number}", "https://acme.test") for number in (8, 9))
    assert not eight.host.takes("top_k")
    assert (eight.thinking, eight.can_disable, eight.forced_tools) == ("budget", True, "not-thinking")
    assert (nine.can_disable, nine.forced_tools) == (False, "never")
    target_at.cache_clear()
