"""Bodies with members of several dialects at once: what is meant reaches every vendor in its own form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import each
from tests.resources.harness import Connection, World
from tests.resources.test_mixed_shapes import (
    ACCOUNTS,
    ANSWERS,
    ANTHROPICS,
    FLAT,
    HELLO,
    KEY,
    NESTED,
    SCHEMA,
    ask,
)

PNG = "iVBORw0KGgoAAAANSUhEUg=="
MODELS = ("claude-real", "gpt-5.5", "qwen3-coder")
RESPONSES = "/v1/responses"
GEMINIS = {"functionDeclarations": [{"name": "glob", "parametersJsonSchema": SCHEMA}]}


def system_of(sent: dict[str, Any]) -> str:
    """The system's words, wherever a vendor has them."""
    if "messages" in sent and "system" not in sent:
        return json.dumps([one["content"] for one in sent["messages"] if one["role"] == "system"])
    return json.dumps(sent.get("system") or sent.get("instructions") or "")


def limit_of(sent: dict[str, Any]) -> int:
    names = ("max_tokens", "max_output_tokens", "max_completion_tokens")
    (limit,) = [sent[name] for name in names if name in sent]
    return int(limit)


def tools_of(sent: dict[str, Any]) -> dict[str, Any]:
    """Name -> schema."""
    found = [tool.get("function", tool) for tool in sent["tools"]]
    return {one["name"]: one.get("parameters", one.get("input_schema")) for one in found}


@each("model", MODELS)
@each(
    "member",
    [
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "Be brief."}]},
        {"instructions": "Be brief."},
        {"instructions": "Be brief.", "system": "Be brief."},
    ],
)
def test_the_system_beside_messages(model: str, member: dict[str, Any]) -> None:
    """Once, before the system's own messages, and under no name that a server of Chat does not know."""
    messages = [{"role": "system", "content": "Use tools."}, HELLO]
    for path, body in (("/v1/chat/completions", {"messages": messages}), (RESPONSES, {"input": messages})):
        connection, sent = ask(model, path, **body, **member)
        assert connection.status == 200
        words = system_of(sent) if model != "gpt-5.5" else json.dumps(sent)
        assert words.count("Be brief.") == 1
        if model != "gpt-5.5" or path != RESPONSES or "system" in member:
            assert 0 <= words.find("Be brief.") < words.find("Use tools.")
        if model == "qwen3-coder":
            assert sent.keys() <= {"model", "messages", "stream"}


@each("model", MODELS)
@each("name", ["max_tokens", "max_output_tokens", "max_completion_tokens"])
def test_a_limit_by_any_name(model: str, name: str) -> None:
    """The vendor's own name of it, and no other."""
    for path, body in (("/v1/chat/completions", {"messages": [HELLO]}), (RESPONSES, {"input": "go"})):
        _, sent = ask(model, path, **body, **{name: 3000})
        assert limit_of(sent) == 3000


@each("model", ["claude-real", "qwen3-coder"])
def test_stop_sequences(model: str) -> None:
    """Anthropic's name of ``stop``."""
    _, sent = ask(model, messages=[HELLO], stop_sequences=["END"])
    assert sent.get("stop", sent.get("stop_sequences")) == ["END"]
    assert ("stop_sequences" in sent) == (model == "claude-real")


@each("model", MODELS)
@each("path", ["/v1/chat/completions", RESPONSES])
def test_messages_and_input(model: str, path: str) -> None:
    """The path's own member counts, and no vendor sees the other."""
    item = {"role": "user", "content": "first"}
    connection, sent = ask(model, path, messages=[HELLO], input=[item])
    assert connection.status == 200
    assert ('"go"' in json.dumps(sent)) == (path != RESPONSES)
    assert ("first" in json.dumps(sent)) == (path == RESPONSES)


