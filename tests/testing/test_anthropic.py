"""The stand-in of Anthropic refuses what Anthropic refuses, and takes a well-formed tool loop."""

from __future__ import annotations

import copy

import pytest

PATH = "/v1/messages"
TOOLS = [
    {
        "name": name,
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    }
    for name in ("Read", "Grep")
]
BASE = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 4096,
    "messages": [{"role": "user", "content": "Hello there"}],
}


def ask(**changes):
    return {**copy.deepcopy(BASE), **changes}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def text(words):
    return {"type": "text", "text": words}


USE = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "x"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "contents"}
LOOP = [BASE["messages"][0], {"role": "assistant", "content": [USE]}, user(RESULT)]
THINK = {"type": "enabled", "budget_tokens": 2000}
FOREIGN = {"type": "thinking", "thinking": "hm", "signature": "Zm9yZWlnbg=="}

REFUSED = [
    ({"foo": 1}, "foo: Extra inputs are not permitted"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater"),
    ({"temperature": 1.5}, "temperature: Input should be less"),
    ({"metadata": {"session": "x"}}, "metadata.session: Extra inputs"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "assistant", "content": "hi"}]}, "first message must use"),
    ({"messages": [{"role": "system", "content": "hi"}]}, "first message must use"),
    ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role"),
    ({"tools": [{"type": "web_search_tomorrow", "name": "web_search"}]}, "tools.0"),
    ({"messages": [user(text(""))]}, "non-empty"),
    ({"messages": [user(text(" "))]}, "non-whitespace"),
    ({"messages": [user({"type": "input_text", "text": "x"})]}, "messages.0.content.0.type"),
    ({"messages": [user(RESULT)]}, "unexpected `tool_use_id`"),
    ({"messages": LOOP[:2]}, "`tool_use` ids were found without"),
    ({"messages": [*LOOP[:2], user(text("first"), RESULT)]}, "`tool_use` ids were found without"),
    ({"messages": [*LOOP[:2], user(text("no result"))]}, "`tool_use` ids were found without"),
    (
        {"messages": [LOOP[0], {"role": "assistant", "content": [{**USE, "signature": ""}]}, LOOP[2]]},
        "Extra inputs",
    ),
    (
        {"messages": [LOOP[0], {"role": "assistant", "content": [{**USE, "input": "{}"}]}, LOOP[2]]},
        "valid object",
    ),
    (
        {"messages": [LOOP[0], {"role": "assistant", "content": [FOREIGN, text("x")]}, LOOP[0]]},
        "Invalid `signature`",
    ),
    (
        {
            "messages": [
                LOOP[0],
                {"role": "assistant", "content": [{**FOREIGN, "signature": ""}, text("x")]},
                LOOP[0],
            ]
        },
        "Invalid `signature`",
    ),
    ({"messages": LOOP, "tools": TOOLS, "thinking": THINK}, "Expected `thinking` or `redacted_thinking`"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking.budget_tokens"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 4096}},
        "must be greater than `thinking.budget_tokens`",
    ),
    ({"thinking": THINK, "temperature": 0.5}, "may only be set to 1"),
    ({"thinking": THINK, "top_k": 5}, "top_k"),
    ({"thinking": THINK, "tools": TOOLS, "tool_choice": {"type": "any"}}, "forces tool use"),
    ({"tools": [{"name": "x", "input_schema": {}}]}, "input_schema.type"),
    ({"tools": [{"name": "x" * 129, "input_schema": {"type": "object"}}]}, "tools.0.name"),
    ({"tools": [TOOLS[0], TOOLS[0]]}, "must be unique"),
    ({"tool_choice": {"type": "auto"}}, "while providing tools"),
    ({"stop_sequences": [""]}, "stop_sequences.0"),
    ({"messages": [user(*[{**text("x"), "cache_control": {"type": "ephemeral"}}] * 5)]}, "Found 5"),
    (
        {
            "messages": [
                user(
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "/9j/4A=="},
                    }
                )
            ]
        },
        "media type",
    ),
    ({"model": "claude-haiku-4-5-20251001", "thinking": {"type": "adaptive"}}, "adaptive"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_refused(claude, changes, words):
    """A request that Anthropic would refuse is a 400 with its error body."""
    answered = claude("POST", PATH, ask(**changes))
    assert answered.status == 400, answered.body
    assert answered.json["type"] == "error"
    assert answered.json["error"]["type"] == "invalid_request_error"
    assert words in answered.json["error"]["message"]


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
def test_required(claude, missing):
    """A required member that is missing is named."""
    body = ask()
    del body[missing]
    answered = claude("POST", PATH, body)
    assert (answered.status, answered.json["error"]["message"]) == (400, f"{missing}: Field required")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "wrong"},
        {"x-api-key": "vendor-key", "authorization": "Bearer client-key"},
        {"x-api-key": "vendor-key", "x-goog-api-key": "placeholder"},
        {"authorization": "Bearer another"},
    ],
)
def test_credentials(claude, headers):
    """Only the right key, alone, is let in; a foreign secret is noted."""
    answered = claude("POST", PATH, ask(), {**headers, "anthropic-version": "2023-06-01"})
    assert answered.status == 401
    assert answered.json["error"]["type"] == "authentication_error"
    assert bool(claude.stand_in.leaks) == ("client-key" in str(headers))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": NaN}', b"\xff", b'{"model": "x"} x'])
