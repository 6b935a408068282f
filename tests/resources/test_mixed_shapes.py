"""Bodies at the routes of Chat and Responses in other dialects' shapes, as Cursor and others send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.openai_chat.tools_in import is_flat
from tests.resources.harness import World

KEY = "client-key-1"
JSON = {"Content-Type": ["application/json"]}
SSE = {"Content-Type": ["text/event-stream"]}
ACCOUNTS = """
api-keys: [client-key-1]
claude-api-key: [{api-key: canary-k, base-url: 'http://a.test', models: [claude-real]}]
codex-api-key: [{api-key: canary-o, base-url: 'http://o.test/v1', models: [gpt-5.5]}]
openai-compatibility:
  - {name: c, base-url: 'http://c.test/v1', api-key: canary-c, models: [{name: qwen3-coder}]}
"""
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
NESTED = {"type": "function", "function": {"name": "grep", "description": "Finds.", "parameters": SCHEMA}}
FLAT = {"type": "function", "name": "read_file", "description": "Reads.", "parameters": SCHEMA}
ANTHROPICS = {"name": "list_dir", "description": "Lists.", "input_schema": SCHEMA}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"}
CUSTOM = {"type": "custom", "name": "ApplyPatch", "description": "Patches.", "format": GRAMMAR}
HELLO = {"role": "user", "content": "go"}
ANSWERS: dict[str, dict[str, Any]] = {
    "claude-real": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-real",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a"}}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "gpt-5.5": {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": [
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "toolu_1",
                "name": "read_file",
                "arguments": '{"path":"a"}',
            }
        ],
    },
    "qwen3-coder": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "qwen3-coder",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "toolu_1",
                            "type": "function",
                            "function": {"name": "read_file", "arguments": '{"path":"a"}'},
                        }
                    ],
                },
            }
        ],
    },
}


def ask(model: str, path: str = "/v1/chat/completions", **members: Any) -> tuple[Any, dict[str, Any]]:
    """The connection that is answered, and what the vendor was sent."""
    world = World(ACCOUNTS)
    body = json.dumps({"model": model, **members}).encode()
    connection = world.request("POST", path, key=KEY, body=body)
    assert world.client.sent, connection.answer
    sent = world.client.sent[0]
    sent.respond_whole(200, json.dumps(ANSWERS[model]).encode(), JSON)
    return connection, json.loads(sent.body)


@pytest.mark.parametrize("model", ANSWERS)
def test_a_body_of_responses(model: str) -> None:
    """One with ``input`` is read as what it is, and answered in Chat's form, whoever serves."""
    items = [{"role": "user", "content": [{"type": "input_text", "text": "go"}]}]
    connection, sent = ask(model, input=items, tools=[FLAT, CUSTOM], user="u1", max_output_tokens=4000)
    assert connection.status == 200
    told = json.loads(connection.body)
    assert told["object"] == "chat.completion"
    (call,) = told["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "read_file"
    assert json.loads(call["function"]["arguments"]) == {"path": "a"}
    asked = json.dumps(sent)
    assert ("input" in sent) == (model == "gpt-5.5")
    assert "read_file" in asked
    assert "ApplyPatch" in asked
    assert sent.get("max_tokens", sent.get("max_output_tokens", sent.get("max_completion_tokens"))) == 4000


@pytest.mark.parametrize("model", ANSWERS)
def test_flat_tools(model: str) -> None:
    """Tools in Responses' and Anthropic's form beside Chat's own are declared to any vendor in its form."""
    tools = [NESTED, FLAT, CUSTOM, ANTHROPICS]
    connection, sent = ask(model, messages=[HELLO], tools=tools)
    assert connection.status == 200
    names = [tool.get("name") or tool[tool["type"]]["name"] for tool in sent["tools"]]
    assert names == ["grep", "read_file", "ApplyPatch", "list_dir"]
    if model == "qwen3-coder":
        assert [tool["type"] for tool in sent["tools"]] == ["function"] * 4 or sent["tools"][2][
            "type"
        ] == "custom"
        assert sent["tools"][3]["function"]["parameters"] == SCHEMA
        assert "input_schema" not in sent["tools"][3]
    if model == "claude-real":
        assert sent["tools"][1]["input_schema"] == SCHEMA
        assert "start: /.+/s" in sent["tools"][2]["description"]


def test_blocks_of_anthropic() -> None:
    """Calls, results and pictures in Anthropic's form are those of the conversation."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    messages = [
        {"role": "user", "content": [{"type": "input_text", "text": "go"}, picture]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Well."},
                {"type": "tool_use", "id": "t1", "name": "read_file", "input": {"path": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "no"}],
                    "is_error": True,
                },
                {"type": "text", "text": "and?"},
            ],
        },
    ]
    _, sent = ask("claude-real", messages=messages, tools=[ANTHROPICS, FLAT])
    first, called, told = sent["messages"]
    assert [block["type"] for block in first["content"]] == ["text", "image"]
    assert called["content"][1] == messages[1]["content"][1]  # type: ignore[index]
    result, words = told["content"]
    assert (result["type"], result["tool_use_id"], result["is_error"]) == ("tool_result", "t1", True)
    assert words["text"] == "and?"
    _, sent = ask("qwen3-coder", messages=messages, tools=[ANTHROPICS, FLAT])
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]
    assert sent["messages"][1]["tool_calls"][0]["id"] == "t1"


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
#: A part of a message in another dialect's form -> what a server of Chat is sent in its place.
FOREIGN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a picture of Anthropic's": (PICTURE, {"type": "image_url", "url": "data:image/png;base64,aGk="}),
    "a picture of Responses'": (
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "image_url", "url": "data:image/png;base64,aGk="},
    ),
    "a text of Responses'": ({"type": "input_text", "text": "look"}, {"type": "text", "text": "look"}),
    "a document in words": (
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "text", "text": "words"},
    ),
    "a file of Responses'": (
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        {"type": "file", "file_data": "data:application/pdf;base64,aGk="},
    ),
    "a document of Anthropic's": (
        {"type": "document", "source": {**PICTURE["source"], "media_type": "application/pdf"}},  # type: ignore[dict-item]
        {"type": "file", "file_data": "data:application/pdf;base64,aGk="},
    ),
}


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("case", FOREIGN)
def test_parts_in_another_form(case: str, size: int) -> None:
    """A server that takes its own form alone is sent it, however large the request."""
    part, expected = FOREIGN[case]
    words = {"type": "text", "text": "a" * size}
    _, sent = ask("qwen3-coder", messages=[{"role": "user", "content": [words, part]}])
    (message,) = sent["messages"]
    assert message["content"][0] == words
    found = message["content"][1]
    inner = found.get(found["type"])
    assert {"type": found["type"], **(inner if isinstance(inner, dict) else {"text": inner})}.items() >= (
        expected.items()
    )


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_conversation_in_the_form_of_anthropic(size: int) -> None:
    """Calls, thinking and results in parts, without a tool in that form, are Chat's own at its server."""
    call = {"type": "tool_use", "id": "t1", "name": "grep", "input": {"path": "a"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "b" * size}]}
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    redacted = {"type": "redacted_thinking", "data": "c2ln"}
    messages = [
        HELLO,
        {"role": "assistant", "content": [thinking, redacted, {"type": "text", "text": "Well."}, call]},
        {"role": "user", "content": [result]},
    ]
    _, sent = ask("qwen3-coder", messages=messages, tools=[NESTED])
    _, called, told = sent["messages"]
    assert called["content"] in ("Well.", [{"type": "text", "text": "Well."}])
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"path": "a"}
    assert (told["role"], told["tool_call_id"], told["content"]) == ("tool", "t1", "b" * size)


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_only_looks_foreign_passes(size: int) -> None:
    """Names of members, and words of a text, are no types of parts."""
    schema = {"type": "object", "properties": {"image": {"type": "string"}, "source": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "grep", "parameters": schema}}
    text = '"type": "tool_use" ' + "a" * size
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "http://i.test/a"}}]
    world = World(ACCOUNTS)
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": text}]
    body = json.dumps({"model": "qwen3-coder", "messages": messages, "tools": [tool]}).encode()
    world.request("POST", "/v1/chat/completions", key=KEY, body=body)
    assert world.client.sent[0].body == body


CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "t1", "type": "function", **NESTED}]}
CALL["tool_calls"][0]["function"] = {"name": "grep", "arguments": "{}"}  # type: ignore[index]
RESULT = {"role": "tool", "tool_call_id": "t1", "content": "found"}
ITEM = {"type": "function_call", "call_id": "t1", "name": "grep", "arguments": "{}"}
FLAT_CALL = {"id": "t1", "type": "function", "name": "grep", "arguments": "{}"}
#: How clients write a call and its result -> they are the same.
ODD: dict[str, list[Any]] = {
    "items of Responses'": [ITEM, {"type": "function_call_output", "call_id": "t1", "output": "found"}],
    "a result in a part": [
        CALL,
        {**RESULT, "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "found"}]},
    ],
    "a flat call": [{"role": "assistant", "tool_calls": [FLAT_CALL]}, RESULT],
    "texts without parts": [CALL, {**RESULT, "content": ["found"]}],
    "a part without a list": [CALL, {**RESULT, "content": {"type": "text", "text": "found"}}],
}


@pytest.mark.parametrize("case", ODD)
def test_odd_messages(case: str) -> None:
    """They are read as they are meant."""
    _, sent = ask("claude-real", messages=[HELLO, *ODD[case]], tools=[NESTED])
    _, called, told = sent["messages"]
    assert [(block["type"], block["id"], block["name"]) for block in called["content"]] == [
        ("tool_use", "t1", "grep")
    ]
    (result,) = told["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "t1")
    assert result["content"] in ("found", [{"type": "text", "text": "found"}])


@pytest.mark.parametrize("size", [1, 100_000])
def test_items_among_messages_at_a_server_of_chat(size: int) -> None:
    """They and bare addresses of pictures are in its form there."""
    picture = {"type": "image_url", "image_url": "http://i.test/a"}
    words = {"type": "text", "text": "a" * size}
    _, sent = ask(
        "qwen3-coder", messages=[{"role": "user", "content": [words, picture]}, *ODD["items of Responses'"]]
    )
    asked, called, told = sent["messages"]
    assert asked["content"][1] == {"type": "image_url", "image_url": {"url": "http://i.test/a"}}
    assert called["tool_calls"][0]["function"] == {"name": "grep", "arguments": "{}"}
    assert told == RESULT


@pytest.mark.parametrize("messages", [None, []])
@pytest.mark.parametrize("model", ANSWERS)
def test_a_body_of_responses_with_no_messages(model: str, messages: Any) -> None:
    """An empty list is none; tools may have a member of that name. So it is the other way round."""
    schema = {"type": "object", "properties": {"messages": {"type": "array"}, "input": {"type": "string"}}}
    _, sent = ask(model, messages=messages, input="go", tools=[{**FLAT, "parameters": schema}])
    assert '"go"' in json.dumps(sent)
    assert ("messages" in sent) == (model != "gpt-5.5")
    tool = {"type": "function", "function": {"name": "read_file", "parameters": schema}}
    connection, sent = ask(model, "/v1/responses", messages=[HELLO], tools=[tool])
    assert connection.status == 200
    assert '"go"' in json.dumps(sent)


def test_bare_tools_and_choices_at_a_server_of_chat() -> None:
    """Without what stands around them in its form."""
    bare = {"name": "grep", "parameters": SCHEMA}
    _, sent = ask("qwen3-coder", messages=[HELLO], tools=[bare])
    assert sent["tools"] == [{"type": "function", "function": bare}]
    foreign = {"type": "function", "function": {"name": "grep", "input_schema": SCHEMA}}
    _, sent = ask("qwen3-coder", messages=[HELLO], tools=[foreign], tool_choice="any")
    assert sent["tools"] == [{"type": "function", "function": bare}]
    assert sent["tool_choice"] == "required"
    choice = {"type": "function", "name": "grep"}
    _, sent = ask("qwen3-coder", messages=[HELLO], tools=[NESTED], tool_choice=choice)
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "grep"}}