@each("model", MODELS)
@each("path", ["/v1/chat/completions", RESPONSES])
def test_a_body_of_gemini(model: str, path: str) -> None:
    """It is read as what it is, and answered as its path promises."""
    body = {
        "contents": [{"role": "user", "parts": [{"text": "go"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [GEMINIS],
        "generationConfig": {"maxOutputTokens": 3000},
    }
    connection, sent = ask(model, path, **body)
    answer = json.loads(connection.body)
    assert ("output" if path == RESPONSES else "choices") in answer
    assert "Be brief." in system_of(sent)
    assert '"go"' in json.dumps(sent)
    assert tools_of(sent)["glob"] == SCHEMA
    assert limit_of(sent) == 3000


@each("model", MODELS)
@each("path", ["/v1/chat/completions", RESPONSES])
@each("first", range(4))
def test_tools_in_several_forms(model: str, path: str, first: int) -> None:
    """One list of them, whatever comes first."""
    bare = {"name": "bare", "parameters": SCHEMA}
    forms = [NESTED, FLAT, ANTHROPICS, bare]
    tools = [*forms[first:], *forms[:first]]
    body = {"input": "go"} if path == RESPONSES else {"messages": [HELLO]}
    _, sent = ask(model, path, **body, tools=tools)
    assert tools_of(sent) == dict.fromkeys(("grep", "read_file", "list_dir", "bare"), SCHEMA)
    if model == "qwen3-coder":
        assert all(tool["type"] == "function" for tool in sent["tools"])
    if path != RESPONSES:
        _, sent = ask(model, path, **body, tools=[*tools, GEMINIS])
        assert tools_of(sent)["glob"] == SCHEMA


@each("model", ["gpt-5.5", "qwen3-coder"])
@each(
    "choice, word",
    [
        ("any", "required"),
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "grep"}, "grep"),
        ({"type": "function", "function": {"name": "grep"}}, "grep"),
    ],
)
def test_a_choice_in_any_form_at_responses(model: str, choice: Any, word: str) -> None:
    """Words and objects of Anthropic, and Chat's object."""
    flat = {"type": "function", "name": "grep", "parameters": SCHEMA}
    connection, sent = ask(model, RESPONSES, input="go", tools=[flat], tool_choice=choice)
    assert connection.status == 200
    own = {"type": "function", "name": "grep"}
    nested = {"type": "function", "function": {"name": "grep"}}
    assert sent["tool_choice"] == (word if word != "grep" else own if model == "gpt-5.5" else nested)


@each("model", MODELS)
def test_members_of_chat_at_responses(model: str) -> None:
    """A form of the answer, and an effort."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    _, sent = ask(model, RESPONSES, input="go", response_format=form, reasoning_effort="high")
    assert json.dumps(schema) in json.dumps(sent)
    if model == "gpt-5.5":
        assert sent["text"]["format"]["name"] == "x"
        assert sent["reasoning"]["effort"] == "high"
        assert not sent.keys() & {"response_format", "reasoning_effort"}


def pictures(sent: dict[str, Any]) -> list[str]:
    return [place for place in (f"base64,{PNG}", f'"data": "{PNG}"') if place in json.dumps(sent)]


@each("model", MODELS)
@each("size", [1, 100_000])
def test_a_picture_as_bare_base64(model: str, size: int) -> None:
    """As clients of local servers write it."""
    words = {"type": "text", "text": "a" * size}
    for part in ({"type": "image_url", "image_url": {"url": PNG}}, {"type": "image_url", "image_url": PNG}):
        _, sent = ask(model, messages=[{"role": "user", "content": [words, part]}])
        assert len(pictures(sent)) == 1
    _, sent = ask("claude-real", RESPONSES, input=[
        {"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}
    ])  # fmt: skip
    assert len(pictures(sent)) == 1


@each("model", ["claude-real", "gpt-5.5"])
def test_pictures_beside_a_content(model: str) -> None:
    """Ollama's member."""
    _, sent = ask(model, messages=[{"role": "user", "content": "look", "images": [PNG]}])
    assert len(pictures(sent)) == 1
    assert "look" in json.dumps(sent)


def of_anthropic(account: str, **members: Any) -> tuple[Connection, dict[str, Any]]:
    world = World(ACCOUNTS)
    body = {"model": account, "max_tokens": 3000, "messages": [HELLO], **members}
    connection = world.request("POST", "/v1/messages", key=KEY, body=json.dumps(body).encode())
    world.client.sent[0].respond_whole(
        200, json.dumps(ANSWERS[account]).encode(), {"Content-Type": ["application/json"]}
    )
    world.turn()
    return connection, json.loads(world.client.sent[0].body)


@pytest.mark.parametrize("model", MODELS)
@each(
    "choice",
    [
        "required",
        {"type": "function", "function": {"name": "grep"}},
        {"type": "function", "name": "grep"},
        {"type": "tool", "name": "grep"},
    ],
)
def test_tools_of_openai_at_messages(model: str, choice: Any) -> None:
    """Anthropic's own service, too, gets them in its form."""
    connection, sent = of_anthropic(model, tools=[NESTED, FLAT, ANTHROPICS], tool_choice=choice)
    assert connection.status == 200
    assert tools_of(sent) == dict.fromkeys(("grep", "read_file", "list_dir"), SCHEMA)
    if model != "claude-real":
        assert ("grep" if isinstance(choice, dict) else "required") in json.dumps(sent["tool_choice"])
        return
    # Of a model that nobody knows, it is not known whether it takes a forced one while it thinks.
    assert sent["tool_choice"] == {"type": "auto"}


CALLED = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "grep", "arguments": "{}"}}]}
ITEM = {"type": "function_call", "name": "grep", "arguments": "{}"}
#: How clients write a call and its result at the route of Responses -> they are the same.
CALLS: dict[str, list[Any]] = {
    "messages of Chat": [CALLED, {"role": "tool", "tool_call_id": "c1", "content": "found"}],
    "a result without an id": [CALLED, {"role": "tool", "content": "found"}],
    "an object": [{**ITEM, "call_id": "c1"}, {"type": "function_call_output", "output": {"a": 1}}],
    "an id alone": [{**ITEM, "id": "c1"}, {"type": "function_call_output", "output": "found"}],
}


