"""Every member of the SDKs' own types of content blocks, messages, items and parts reaches every account of
another dialect, or is a loss that names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import anthropic.types as messages
import anthropic.types.beta as beta
import pytest
from google.genai import types as genai
from openai.types.chat.chat_completion_content_part_param import ChatCompletionContentPartParam
from openai.types.chat.chat_completion_message_param import ChatCompletionMessageParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from typing_extensions import is_typeddict

from ampproxy.adapt.target import target_for
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.relay.translate import read_question
from tests.interop.sdk_values import Maker, members_of
from tests.interop.test_request_members import BASES, MODELS, USER

#: A request, by the dialect of its client: a name, what is to be found, the body.
Case = tuple[str, str, dict[str, str], dict[str, Any]]

#: The loss of a whole part, or of several of its members together.
WHOLE_PARTS = frozenset(
    (
        *("opaque", "image", "image_source", "document", "document_source", "file", "link", "audio", "media"),
        *("audio_format", "misplaced", "part", "reasoning", "unsigned_thinking", "orphan_reasoning"),
        *("foreign_proof", "trailing_thinking", "refusal"),
    )
)
NAMED_BY_KIND = {
    "tools": "hosted_tool",
    "title": "document_name",
    "filename": "document_name",
    "displayName": "document_name",
}
#: Members that need not be carried, each with the reason.
NOT_CARRIED = {
    "id": "ids mean something to their own vendor; a call and its result are paired by any",
    "call_id": "likewise",
    "tool_use_id": "likewise",
    "tool_call_id": "likewise",
    "mimeType": "the server behind a link gives its type, and Responses has no member for it",
}
#: What the assistant says.
OF_ASSISTANT = (
    "thinking",
    "redacted_thinking",
    "tool_use",
    "server_tool_use",
    "mcp_tool_use",
    "compaction",
    "fallback",
)
BESIDE_TEXT = frozenset(("thought", "thoughtSignature", "mediaResolution", "partMetadata", "videoMetadata"))
OF_MODEL = frozenset(("functionCall", "thought", "thoughtSignature", "executableCode", "codeExecutionResult"))
#: A file has one of these.
SOURCES = ("file_data", "file_id", "file_url")


def made(union: Any, turns: int) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Each type that a client writes, in each of its forms."""
    for kind in filter(is_typeddict, members_of(union)):
        for turn in range(turns):
            maker = Maker(turn)
            value = maker(kind)
            yield kind.__name__, maker.marks, value


def blocks() -> Iterator[Case]:
    for union in (messages.ContentBlockParam, beta.BetaContentBlockParam):
        for name, marks, block in made(union, 5):
            kind, own = block["type"], {"role": "assistant", "content": [block]}
            turns: list[dict[str, Any]]
            if kind == "tool_use":
                result = {"type": "tool_result", "tool_use_id": block["id"], "content": "done"}
                turns = [USER, own, {"role": "user", "content": [result]}]
            elif kind == "tool_result":
                call = {"type": "tool_use", "id": block["tool_use_id"], "name": "f", "input": {}}
                turns = [USER, {"role": "assistant", "content": [call]}, {"role": "user", "content": [block]}]
            elif kind.startswith(OF_ASSISTANT) or kind.endswith("_tool_result"):
                turns = [USER, own, USER]
            else:
                turns = [{"role": "user", "content": [block, {"type": "text", "text": "go"}]}]
            yield ANTHROPIC, name, marks, {**BASES[ANTHROPIC], "messages": turns}


def chat_messages() -> Iterator[Case]:
    for name, marks, part in made(ChatCompletionContentPartParam, 3):
        _one_source(part.get("file", {}), marks, "file.")
        turns = [{"role": "user", "content": [part, {"type": "text", "text": "go"}]}]
        yield CHAT, name, marks, {**BASES[CHAT], "messages": turns}
    for name, marks, message in made(ChatCompletionMessageParam, 3):
        function = {"name": "f", "arguments": "{}"}
        before: list[dict[str, Any]] = []
        after = [USER]
        if message["role"] == "tool":
            call = {"id": message["tool_call_id"], "type": "function", "function": function}
            before, after = [{"role": "assistant", "tool_calls": [call]}], []
        elif message["role"] == "function":
            called = {**function, "name": message["name"]}
            before, after = [{"role": "assistant", "content": None, "function_call": called}], []
        yield CHAT, name, marks, {**BASES[CHAT], "messages": [USER, *before, message, *after]}


def items() -> Iterator[Case]:
    for name, marks, item in made(ResponseInputItemParam, 3):
        if isinstance(item.get("content"), list):
            for part in item["content"]:
                _one_source(part, marks, "content[].")
        before: list[dict[str, Any]] = []
        after: list[dict[str, Any]] = []
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            kind = item["type"].removesuffix("_output")
            body = {"arguments": "{}"} if kind == "function_call" else {"input": "x"}
            before = [{"type": kind, "call_id": item["call_id"], "name": "f", **body}]
            for part in item["output"] if isinstance(item["output"], list) else ():
                _one_source(part, marks, "output[].")
        elif item.get("type") in ("function_call", "custom_tool_call"):
            if item["type"] == "function_call":
                item["arguments"] = json.dumps({"x": item["arguments"]})
            kind = f"{item['type']}_output"
            after = [{"type": kind, "call_id": item["call_id"], "output": "done"}]
        if item.get("type") == "tool_search_call":
            item["execution"] = "client"  # a search by the vendor is told by the tools that it found
        turns = [{"role": "user", "content": "hi"}, *before, item, *after, {"role": "user", "content": "go"}]
        yield RESPONSES, name, marks, {**BASES[RESPONSES], "input": turns}


