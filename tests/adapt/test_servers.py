"""Each server of Chat Completions gets requests that it takes, whatever dialect its client speaks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from tests.adapt.strict import SERVERS, complaints
from tests.cases import each
from tests.resources.harness import ACCOUNT_KEY, CLIENT_KEY, World

PATHS = {
    ANTHROPIC: "/v1/messages",
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    GEMINI: "/v1beta/models/m:generateContent",
}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}

MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 4000,
    "temperature": 0.7,
    "system": [{"type": "text", "text": "You are an agent."}, {"type": "text", "text": "Be brief."}],
    "metadata": {"user_id": "someone"},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "messages": [
        {"role": "user", "content": "go"},
        {"role": "system", "content": "Available agent types: x"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I should read it.", "signature": ""},
                {"type": "text", "text": "Reading."},
                {"type": "tool_use", "id": "toolu_01AbC", "name": "read_file", "input": {"path": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01AbC",
                    "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}],
                },
                {"type": "text", "text": "and now?"},
            ],
        },
    ],
    "tools": [{"name": "read_file", "description": "reads", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "read_file"},
}
COMPLETIONS: dict[str, Any] = {
    "model": "m",
    "max_completion_tokens": 4000,
    "temperature": 0.7,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "seed": 7,
    "stop": ["END"],
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
    "reasoning_effort": "xhigh",
    "messages": [
        {"role": "developer", "content": "You are an agent."},
        {"role": "user", "content": "go"},
        {"role": "developer", "content": "Available agent types: x"},
        {
            "role": "assistant",
            "content": "Reading.",
            "tool_calls": [
                {
                    "id": "call_0123456789",
                    "type": "function",
                    "function": {"name": "read_file", "arguments": '{"path":"a"}'},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "call_0123456789",
            "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}],
        },
        {"role": "user", "content": "and now?"},
    ],
    "tools": [{"type": "function", "function": {"name": "read_file", "parameters": SCHEMA, "strict": False}}],
    "tool_choice": {"type": "function", "function": {"name": "read_file"}},
}
ITEMS: dict[str, Any] = {
    "model": "m",
    "max_output_tokens": 4000,
    "instructions": "You are an agent.",
    "reasoning": {"effort": "high", "summary": "auto"},
    "input": [
        {"role": "user", "content": "go"},
        {"role": "developer", "content": "Available agent types: x"},
        {
            "type": "function_call",
            "call_id": "call_0123456789",
            "name": "read_file",
            "arguments": '{"path":"a"}',
        },
        {
            "type": "function_call_output",
            "call_id": "call_0123456789",
            "output": [
                {"type": "input_text", "text": "part one"},
                {"type": "input_text", "text": "part two"},
            ],
        },
        {"role": "user", "content": "and now?"},
    ],
    "tools": [{"type": "function", "name": "read_file", "parameters": SCHEMA, "strict": True}],
    "tool_choice": "required",
}
CONTENTS: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "You are an agent."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "read_file", "args": {"path": "a"}}}]},
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "read_file", "response": {"output": "text"}}},
                {"text": "and now?"},
            ],
        },
    ],
    "tools": [{"functionDeclarations": [{"name": "read_file", "parametersJsonSchema": SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "generationConfig": {
        "maxOutputTokens": 4000,
        "temperature": 0.7,
        "presencePenalty": 0.5,
        "seed": 7,
        "stopSequences": ["END"],
        "thinkingConfig": {"thinkingLevel": "HIGH"},
    },
}
ASKED = {ANTHROPIC: MESSAGES, CHAT: COMPLETIONS, RESPONSES: ITEMS, GEMINI: CONTENTS}


def gateway(base_url: str, model: str, more: str = "") -> World:
    """A gateway with one server of Chat Completions."""
    return World(
        f"""