@each("model", ["claude-real", "qwen3-coder"])
@each("case", CALLS)
def test_calls_in_any_form_at_responses(model: str, case: str) -> None:
    """Items, and messages of Chat Completions."""
    _, sent = ask(model, RESPONSES, input=["go", *CALLS[case]], tools=[{**FLAT, "name": "grep"}])
    assert json.dumps(sent["messages"][0]).count('"go"') == 1
    if model == "qwen3-coder":
        assert sent["messages"][1]["tool_calls"][0]["id"] == "c1"
        result = sent["messages"][2]
        assert (result["role"], result["tool_call_id"]) == ("tool", "c1")
    else:
        assert sent["messages"][1]["content"][0]["id"] == "c1"
        (result,) = sent["messages"][2]["content"]
        assert result["tool_use_id"] == "c1"
    assert ("found" if case != "an object" else '{\\"a\\": 1}') in json.dumps(result)


@each("model", ["claude-real", "qwen3-coder"])
@each(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": PNG},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ],
)
def test_pictures_in_any_form_at_responses(model: str, part: dict[str, Any]) -> None:
    """Chat's and Anthropic's."""
    _, sent = ask(model, RESPONSES, input=[{"role": "user", "content": [part]}])
    assert len(pictures(sent)) == 1


@each("model", ["claude-real", "qwen3-coder"])
def test_files_in_any_form_at_responses(model: str) -> None:
    """Chat's and Anthropic's; words are text."""
    source = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}
    for part in ({"type": "file", "file": file}, {"type": "document", "source": source}):
        _, sent = ask(model, RESPONSES, input=[{"role": "user", "content": [part]}])
        assert "aGk=" in json.dumps(sent)
    words = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    _, sent = ask(model, RESPONSES, input=[{"role": "user", "content": [words]}])
    assert "words" in json.dumps(sent)


