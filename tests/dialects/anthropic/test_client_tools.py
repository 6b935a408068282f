"""Anthropic's tools that the client runs are functions for other vendors' models, their calls plain calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.targets import target_for
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.relay.translate import read_question

MODELS = {CHAT: "deepseek-v4", RESPONSES: "gpt-5.6-sol", GEMINI: "gemini-3.1-pro"}
TOOLS = [
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 10_000},
    {"type": "memory_20250818", "name": "memory"},
]
CALL = {"type": "tool_use", "id": "t", "name": "bash", "input": {"command": "ls"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "a"}


def rendered(spoken: str, **more: Any) -> tuple[dict[str, Any], set[str]]:
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [RESULT]},
    ]
    body = {"model": "m", "max_tokens": 4000, "messages": turns, "tools": TOOLS, **more}
    asked = read_question(
        json.dumps(body).encode(), DIALECTS[ANTHROPIC], DIALECTS[spoken], model=None, stream=False
    )
    found = DIALECTS[spoken].render_request(asked, target_for(spoken, MODELS.get(spoken, "claude-opus-5")))
    return json.loads(found.body), {f"{loss.kind} {loss.path} {loss.why}" for loss in found.losses}


def functions(spoken: str, sent: dict[str, Any]) -> dict[str, Any]:
    if spoken == CHAT:
        return {tool["function"]["name"]: tool["function"]["parameters"] for tool in sent["tools"]}
    if spoken == RESPONSES:
        return {tool["name"]: tool["parameters"] for tool in sent["tools"]}
    declared = sent["tools"][0]["functionDeclarations"]
    return {tool["name"]: tool["parametersJsonSchema"] for tool in declared}


@pytest.mark.parametrize("spoken", MODELS)
def test_they_are_functions_for_others(spoken: str) -> None:
    """With the arguments that Anthropic documents; what cannot be said of them is a loss."""
    sent, losses = rendered(spoken)
    found = functions(spoken, sent)
    assert found.keys() == {"bash", "str_replace_based_edit_tool", "memory"}
    assert found["bash"]["properties"].keys() == {"command", "restart"}
    edits = found["str_replace_based_edit_tool"]
    assert edits["properties"]["command"]["enum"] == ["view", "create", "str_replace", "insert"]
    assert edits["required"] == ["command", "path"]
    assert "rename" in found["memory"]["properties"]["command"]["enum"]
    assert any("max_characters" in loss for loss in losses)
    assert not any(loss.startswith("hosted_tool") for loss in losses)


@pytest.mark.parametrize("spoken", MODELS)
def test_one_can_be_demanded(spoken: str) -> None:
    """By its name, as any function."""
    sent, losses = rendered(spoken, tool_choice={"type": "tool", "name": "bash"})
    assert "bash" in json.dumps(sent.get("tool_choice") or sent.get("toolConfig") or {}) or any(
        loss.startswith("tool_choice") for loss in losses
    )


def test_anthropic_gets_its_own() -> None:
    """As they came."""
    assert rendered(ANTHROPIC)[0]["tools"] == TOOLS