def test_broken_json(claude, body):
    """What is no JSON object is a 400, whatever else it is."""
    answered = claude("POST", PATH, body)
    assert (answered.status, answered.json["error"]["type"]) == (400, "invalid_request_error")


def test_version_is_required(claude):
    """Without ``anthropic-version`` nothing is answered."""
    assert claude("POST", PATH, ask(), {"x-api-key": "vendor-key"}).status == 400


def test_tool_loop_with_thinking(claude):
    """A loop of parallel calls with thinking passes when everything comes back as it was given."""
    messages = [user(text("Please use the tools Read and Grep."))]
    first = claude("POST", PATH, ask(messages=messages, tools=TOOLS, thinking=THINK)).json
    assert [block["type"] for block in first["content"]] == ["thinking", "tool_use", "tool_use"]
    assert first["stop_reason"] == "tool_use"
    results = [
        {
            "type": "tool_result",
            "tool_use_id": block["id"],
            "content": [text(f"result {at}")],
            "is_error": False,
        }
        for at, block in enumerate(first["content"][1:])
    ]
    messages += [{"role": "assistant", "content": first["content"]}, user(*results)]
    second = claude("POST", PATH, ask(messages=messages, tools=TOOLS, thinking=THINK))
    assert second.status == 200, second.body
    assert "result 0; result 1" in second.json["content"][-1]["text"]
    first["content"][0]["thinking"] += "!"
    assert claude("POST", PATH, ask(messages=messages, tools=TOOLS, thinking=THINK)).status == 400


def test_stream_equals_whole(claude):
    """The deltas of a stream are the whole answer, and the counts agree."""
    body = ask(thinking=THINK, messages=[user(text("Tell me a story"))])
    whole = claude("POST", PATH, body).json
    streamed = claude("POST", PATH, {**body, "stream": True})
    events = streamed.events
    assert [event["type"] for event in events][:2] == ["message_start", "ping"]
    assert events[-1] == {"type": "message_stop"}
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == whole["content"][1]["text"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == whole["content"][0]["thinking"]
    assert events[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_words_choose_the_end(claude):
    """``please be cut off`` and ``please refuse`` end as they say."""
    for words, reason in (("please be cut off", "max_tokens"), ("please refuse", "refusal")):
        answered = claude("POST", PATH, ask(messages=[user(text(words))]))
        assert answered.json["stop_reason"] == reason


def test_count_and_models(claude):
    """Tokens are counted without ``max_tokens``; models are listed."""
    body = {name: value for name, value in ask().items() if name != "max_tokens"}
    assert claude("POST", PATH + "/count_tokens", body).json["input_tokens"] > 10
    assert claude("POST", PATH + "/count_tokens", ask()).status == 400
    assert claude("GET", "/v1/models").json["data"][0]["id"].startswith("claude")
    assert claude("GET", "/v1/nothing").status == 404


#: What Claude Code sends to its own vendor, each with the beta that it names for it.
NATIVE = [
    (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        "context-management-2025-06-27",
    ),
    (
        {
            "messages": [
                BASE["messages"][0],
                {"role": "system", "content": "x", "output_config": {"effort": "low"}},
            ]
        },
        "per-turn-control-2026-07-01",
    ),
    (
        {"safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}]},
        "dangerous-tool-use-2026-09-03",
    ),
    ({"thinking": {"type": "adaptive", "display": "updates"}}, "thinking-display-updates-2026-08-18"),
    (
        {
            "tools": TOOLS,
            "messages": [
                BASE["messages"][0],
                {
                    "role": "system",
                    "content": [
                        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "Read"}},
                    ],
                },
            ],
        },
        "mid-conversation-tool-changes-2026-07-01",
    ),
]


@pytest.mark.parametrize(("changes", "beta"), NATIVE)
def test_what_claude_code_sends(claude, changes, beta):
    """Members of a beta are taken from a client that names it, among others, and refused without it."""
    headers = {**claude.headers, "anthropic-beta": f"effort-2025-11-24, {beta}"}
    assert claude("POST", PATH, ask(**changes), headers=headers).status == 200
    refused = claude("POST", PATH, ask(**changes))
    assert refused.status == 400
    assert "permitted" in refused.body.decode() or "Input" in refused.body.decode()


def test_tools_of_the_vendor(claude):
    """Tools that Anthropic runs have no schema; those that were found are named in a result; the system
    may speak in the midst, and parts no call from its result.
    """
    found = {**RESULT, "content": [{"type": "tool_reference", "tool_name": "Grep"}]}
    spoken = [LOOP[0], {"role": "system", "content": "Be brief."}, LOOP[1], user(found)]
    searching = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}
    deferred = {**TOOLS[1], "defer_loading": True}
    body = ask(
        tools=[TOOLS[0], deferred, searching], messages=[*spoken, {"role": "system", "content": "Now."}]
    )
    answered = claude("POST", PATH, body)
    assert answered.status == 200, answered.body