@each("model", MODELS)
def test_messages_of_chat_at_messages(model: str) -> None:
    """Calls, results, the role ``developer`` and bare texts."""
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": ["go", {"type": "input_text", "text": "on"}]},
        {**CALLED, "content": None},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "user", "content": {"type": "text", "text": "and?"}},
    ]
    if model == "claude-real":
        # Where it is not translated, what shows is looked at.
        messages = [*messages[:1], HELLO, *messages[2:4]]
    connection, sent = of_anthropic(
        model, messages=messages, tools=[NESTED], max_tokens=None, max_completion_tokens=3000, stop="END"
    )
    assert connection.status == 200
    assert "Be brief." in system_of(sent)
    assert limit_of(sent) == 3000
    if model == "claude-real":
        assert sent["stop_sequences"] == ["END"]
        roles = [message["role"] for message in sent["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert sent["messages"][1]["content"][0]["id"] == sent["messages"][2]["content"][0]["tool_use_id"]
        assert not sent.keys() & {"stop", "max_completion_tokens"}
    elif model == "qwen3-coder":
        assert sent["stop"] == ["END"]
        roles = [message["role"] for message in sent["messages"]]
        assert roles == ["system", "user", "assistant", "tool", "user"]
        assert sent["messages"][2]["tool_calls"][0]["id"] == sent["messages"][3]["tool_call_id"] == "c1"
        assert sent["messages"][3]["content"] == "found"
    else:
        kinds = [item["type"] for item in sent["input"]]
        assert kinds == ["message", "function_call", "function_call_output", "message"]


@each("part", [{"type": "image_url", "image_url": {"url": PNG}}, {"type": "input_image", "image_url": PNG}])
@each("model", ["claude-real", "qwen3-coder"])
def test_pictures_of_openai_at_messages(part: dict[str, Any], model: str) -> None:
    """In the form of Chat Completions and of Responses."""
    _, sent = of_anthropic(model, messages=[{"role": "user", "content": [part]}])
    assert len(pictures(sent)) == 1
    assert "image_url" not in json.dumps(sent) or model == "qwen3-coder"


#: Members of a body of Messages -> what Anthropic's service gets in their place.
ALONE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a limit of Chat": ({"max_tokens": None, "max_completion_tokens": 7}, {"max_tokens": 7}),
    "a limit of Responses": ({"max_tokens": None, "max_output_tokens": 7}, {"max_tokens": 7}),
    "two limits": ({"max_completion_tokens": 7}, {"max_tokens": 3000}),
    "a stop": ({"stop": ["END"]}, {"stop_sequences": ["END"]}),
    "a system message": (
        {"messages": [{"role": "system", "content": "Be brief."}, HELLO]},
        {"system": [{"type": "text", "text": "Be brief."}]},
    ),
    "a function": ({"tools": [FLAT]}, {}),
    "a choice": ({"tools": [ANTHROPICS], "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
}


@each("case", ALONE)
@each("size", [1, 100_000])
def test_a_piece_of_openai_at_messages(case: str, size: int) -> None:
    """One is enough, in a body of any size."""
    members, wanted = ALONE[case]
    messages = members.get("messages", [HELLO])
    messages = [*messages[:-1], {"role": "user", "content": "a" * size}]
    _, sent = of_anthropic("claude-real", **{**members, "messages": messages})
    assert wanted.items() <= sent.items()
    assert sent["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a" * size}]}]
    assert not sent.keys() & {"max_completion_tokens", "max_output_tokens", "stop"}


@each(
    "members",
    [
        {},
        {"messages": [HELLO, {"role": "assistant", "content": "ok"}, {"role": "system", "content": "New."}]},
        {"messages": [{"role": "user", "content": 'Why is "tool_calls" not taken, nor "image_url"?'}]},
        {"tools": [ANTHROPICS], "tool_choice": {"type": "any"}},
        {"messages": [{"role": "user", "content": [{"type": "something_new", "image_url": PNG}]}]},
    ],
)
def test_what_is_anthropics_passes(members: dict[str, Any]) -> None:
    """Byte for byte."""
    world = World(ACCOUNTS)
    body = json.dumps({"model": "claude-real", "max_tokens": 3000, "messages": [HELLO], **members}).encode()
    world.request("POST", "/v1/messages", key=KEY, body=body)
    assert world.client.sent[0].body == body


def at_gemini(**body: Any) -> dict[str, Any]:
    world = World(GEMINI_ACCOUNT)
    path = "/v1beta/models/gemini-3-pro-preview:generateContent"
    connection = world.request("POST", path, key=KEY, body=json.dumps(body).encode())
    assert world.client.sent, connection.answer
    return dict(json.loads(world.client.sent[0].body))


GEMINI_ACCOUNT = """
api-keys: [client-key-1]
gemini-api-key: [{api-key: canary-g, base-url: 'http://g.test', models: [gemini-3-pro-preview]}]
"""
GO = {"role": "user", "parts": [{"text": "go"}]}


