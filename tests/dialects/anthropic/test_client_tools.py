"""Anthropic's tools that the client runs are functions for other vendors' models, their calls plain calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.adapt.target import target_for
from ampproxy.dialects.registry import DIALECTS
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


def system(*blocks: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"role": "system", "content": list(blocks), **members}


def changed(spoken: str, *turns: dict[str, Any]) -> tuple[set[str], str, set[str]]:
    """The names of the tools that are declared, the rest of what is sent, and the losses."""
    declared = [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in ("f", "g")]
    sent, losses = rendered(spoken, tools=declared, messages=list(turns))
    return set(functions(spoken, sent)), json.dumps({**sent, "tools": None}), losses


USER, ANSWER = {"role": "user", "content": "go"}, {"role": "assistant", "content": "ok"}
LATE = {"name": "late", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("spoken", MODELS)
def test_tools_that_the_system_adds_and_removes(spoken: str) -> None:
    """What counts is what is offered at the end; a tool that is only referred to is declared already."""
    adds = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": LATE}}
    refers = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}
    removes = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "g"}}
    names, rest, losses = changed(spoken, USER, ANSWER, USER, system(adds, refers, removes))
    assert names == {"f", "late"}
    assert "tool_" not in rest
    assert not {loss for loss in losses if loss.startswith(("opaque", "system_turn"))}
    again = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "late"}}
    names, _, _ = changed(spoken, USER, system(adds), ANSWER, USER, system(again))
    assert names == {"f", "g"}


@pytest.mark.parametrize("spoken", MODELS)
def test_what_the_system_says_for_a_while(spoken: str) -> None:
    """It is shown until the user's next message, and not longer."""
    note = {"type": "text", "text": "Be brief."}
    _, rest, losses = changed(spoken, USER, system(note, clear_at="next_user_message"))
    assert "Be brief." in rest
    assert not any("clear_at" in loss for loss in losses)
    _, rest, losses = changed(spoken, USER, system(note, clear_at="next_user_message"), ANSWER, USER)
    assert "Be brief." not in rest
    assert not losses
    _, rest, _ = changed(spoken, USER, system(note, clear_at="never"), ANSWER, USER)
    assert "Be brief." in rest


@pytest.mark.parametrize("spoken", MODELS)
def test_a_line_for_the_vendor_alone(spoken: str) -> None:
    """Claude Code's first system text is no prompt, and other than that of the conversation before."""
    line = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.332.abc; cc_entrypoint=cli;"}
    prompt = {"type": "text", "text": "You are x."}
    sent, losses = rendered(spoken, system=[line, prompt], messages=[USER])
    assert "x-anthropic" not in json.dumps(sent)
    assert "You are x." in json.dumps(sent)
    assert not any("system" in loss for loss in losses)
