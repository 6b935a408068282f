"""Every member of the SDKs' own types of requests reaches every account of another dialect, or is a loss that
names it.
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

from ampproxy.adapt.target import target_for
from ampproxy.dialects.registry import DIALECTS
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
    "max_completion_tokens": "output_limit",
    "max_output_tokens": "output_limit",
    "maxOutputTokens": "output_limit",
    "candidateCount": "candidates",
    "responseModalities": "modalities",
    "tools": "hosted_tool",
    "web_search_options": "hosted_settings",
    "function_call": "tool_choice",
    "thinkingBudget": "thinking",
    "additionalProperties": "open_schema",
}
#: Several members of Gemini's configuration are one loss.
CONFIG = "generationconfig"

#: Members that need not reach the account by their own text, each with the reason.
NOT_CARRIED = {
    "propertyOrdering": "is the order in which the properties of the schema stand",
    "output_schema": "what a tool's result looks like; the result itself is given as it is",
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
        names = _names(path)
        named = any(_plain(name) in losses or KINDS.get(name) in kinds for name in names)
        named = named or (client == GEMINI and names[0] not in BESIDE and CONFIG in losses)
        if mark not in out and not named and NOT_CARRIED.keys().isdisjoint(names):
            yield path


def _names(path: str) -> list[str]:
    return path.replace("[]", "").split(".")


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
    assert sorted(gaps) == []


def test_what_need_not_be_carried_is_there() -> None:
    """What is no member of any request any more leaves the table."""
    members = {name for _, marks, _ in cases() for path in marks for name in _names(path)}
    assert members >= NOT_CARRIED.keys()


def test_properties_stand_in_the_order_that_is_asked_for() -> None:
    """Models write a schema's members in their order; Gemini's clients say it beside them."""
    properties = {name: {"type": "STRING"} for name in ("b", "a", "c")}
    schema = {"type": "OBJECT", "properties": properties, "propertyOrdering": ["c", "b"]}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    body = json.dumps({**BASES[GEMINI], "generationConfig": config}).encode()
    asked = DIALECTS[GEMINI].parse_request(body, model="m")
    for account in (ANTHROPIC, CHAT, RESPONSES):
        sent = json.loads(DIALECTS[account].render_request(asked, target_for(account, MODELS[account])).body)
        found = {
            ANTHROPIC: lambda sent: sent["output_config"]["format"]["schema"],
            CHAT: lambda sent: sent["response_format"]["json_schema"]["schema"],
            RESPONSES: lambda sent: sent["text"]["format"]["schema"],
        }[account](sent)
        assert [*found["properties"]] == ["c", "b", "a"]


@pytest.mark.parametrize("account", [ANTHROPIC, GEMINI])
def test_the_description_of_a_schema_is_in_it(account: str) -> None:
    """OpenAI's stands beside the schema; together with one that is there already."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    for inner, text in ((None, "Of the weather."), ("Inside.", "Of the weather.\n\nInside.")):
        given = {**schema, "description": inner} if inner else schema
        form = {"name": "weather", "description": "Of the weather.", "schema": given}
        body = {**BASES[CHAT], "response_format": {"type": "json_schema", "json_schema": form}}
        asked = DIALECTS[CHAT].parse_request(json.dumps(body).encode())
        rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
        sent = json.loads(rendered.body)
        member = "generationConfig" if account == GEMINI else "output_config"
        found = sent[member].get("responseJsonSchema") or sent[member]["format"]["schema"]
        assert found == {**schema, "description": text}
        assert [loss.kind for loss in rendered.losses] == ["schema_name"]


SEARCH: dict[str, dict[str, Any]] = {
    ANTHROPIC: {
        "tools": [
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "user_location": {"type": "approximate", "city": "Bern"},
                "allowed_domains": ["a.test"],
            }
        ]
    },
    CHAT: {"web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "Bern"}}}},
    RESPONSES: {
        "tools": [
            {
                "type": "web_search",
                "user_location": {"type": "approximate", "city": "Bern"},
                "filters": {"allowed_domains": ["a.test"]},
            }
        ]
    },
}


@pytest.mark.parametrize("client", SEARCH)
@pytest.mark.parametrize("account", MODELS)
def test_the_place_of_a_search(client: str, account: str) -> None:
    """Where the user is, is told in each vendor's own way, or is a loss."""
    if client == account:
        return
    asked = DIALECTS[client].parse_request(json.dumps({**BASES[client], **SEARCH[client]}).encode())
    model = "gpt-5-search-api" if account == CHAT else MODELS[account]
    rendered = DIALECTS[account].render_request(asked, target_for(account, model))
    sent, losses = json.loads(rendered.body), [loss.kind for loss in rendered.losses]
    both = client != CHAT
    if account == GEMINI:
        assert losses == ["hosted_settings"]
    elif account == CHAT:
        place = {"type": "approximate", "approximate": {"city": "Bern"}}
        assert sent["web_search_options"] == {"user_location": place}
        assert losses == ["hosted_settings"]
    else:
        settings = {name: value for name, value in sent["tools"][0].items() if name not in ("type", "name")}
        domains = {"allowed_domains": ["a.test"]} if both else {}
        if account == RESPONSES and both:
            domains = {"filters": domains}
        assert settings == {"user_location": {"type": "approximate", "city": "Bern"}, **domains}
        assert losses == []


@pytest.mark.parametrize("account", MODELS)
@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "gone"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "gone"}}],
            },
        },
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_choice_of_a_tool_that_is_not_declared(account: str, choice: Any, declared: bool) -> None:
    """It is left to the model, as without a choice, and a loss: no vendor takes it."""
    if account == CHAT:
        return
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    body = {**BASES[CHAT], "tool_choice": choice, **({"tools": [tool]} if declared else {})}
    asked = DIALECTS[CHAT].parse_request(json.dumps(body).encode())
    rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
    assert b"gone" not in rendered.body
    assert not {"tool_choice", "toolConfig"} & json.loads(rendered.body).keys()
    assert [loss.kind for loss in rendered.losses] == ["tool_choice"]


def test_examples_of_a_tools_input_are_a_loss() -> None:
    """Only Anthropic has them."""
    tool = {"name": "f", "input_schema": {"type": "object", "properties": {}}, "input_examples": [{"a": 1}]}
    asked = DIALECTS[ANTHROPIC].parse_request(json.dumps({**BASES[ANTHROPIC], "tools": [tool]}).encode())
    for account in (CHAT, RESPONSES, GEMINI):
        rendered = DIALECTS[account].render_request(asked, target_for(account, MODELS[account]))
        assert [loss.kind for loss in rendered.losses] == ["extras"]
        assert b"input_examples" not in rendered.body
