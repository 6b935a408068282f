"""Wishes of coding agents that change nothing of what a model is told, and strict translation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.adapt.settings import without_preferences
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.relay.losses import refusing
from ampproxy.relay.translate import read_question, render_for

SCHEMA = {
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
    "additionalProperties": False,
}
CLAUDE_CODE: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 32_000,
    "stream": True,
    "metadata": {"user_id": "{'device_id': 'a', 'session_id': 's'}"},
    "thinking": {"type": "adaptive", "display": "updates"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
    "safeguards": [{"type": "dangerous_tool_use"}],
    "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "system",
            "content": [{"type": "text", "text": "Remember."}],
            "output_config": {"effort": "low"},
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"}]},
    ],
    "tools": [
        {"name": "Bash", "input_schema": SCHEMA, "eager_input_streaming": True},
        {"name": "Late", "input_schema": SCHEMA, "defer_loading": True},
    ],
}
#: What Codex adds to each item where ``openai_base_url`` leads here.
NOTED: dict[str, Any] = {"internal_chat_message_metadata_passthrough": {"turn_id": "t"}}
CODEX: dict[str, Any] = {
    "model": "gpt-5.5",
    "stream": True,
    "store": False,
    "prompt_cache_key": "t",
    "client_metadata": {"x-codex-installation-id": "i"},
    "text": {"verbosity": "low"},
    "reasoning": {"effort": "medium", "summary": "auto", "context": "all_turns"},
    "include": ["reasoning.encrypted_content"],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "input": [
        {"type": "message", "id": "msg_0", "role": "developer", "content": "You are an agent."},
        {"type": "message", "id": "msg_1", "role": "user", "content": "hi"},
        {"type": "message", "id": "msg_2", "role": "assistant", "phase": "commentary", "content": "Well."},
        {"type": "message", "id": "msg_3", "role": "user", "content": "Go on.", **NOTED},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "exec", "arguments": "{}", **NOTED},
        {"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "a", **NOTED},
    ],
    "tools": [
        {"type": "function", "name": "exec", "strict": False, "parameters": SCHEMA},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "definition": "start: x"}},
        {"type": "namespace", "name": "mcp__zoo", "description": "", "tools": []},
        {"type": "tool_search", "execution": "client", "parameters": SCHEMA},
    ],
}
SEARCH = {"type": "web_search", "external_web_access": True}
GEMINI_CLI: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "read", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "read", "response": {"output": "a"}}}]},
    ],
    "systemInstruction": {"role": "user", "parts": [{"text": "You are an agent."}]},
    "tools": [{"functionDeclarations": [{"name": "read", "parametersJsonSchema": SCHEMA}]}],
    "generationConfig": {
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
    },
    "session_id": "s",
}
MODELS = {
    ANTHROPIC: "claude-opus-5-5",
    CHAT: "gpt-5.1",
    RESPONSES: "gpt-5.5",
    GEMINI: "gemini-3.1-pro-preview",
}
AGENTS = {ANTHROPIC: CLAUDE_CODE, RESPONSES: CODEX, GEMINI: GEMINI_CLI}


def lost(client: str, spoken: str, body: dict[str, Any]) -> dict[str, str]:
    """What is lost on the way: place -> kind; what strict translation refuses for is marked by ``!``."""
    asked = read_question(
        json.dumps(body).encode(), DIALECTS[client], DIALECTS[spoken], model="m", stream=True
    )
    losses = render_for(asked, DIALECTS[spoken], MODELS[spoken], None).losses
    refused = refusing(losses)
    return {loss.path: "!" * (loss in refused) + loss.kind for loss in losses}


@pytest.mark.parametrize(
    ("client", "spoken"), [(client, spoken) for client in AGENTS for spoken in MODELS if client != spoken]
)
def test_strict_serves_the_agents(client: str, spoken: str):
    """The requests of Claude Code, Codex and Gemini CLI pass in strict mode to any vendor."""
    found = lost(client, spoken, AGENTS[client])
    assert [path for path, kind in found.items() if kind.startswith("!")] == [], found


def test_what_is_left_out_is_told():
    """Each such wish is a hint of its own, with its place."""
    found = lost(ANTHROPIC, RESPONSES, CLAUDE_CODE)
    assert found["extras.context_management"] == "preference"
    assert found["extras.safeguards"] == "safeguards"
    assert found["turns[1].extras.output_config"] == "preference"
    assert found["tools[0].extras.eager_input_streaming"] == "preference"
    assert found["tools[1].extras.defer_loading"] == "preference"
    found = lost(RESPONSES, CHAT, CODEX)
    assert found["extras.client_metadata"] == "preference"
    assert found["extras.reasoning"] == "preference"


def test_what_is_none():
    """Anything else that only the client's vendor knows is refused for, as before."""
    found = lost(ANTHROPIC, CHAT, {**CLAUDE_CODE, "mcp_servers": [{"type": "url"}], "container": "c"})
    assert (found["extras.mcp_servers"], found["extras.container"]) == ("!extras", "!extras")
    found = lost(RESPONSES, CHAT, {**CODEX, "reasoning": {"effort": "low", "other": 1}, "max_tool_calls": 1})
    assert (found["extras.reasoning"], found["extras.max_tool_calls"]) == ("!extras", "!extras")


