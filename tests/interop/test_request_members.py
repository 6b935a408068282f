"""Every member of the SDKs' own types of requests reaches every account of another dialect, or is a loss that
names it, but for a list of known gaps, each with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types as genai
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from typing_extensions import get_type_hints

from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.targets import target_for
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.relay.translate import read_question
from tests.interop.sdk_values import Maker

MODELS = {ANTHROPIC: "claude-sonnet-4-5", CHAT: "gpt-4o", RESPONSES: "gpt-5", GEMINI: "gemini-2.5-pro"}
USER = {"role": "user", "content": "go"}
BASES: dict[str, dict[str, Any]] = {
    ANTHROPIC: {"model": "m", "max_tokens": 4000, "messages": [USER]},
    CHAT: {"model": "m", "messages": [USER]},
    RESPONSES: {"model": "m", "input": "go"},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "go"}]}]},
}
TYPES = {
    ANTHROPIC: MessageCreateParamsNonStreaming,
    CHAT: CompletionCreateParamsNonStreaming,
    RESPONSES: ResponseCreateParamsNonStreaming,
}
#: What the conversation itself is, and the mode.
TURNS = frozenset(("model", "messages", "input", "stream"))
#: Members of a Gemini request that stand beside ``generationConfig``.
BESIDE = frozenset(
    (
        "tools",
        "toolConfig",
        "safetySettings",
        "cachedContent",
        "labels",
        "store",
        "serviceTier",
        "modelArmorConfig",
    )
)
#: Members that only the SDK itself reads.
SDK_ONLY = frozenset(
    ("httpOptions", "shouldReturnHttpResponse", "automaticFunctionCalling", "systemInstruction")
)

#: Members whose loss has a kind, and a path, of another name.
KINDS = {
    "stop_sequences": "stop",
    "stopSequences": "stop",
    "user_id": "user",
    "safety_identifier": "user",
    "prompt_cache_key": "cache_key",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "candidateCount": "candidates",
    "responseModalities": "modalities",
    "tools": "hosted_tool",
    "web_search_options": "hosted_settings",
    "function_call": "tool_choice",
    "thinkingBudget": "thinking",
}
#: Several members of Gemini's configuration are one loss.
CONFIG = "generationconfig"

#: What neither reaches the account nor is a loss: (dialect of the client, member) -> why.
KNOWN_GAPS = {
    (
        CHAT,
        "web_search_options.user_location",
    ): "Google Search takes no place; to be declared where it is rendered",
    (CHAT, "tool_choice"): "a choice of a tool that the request does not declare chooses nothing",
    (CHAT, "function_call"): "likewise",
    (RESPONSES, "tool_choice"): "likewise",
    (CHAT, "response_format.json_schema.name"): "names of schemas mean nothing to models elsewhere",
    (CHAT, "response_format.json_schema.description"): "to be told with the schema where it is rendered",
    (
        GEMINI,
        "responseSchema",
    ): "the SDK's own names of JSON Schema's keywords, among them values of any type",
}


def cases() -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """The client's dialect, what is to be found, and a request."""
    for dialect, kind in TYPES.items():
        for name, hint in get_type_hints(kind, include_extras=True).items():
            for turn in range(4):
                maker = Maker(turn)
                value = maker(hint, name, 1)
                if name not in TURNS and value is not None:
                    yield dialect, maker.marks, {**BASES[dialect], name: value}
    for name, field in genai.GenerateContentConfig.model_fields.items():
        key = field.alias or name
        for turn in range(3):
            maker = Maker(turn)
            value = None if key in SDK_ONLY else maker(field.annotation, key, 1)
            if key == "topK":
                value = 40
            if value is not None:
                member = {key: value} if key in BESIDE else {"generationConfig": {key: value}}
                yield GEMINI, maker.marks, {**BASES[GEMINI], **member}


def missing(client: str, account: str, marks: dict[str, str], request: dict[str, Any]) -> Iterator[str]:
    body = json.dumps(request).encode()
    in_path = "m" if client == GEMINI else None
    try:
        asked = read_question(body, DIALECTS[client], DIALECTS[account], model=in_path, stream=False)
    except ClientFault as refusal:
        # Refused, with the member's name: nothing is silent.
        if refusal.error.param is None:
            yield f"{[*marks]} is refused without its name"
        return
    rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
    out = rendered.body.decode()
    kinds = {loss.kind for loss in rendered.losses}
    losses = _plain(" ".join(f"{loss.kind} {loss.path} {loss.why}" for loss in rendered.losses))
    for path, mark in marks.items():
        names = path.replace("[]", "").split(".")
        named = any(_plain(name) in losses or KINDS.get(name) in kinds for name in names)
        named = named or (client == GEMINI and names[0] not in BESIDE and CONFIG in losses)
        if mark not in out and not named:
            yield path


def _plain(text: str) -> str:
    """A name, however it is spelled."""
    return text.lower().replace("_", "")


@pytest.mark.parametrize("client", MODELS)
@pytest.mark.parametrize("account", MODELS)
def test_every_member_of_a_request(client: str, account: str) -> None:
    """One member at a time, in each of its forms."""
    if client == account:
        return
    gaps = {
        path
        for dialect, marks, request in cases()
        if dialect == client
        for path in missing(client, account, marks, request)
    }
    known = [member for dialect, member in KNOWN_GAPS if dialect == client]
    assert sorted(path for path in gaps if not path.startswith(tuple(known))) == []


def test_known_gaps_are_gaps() -> None:
    """What is mended leaves the list."""
    found = {
        (client, path)
        for client, marks, request in cases()
        for account in MODELS
        if account != client
        for path in missing(client, account, marks, request)
    }
    for client, member in KNOWN_GAPS:
        assert any(one == client and path.startswith(member) for one, path in found), member