@pytest.mark.parametrize(
    ("member", "effort"),
    [
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"reasoning": {"max_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "medium"),
        ({"reasoning": {"enabled": False}}, "none"),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, "high"),
    ],
)
def test_thinking_in_the_form_of_another_server(member: dict[str, Any], effort: str) -> None:
    """It is understood where another dialect is spoken; a server of this one gets it as it came."""
    _, sent = ask("gpt-5.5", messages=[HELLO], **member)
    assert sent["reasoning"]["effort"] == effort
    _, sent = ask("qwen3-coder", messages=[HELLO], **member)
    assert (
        sent.items() >= {name: value for name, value in member.items() if name != "reasoning_effort"}.items()
    )


def test_a_schema_in_the_form_of_responses() -> None:
    """The members of the format stand in it, or in one of their own."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    for form in ({"name": "x", "schema": schema}, {"json_schema": {"name": "x", "schema": schema}}):
        _, sent = ask("gpt-5.5", messages=[HELLO], response_format={"type": "json_schema", **form})
        assert (sent["text"]["format"]["name"], sent["text"]["format"]["schema"]) == ("x", schema)


@pytest.mark.parametrize("model", ANSWERS)
def test_a_body_of_chat_at_responses(model: str) -> None:
    """One with ``messages`` is read as what it is, and answered in Responses' form: nothing of it is lost."""
    members = {"messages": [{"role": "system", "content": "Be brief."}, HELLO], "tools": [NESTED]}
    connection, sent = ask(model, "/v1/responses", **members, max_tokens=4000)
    assert connection.status == 200
    (item,) = json.loads(connection.body)["output"]
    assert (item["type"], item["name"]) == ("function_call", "read_file")
    asked = json.dumps(sent)
    assert "Be brief." in asked
    assert '"go"' in asked
    assert sent["tools"][0].get("name", sent["tools"][0].get("function", {}).get("name")) == "grep"


