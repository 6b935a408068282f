"""Every member of the SDKs' own types of content blocks, messages, items and parts reaches every account of
another dialect, or is a loss that names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic.types as messages
import anthropic.types.beta as beta
import pytest
from google.genai import types as genai
from openai.types.chat.chat_completion_content_part_param import ChatCompletionContentPartParam
from openai.types.chat.chat_completion_message_param import ChatCompletionMessageParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from typing_extensions import is_typeddict

from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.targets import target_for
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
    "mimeType": "a link's own answer has its type, too",
}
#: What is neither carried nor declared yet: members of the items of tools that Codex runs itself.
KNOWN_GAPS = {
    "caller": "which program of the model's made a call; nothing but OpenAI's own models runs such programs",
    "environment": "where a shell runs is known to the client, which runs it",
    "max_output_length": "the client has cut its shell's output to it already",
    "namespace": "of a result; that of its call is in the name of the call",
    "name": "of a result; its call has it",
    "output_schema": "what a tool's result looks like; the result itself is given as it is",
    "arguments": "of a search for tools: a mark that is no object is not one",
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
        names = path.replace("[]", "").split(".")
        named = any(name.lower() in losses or NAMED_BY_KIND.get(name) in kinds for name in names)
        left_out = NOT_CARRIED if client != RESPONSES else NOT_CARRIED | KNOWN_GAPS
        if mark not in out and not named and left_out.keys().isdisjoint(names):
            yield path


@pytest.mark.parametrize("client", CASES)
@pytest.mark.parametrize("account", MODELS)
def test_every_member_of_every_part_of_a_request(client: str, account: str) -> None:
    """One part at a time, in each of its forms, where a client would have it."""
    if client == account:
        return
    gaps = {
        f"{name}: {path}"
        for dialect, name, marks, request in CASES[client]()
        for path in missing(dialect, account, marks, request)
    }
    assert sorted(gaps) == []


def test_the_types_are_the_newest() -> None:
    """The unions that are walked have what the SDKs can write today."""
    names = {name for cases in CASES.values() for _, name, _, _ in cases()}
    assert {"BetaCompactionBlockParam", "SearchResultBlockParam", "ChatCompletionToolMessageParam"} <= names
    assert {"functionResponse", "fileData", "FunctionCallOutput", "ResponseCustomToolCallParam"} <= names