def test_own_dialect():
    """To its own vendor all of it goes as it came."""
    asked = DIALECTS[RESPONSES].parse_request(json.dumps(CODEX).encode())
    assert without_preferences(asked, RESPONSES) == (asked, ())
    assert without_preferences(asked, RESPONSES)[0] is asked


def test_verbosity_between_openais_dialects():
    """Chat's wish for short words is Responses' as well."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "verbosity": "low"}
    asked = DIALECTS[CHAT].parse_request(json.dumps(body).encode())
    rendered = render_for(asked, DIALECTS[RESPONSES], "gpt-5.5", None)
    assert json.loads(rendered.body)["text"] == {"verbosity": "low"}
    assert rendered.losses == ()


@pytest.mark.parametrize(
    ("declaration", "settings"),
    [
        (SEARCH, False),
        ({**SEARCH, "search_content_types": ["text", "image"]}, False),
        ({**SEARCH, "search_content_types": ["image"]}, True),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, False),
        ({"type": "web_search", "external_web_access": False}, True),
        ({"type": "web_search", "filters": {"some_filter": ["a.org"]}}, True),
        ({"type": "code_interpreter", "container": "cntr_1"}, True),
    ],
)
def test_settings_of_hosted_tools(declaration: dict[str, Any], settings: bool):
    """Only settings that matter are lost with another vendor's tool; Codex's search has none such."""
    found = lost(RESPONSES, ANTHROPIC, {**CODEX, "tools": [declaration]})
    assert ("!hosted_settings" in found.values()) == settings


MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
BOTH = {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}, "moderation": {"model": "m"}}
OF_CHAT = {
    "model": "m",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", **MARK}]}],
    "verbosity": "low",
    **BOTH,
}
OF_RESPONSES = {
    "model": "m",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi", **MARK}]}],
    "text": {"verbosity": "low"},
    **BOTH,
}


def rendered(client: str, spoken: str, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    asked = read_question(
        json.dumps(body).encode(), DIALECTS[client], DIALECTS[spoken], model="m", stream=True
    )
    found = render_for(asked, DIALECTS[spoken], model, None)
    return json.loads(found.body), {loss.path for loss in found.losses}


def test_what_openais_dialects_share():
    """Marks and options of its cache, moderation and verbosity go from one to the other, as they came."""
    sent, losses = rendered(CHAT, RESPONSES, "gpt-5.6-sol", OF_CHAT)
    assert sent["input"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert sent["text"] == {"verbosity": "low"}
    assert BOTH.items() <= sent.items()
    assert losses == set()
    sent, losses = rendered(RESPONSES, CHAT, "gpt-5.6-sol", OF_RESPONSES)
    assert sent["messages"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert sent["verbosity"] == "low"
    assert BOTH.items() <= sent.items()
    assert losses == set()


def test_what_openais_dialects_share_is_not_for_other_servers():
    """There each is a loss."""
    sent, losses = rendered(RESPONSES, CHAT, "deepseek-v4", OF_RESPONSES)
    assert not {"prompt_cache_options", "moderation", "verbosity", "text"} & sent.keys()
    assert "prompt_cache_breakpoint" not in json.dumps(sent)
    assert {"extras.text", "extras.prompt_cache_options", "extras.moderation"} <= losses


@pytest.mark.parametrize("spoken", [CHAT, RESPONSES])
def test_speed(spoken: str):
    """What Anthropic calls speed is a tier of OpenAI's; other servers have no like."""
    body = {"model": "m", "max_tokens": 100, "speed": "fast", "messages": [{"role": "user", "content": "hi"}]}
    sent, losses = rendered(ANTHROPIC, spoken, "gpt-5.6-sol", body)
    assert sent["service_tier"] == "fast"
    assert losses == set()
    sent, losses = rendered(ANTHROPIC, spoken, "deepseek-v4", body)
    assert "service_tier" not in sent
    assert "extras.speed" in losses