@pytest.mark.parametrize("model", ANSWERS)
def test_nested_tools_at_responses(model: str) -> None:
    """Chat's form of a function, and of a choice, reach any vendor in its own."""
    choice = {"type": "function", "function": {"name": "grep"}}
    _, sent = ask(model, "/v1/responses", input="go", tools=[NESTED, FLAT], tool_choice=choice)
    names = [tool.get("name") or tool["function"]["name"] for tool in sent["tools"]]
    assert names == ["grep", "read_file"]
    assert all(("function" in tool) == (model == "qwen3-coder") for tool in sent["tools"])
    # This model takes no demand for a call.
    assert "grep" in json.dumps(sent["tool_choice"]) or model == "claude-real"


@pytest.mark.parametrize("model", ["gpt-5.5", "qwen3-coder"])
def test_a_choice_in_the_form_of_anthropic(model: str) -> None:
    """A server of Chat gets the word."""
    for kind, word in (("auto", "auto"), ("any", "required"), ("none", "none")):
        _, sent = ask(model, messages=[HELLO], tools=[NESTED], tool_choice={"type": kind})
        assert sent["tool_choice"] == word
    _, sent = ask(model, messages=[HELLO], tools=[NESTED], tool_choice={"type": "tool", "name": "grep"})
    assert "grep" in json.dumps(sent["tool_choice"])


def test_plain_bodies_pass() -> None:
    """A body in Chat's own form passes to a server of Chat byte for byte, odd numbers and all."""
    world = World(ACCOUNTS)
    body = json.dumps({"model": "qwen3-coder", "messages": [HELLO], "tools": [NESTED], "x": 1}).encode()
    body = body.replace(b'"x": 1', b'"x":1.50')
    world.request("POST", "/v1/chat/completions", key=KEY, body=body)
    assert world.client.sent[0].body == body


def test_nothing_at_all() -> None:
    """Without messages and input it is refused as before."""
    world = World(ACCOUNTS)
    connection = world.request("POST", "/v1/chat/completions", key=KEY, body=b'{"model":"claude-real"}')
    assert connection.status == 400
    assert "messages" in json.loads(connection.body)["error"]["message"]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
@pytest.mark.parametrize(
    ("tools", "flat"),
    [
        ([NESTED, NESTED], False),
        ([NESTED, FLAT], True),
        ([NESTED, CUSTOM], True),
        ([ANTHROPICS], True),
        ([{"type": "custom", "custom": {"name": "a"}}], False),
        ([{"type": "web_search"}], False),
        ([], False),
    ],
)
def test_the_glance(tools: list[Any], flat: bool, separators: tuple[str, str]) -> None:
    """Flat declarations are found however the JSON is written."""
    if separators == (" , ", " : ") and flat and tools != [ANTHROPICS]:
        return  # a blank before a comma, which no encoder writes
    assert is_flat(json.dumps(tools, separators=separators).encode()) == flat


def test_system_messages_that_begin_a_conversation() -> None:
    """A server of Messages that takes none among the messages gets them as its system text."""
    accounts = """
api-keys: [client-key-1]
claude-api-key:
  - {api-key: canary-k, base-url: 'https://api.deepseek.com/anthropic', models: [deepseek-chat]}
"""
    world = World(accounts)
    messages = [{"role": "system", "content": "One."}, {"role": "system", "content": "Two."}, HELLO]
    body = {"model": "deepseek-chat", "max_tokens": 9, "system": "Zero.", "messages": messages}
    world.request("POST", "/v1/messages", key=KEY, body=json.dumps(body).encode())
    sent = json.loads(world.client.sent[0].body)
    assert [message["role"] for message in sent["messages"]] == ["user"]
    assert [block["text"] for block in sent["system"]] == ["Zero.", "One.", "Two."]


def test_a_function_without_parameters() -> None:
    """Gemini refuses an empty schema, and takes none; servers of Chat the other way round."""
    accounts = (
        ACCOUNTS + "gemini-api-key: [{api-key: canary-g, base-url: 'http://g.test', models: [gemini-x]}]\n"
    )
    for parameters in ({}, None):
        tools = [{"type": "function", "name": "grep", "parameters": parameters}]
        world = World(accounts)
        for model in ("gemini-x", "qwen3-coder"):
            body = json.dumps({"model": model, "input": "go", "tools": tools}).encode()
            world.request("POST", "/v1/responses", key=KEY, body=body)
        gemini, chat = (json.loads(sent.body)["tools"][0] for sent in world.client.sent)
        assert gemini["functionDeclarations"] == [{"name": "grep"}]
        assert chat["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("model", ANSWERS)
def test_thinking_that_mistral_wrote(model: str) -> None:
    """A client gives it back as it came: no vendor's answer fails for it, and the words stay."""
    words = {"type": "text", "text": "ok"}
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    connection, sent = ask(model, messages=[HELLO, {"role": "assistant", "content": [thought, words]}, HELLO])
    assert connection.status == 200
    assert '"ok"' in json.dumps(sent)
    assert '"thinking": [' not in json.dumps(sent)