def _one_source(file: dict[str, Any], marks: dict[str, str], path: str) -> None:
    """Of several sources only one counts; the SDK's types have all side by side."""
    found = [name for name in (*SOURCES, "image_url") if file.get(name) is not None]
    for name in found[1:]:
        del file[name]
        marks.pop(f"{path}{name}", None)


def gemini_parts() -> Iterator[Case]:
    for name, field in genai.Part.model_fields.items():
        key = field.alias or name
        for turn in range(3):
            maker = Maker(turn)
            part = {key: maker(field.annotation, key, 1)}
            part = {"text": "words", **part} if key in BESIDE_TEXT else part
            role = "model" if key in OF_MODEL else "user"
            turns = [{"role": "user", "parts": [{"text": "hi"}]}, {"role": role, "parts": [part]}]
            if key == "functionResponse":
                call = {"name": part[key]["name"], "id": part[key]["id"], "args": {}}
                turns.insert(1, {"role": "model", "parts": [{"functionCall": call}]})
            turns.append({"role": "user", "parts": [{"text": "go"}]})
            yield GEMINI, key, maker.marks, {"contents": turns}


CASES = {ANTHROPIC: blocks, CHAT: chat_messages, RESPONSES: items, GEMINI: gemini_parts}


def names_of(path: str) -> list[str]:
    return path.replace("[]", "").split(".")


def missing(client: str, account: str, marks: dict[str, str], request: dict[str, Any]) -> Iterator[str]:
    body, in_path = json.dumps(request).encode(), "m" if client == GEMINI else None
    try:
        asked = read_question(body, DIALECTS[client], DIALECTS[account], model=in_path, stream=False)
    except ClientFault:
        return  # What cannot be told is refused, with words: a reference to what the vendor stores.
    rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
    out, kinds = rendered.body.decode(), {loss.kind for loss in rendered.losses}
    if kinds & WHOLE_PARTS:
        return
    losses = " ".join(f"{loss.kind} {loss.path} {loss.why}" for loss in rendered.losses).lower()
    for path, mark in marks.items():
        names = names_of(path)
        named = any(name.lower() in losses or NAMED_BY_KIND.get(name) in kinds for name in names)
        if mark not in out and not named:
            yield path


@cache
def lost_from(client: str, account: str) -> frozenset[tuple[str, str]]:
    """What of a client's parts an account is not told, and is no loss either."""
    return frozenset(
        (name, path)
        for dialect, name, marks, request in CASES[client]()
        for path in missing(dialect, account, marks, request)
    )


@pytest.mark.parametrize("client", CASES)
@pytest.mark.parametrize("account", MODELS)
def test_every_member_of_every_part_of_a_request(client: str, account: str) -> None:
    """One part at a time, in each of its forms, where a client would have it."""
    if client == account:
        return
    gaps = {
        f"{name}: {path}"
        for name, path in lost_from(client, account)
        if NOT_CARRIED.keys().isdisjoint(names_of(path))
    }
    assert sorted(gaps) == []


def test_what_need_not_be_carried_is_lost_somewhere() -> None:
    """No reason stands there for what is carried everywhere."""
    lost = {
        name
        for client, account in ((CHAT, GEMINI), (ANTHROPIC, GEMINI), (GEMINI, RESPONSES), (RESPONSES, GEMINI))
        for _, path in lost_from(client, account)
        for name in names_of(path)
    }
    assert lost >= NOT_CARRIED.keys()


SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
SOUNDS: dict[str, dict[str, Any]] = {
    RESPONSES: {
        "input": [
            {"role": "user", "content": "go"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [
                    {"type": "input_text", "text": "words"},
                    {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}},
                ],
            },
        ]
    },
    GEMINI: {
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "f",
                            "response": {"output": "words"},
                            "parts": [{"inlineData": {"mimeType": "audio/wav", "data": SOUND}}],
                        }
                    }
                ],
            },
        ]
    },
}


@pytest.mark.parametrize("client", SOUNDS)
@pytest.mark.parametrize("account", MODELS)
def test_sound_that_a_tool_returned(client: str, account: str) -> None:
    """It reaches a vendor that hears, and is a loss at one that does not."""
    if client == account:
        return
    body = json.dumps({**BASES[client], **SOUNDS[client]}).encode()
    asked = DIALECTS[client].parse_request(body, model="m")
    rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
    kinds = {loss.kind for loss in rendered.losses}
    assert b"words" in rendered.body
    if account in (CHAT, GEMINI):
        assert SOUND.encode() in rendered.body
    else:
        assert "audio" in kinds


def test_a_result_without_its_call_loses_nothing_silently() -> None:
    """Its own vendor's members are a loss where it becomes text."""
    done = {"stdout": "done", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
    item = {"type": "shell_call_output", "call_id": "c", "output": [done], "max_output_length": 70_001}
    body = json.dumps({**BASES[RESPONSES], "input": [{"role": "user", "content": "go"}, item]}).encode()
    asked = read_question(body, DIALECTS[RESPONSES], DIALECTS[RESPONSES], model=None, stream=False)
    asked = DIALECTS[RESPONSES].for_others(asked)
    for account in (ANTHROPIC, CHAT, GEMINI):
        rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
        assert b"done" in rendered.body
        assert any("max_output_length" in f"{loss.path} {loss.why}" for loss in rendered.losses)


def test_the_types_are_the_newest() -> None:
    """The unions that are walked have what the SDKs can write today."""
    names = {name for cases in CASES.values() for _, name, _, _ in cases()}
    assert {"BetaCompactionBlockParam", "SearchResultBlockParam", "ChatCompletionToolMessageParam"} <= names
    assert {"functionResponse", "fileData", "FunctionCallOutput", "ResponseCustomToolCallParam"} <= names