api-keys: ["{CLIENT_KEY}"]
openai-compatibility:
  - name: server
    base-url: {base_url}
    api-key-entries: [{{api-key: {ACCOUNT_KEY}}}]
    models: [{{name: "{model}", alias: m}}]
{more}
"""
    )


def sent(world: World, dialect: str, body: dict[str, Any], *, stream: bool = False) -> tuple[Any, bytes]:
    """What the server gets, and the bytes of it."""
    path = PATHS[dialect]
    if stream and dialect == GEMINI:
        path = path.replace("generateContent", "streamGenerateContent")
    elif stream:
        body = {**body, "stream": True}
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    assert world.client.sent, connection.answer
    found = world.client.sent[-1].body
    return json.loads(found), found


@each("stream", [False, True], ids=["whole", "stream"])
@each("dialect", PATHS)
@each("server", SERVERS)
def test_a_strict_server_takes_an_agents_whole_request(server: str, dialect: str, stream: bool) -> None:
    """Members, roles, ids, efforts, choices, thinking of before: nothing is sent that the server refuses.

    A client that speaks a server's dialect is trusted to know it, if nobody described that server.
    """
    if (server, dialect) == ("unknown", CHAT):
        return
    base_url, model, _ = SERVERS[server]
    body, _ = sent(gateway(base_url, model), dialect, ASKED[dialect], stream=stream)
    assert complaints(server, body) == []
    told = json.dumps(body["messages"])
    assert "You are an agent." in told
    assert "and now?" in told
    if dialect in (ANTHROPIC, CHAT, RESPONSES):
        assert "Available agent types: x" in told
        assert "part one" in told
        assert "part two" in told


@pytest.mark.parametrize("server", SERVERS)
def test_the_strict_servers_refuse_what_is_not_adapted(server: str) -> None:
    """The rules are real: the client's own request is refused by each of them."""
    assert (
        complaints(
            server,
            {**COMPLETIONS, "model": "m", "reasoning": "x"}
            | {
                "messages": [
                    *COMPLETIONS["messages"],
                    {"role": "assistant", "content": "x", "reasoning_content": "thought"},
                ]
            },
        )
        != []
    )


PLAIN = {
    "model": "m",
    "max_tokens": 100,
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_request_that_fits_passes_byte_for_byte(server: str) -> None:
    """Nothing is written anew that the server takes as it is: odd spacing and numbers stay."""
    base_url, model, _ = SERVERS[server]
    world = gateway(base_url, model)
    text = b'{ "messages" : [{"role":"user","content":"hi \\u00e9"}],  "x-more": 1.50e+1, "model":"m" }'
    world.request("POST", PATHS[CHAT], {"Content-Type": "application/json"}, text)
    assert world.client.sent[0].body == text.replace(b'"m"', json.dumps(model).encode())


def test_what_a_search_finds_and_the_server_takes_passes_byte_for_byte() -> None:
    """A body that was looked at more closely, and fits, is sent as it came."""
    body = json.loads(json.dumps(COMPLETIONS))
    text = json.dumps(
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": "go"},
                {**body["messages"][3], "reasoning_content": "x"},
                {"role": "tool", "tool_call_id": "call_0123456789", "content": "text"},
            ],
            "tools": [{"type": "function", "function": {"name": "read_file", "parameters": SCHEMA}}],
            "tool_choice": "auto",
        },
        indent=1,
    ).encode()
    world = gateway("https://api.deepseek.com/v1", "deepseek-v4-pro")
    world.request("POST", PATHS[CHAT], {"Content-Type": "application/json"}, text)
    assert world.client.sent[0].body == text.replace(b'"m"', b'"deepseek-v4-pro"')


def test_a_trusted_client_at_an_unknown_server_is_passed_on() -> None:
    """Only what OpenAI's own models alone know gets its old name; the rest is the client's to know."""
    body, _ = sent(gateway("http://gpu.test:9000/v1", "my-own-model"), CHAT, COMPLETIONS)
    assert body["max_tokens"] == 4000
    assert [message["role"] for message in body["messages"]][:3] == ["system", "user", "system"]
    assert body["reasoning_effort"] == "xhigh"
    assert body["metadata"] == {"a": "b"}
    assert isinstance(body["messages"][4]["content"], list)


@pytest.mark.parametrize("base_url", ["https://api.openai.com/v1", "http://gpu.test:9000/v1"])
def test_openais_models_keep_openais_own_words(base_url: str) -> None:
    """``max_completion_tokens``, ``developer`` and a system's message anywhere are theirs."""
    text = json.dumps({**COMPLETIONS, "tools": [], "tool_choice": "auto"}).encode()
    world = gateway(base_url, "gpt-4.1")
    world.request("POST", PATHS[CHAT], {"Content-Type": "application/json"}, text)
    assert world.client.sent[0].body == text.replace(b'"m"', b'"gpt-4.1"')