def test_pieces_of_openai_at_gemini() -> None:
    """Roles, parts and whole messages."""
    system = {"parts": [{"text": "Be brief."}]}
    sent = at_gemini(contents=[{"role": "system", "parts": [{"text": "Be brief."}]}, GO])
    assert (sent["systemInstruction"], sent["contents"]) == (system, [GO])
    sent = at_gemini(contents=[GO, {"role": "assistant", "parts": [{"text": "ok"}]}, GO])
    assert [content["role"] for content in sent["contents"]] == ["user", "model", "user"]
    sent = at_gemini(contents=[{"role": "user", "content": "go"}])
    assert sent["contents"] == [GO]
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    sent = at_gemini(contents=[{"role": "user", "parts": [{"type": "text", "text": "go"}, picture]}])
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "go"}, inline]}]
    sent = at_gemini(messages=[{"role": "system", "content": "Be brief."}, HELLO])
    assert (sent["systemInstruction"], sent["contents"]) == (system, [GO])


@each("body", [{"contents": [GO]}, {"contents": [GO], "new": 1}, {"contents": GO}, {"contents": []}, {}])
def test_what_is_geminis_passes(body: dict[str, Any]) -> None:
    """As it came."""
    assert at_gemini(**body) == body


# ----------------------------------------------------------------- others' members beside Gemini's contents

TO_CLAUDE = "/v1beta/models/claude-real:generateContent"


@each("tool", [NESTED, FLAT, ANTHROPICS])
def test_others_tools_beside_contents(tool: dict[str, Any]) -> None:
    """Declared as Gemini has functions, beside those that are."""
    function = tool.get("function", tool)
    sent = at_gemini(contents=[GO], tools=[tool, GEMINIS])
    declared = [one for entry in sent["tools"] for one in entry["functionDeclarations"]]
    assert [one["name"] for one in declared] == [function["name"], "glob"]
    schema = function.get("parameters", function.get("input_schema"))
    assert declared[0].get("parametersJsonSchema", declared[0].get("parameters")) == schema
    assert "type" not in declared[0]
    _, sent = ask("claude-real", TO_CLAUDE, contents=[GO], tools=[tool])
    assert tools_of(sent) == {function["name"]: schema}


@each(
    "choice, calling",
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ({"type": "any"}, {"mode": "ANY"}),
        ({"type": "tool", "name": "glob"}, {"mode": "ANY", "allowedFunctionNames": ["glob"]}),
        (
            {"type": "function", "function": {"name": "glob"}},
            {"mode": "ANY", "allowedFunctionNames": ["glob"]},
        ),
    ],
)
def test_others_choices_beside_contents(choice: Any, calling: dict[str, Any]) -> None:
    """As Gemini has them; Gemini's own counts more."""
    sent = at_gemini(contents=[GO], tools=[GEMINIS], tool_choice=choice)
    assert sent["toolConfig"] == {"functionCallingConfig": calling}
    assert "tool_choice" not in sent
    own = {"functionCallingConfig": {"mode": "NONE"}}
    assert at_gemini(contents=[GO], tools=[GEMINIS], tool_choice=choice, toolConfig=own)["toolConfig"] == own


def test_others_settings_beside_contents() -> None:
    """In the configuration, where what is there already stays."""
    sent = at_gemini(contents=[GO], max_tokens=7, temperature=0.3, top_p=0.5, stop="x", system="Be brief.")
    config = {"maxOutputTokens": 7, "temperature": 0.3, "topP": 0.5, "stopSequences": ["x"]}
    assert (sent["generationConfig"], sent["contents"]) == (config, [GO])
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert sent.keys() == {"generationConfig", "contents", "systemInstruction"}
    config = {"maxOutputTokens": 9}
    sent = at_gemini(contents=[GO], max_completion_tokens=7, generationConfig=config, maxOutputTokens=8)
    assert sent["generationConfig"] == config
    _, sent = ask("claude-real", TO_CLAUDE, contents=[GO], max_tokens=3000, stop=["x"], system="Be brief.")
    assert (sent["max_tokens"], sent["stop_sequences"]) == (3000, ["x"])
    assert "Be brief." in system_of(sent)
