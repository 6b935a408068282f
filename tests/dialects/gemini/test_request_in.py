"""A Gemini client's request is understood, and a wrong one is refused with the member's name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.adapt.target import target_for
from ampproxy.dialects.gemini import DIALECT
from ampproxy.errors import ClientFault
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, OutputFormat, Thinking, ToolChoice


def read(*contents: Any, **fields: Any) -> ChatRequest:
    body = {"contents": list(contents), **fields}
    return DIALECT.parse_request(json.dumps(body).encode(), model="gemini-x", stream=True)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def call(name: str, **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **fields}}


def result(name: str | None, text: str, **fields: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"functionResponse": {**named, "response": {"output": text}, **fields}}


def pairs(request: ChatRequest) -> list[tuple[str, str]]:
    """(call id, words) of all results."""
    parts = [part for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]
    return [(part.call, "".join(t.text for t in part.parts if isinstance(t, Text))) for part in parts]


def calls(request: ChatRequest) -> list[str]:
    return [part.id for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)]


def test_the_path_tells_model_and_stream() -> None:
    """Neither is in the body."""
    request = read(user({"text": "hi"}))
    assert (request.model, request.stream, request.dialect) == ("gemini-x", True, "gemini")


def test_missing_role_is_the_users() -> None:
    """As at Google."""
    assert read({"parts": [{"text": "hi"}]}).turns[0].role == "user"


def test_ids_are_made_and_results_paired_by_place() -> None:
    """Parallel calls of one function without ids keep their own results."""
    request = read(
        user({"text": "q"}),
        model(call("f"), call("g"), call("f")),
        user(result("f", "f1"), result("f", "f2"), result("g", "g1")),
        model(call("f")),
        user(result("f", "f3")),
    )
    ids = calls(request)
    assert len(set(ids)) == 4
    assert pairs(request) == [(ids[0], "f1"), (ids[2], "f2"), (ids[1], "g1"), (ids[3], "f3")]


def test_ids_do_not_change_when_the_history_grows() -> None:
    """The prompt cache of another vendor lives of that."""
    history = [user({"text": "q"}), model(call("f"), call("f")), user(result("f", "1"), result("f", "2"))]
    short, long = read(*history), read(*history, model(call("f")))
    assert calls(long)[:2] == calls(short)
    assert long.turns[:3] == short.turns or [t.role for t in long.turns[:3]] == ["user", "assistant", "user"]


def test_given_ids_are_kept_and_never_made_again() -> None:
    """Ids of the client win over places, and a made id never collides with one."""
    request = read(
        user({"text": "q"}),
        model(call("f", id="b"), call("f", id="a"), call("f"), call("f", id="call_g1")),
        user(result("f", "A", id="a"), result("f", "B", id="b")),
    )
    assert pairs(request) == [("a", "A"), ("b", "B")]
    assert len(set(calls(request))) == 4


def test_results_without_names_or_calls() -> None:
    """A result without a name is the next call's; one of an unknown function is nobody's."""
    request = read(
        user({"text": "q"}), model(call("f"), call("g")), user(result(None, "1"), result("h", "2"))
    )
    (first, _), (second, _) = pairs(request)
    assert first == calls(request)[0]
    assert second not in calls(request)


def test_results_are_opened() -> None:
    """The words of a result reach other vendors without their wrapping."""
    request = read(
        user(
            {"functionResponse": {"name": "a", "response": {"output": "x"}}},
            {"functionResponse": {"name": "a", "response": {"error": "bad"}}},
            {"functionResponse": {"name": "a", "response": {"result": {"n": 1}}}},
            {"functionResponse": {"name": "a", "response": {"output": "x", "exit": 0}}},
            {"functionResponse": {"name": "a", "response": {}}},
            {
                "functionResponse": {
                    "name": "a",
                    "response": {"output": ""},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
                }
            },
        )
    )
    found = [part for part in request.turns[0].parts if isinstance(part, ToolResult)]
    assert [(part.parts, part.is_error) for part in found] == [
        ((Text("x"),), False),
        ((Text("bad"),), True),
        ((Text('{"n":1}'),), False),
        ((Text('{"output": "x", "exit": 0}'),), False),
        ((), False),
        ((Image(Inline("image/png", "aGk=")),), False),
    ]


def test_thoughts_of_a_stream_are_one() -> None:
    """A thought that came in pieces is one again, up to its proof."""
    request = read(
        model(
            {"text": "a", "thought": True},
            {"text": "b", "thought": True},
            {"text": "", "thought": True, "thoughtSignature": "YWJj"},
            {"text": "c", "thought": True},
            {"text": "said"},
        )
    )
    thoughts = [part for part in request.turns[0].parts if isinstance(part, Reasoning)]
    assert [(part.text, part.signature is not None) for part in thoughts] == [("ab", True), ("c", False)]


def test_media() -> None:
    """Each kind of file is known by its type; Google's own files are Google's."""
    files = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    request = read(
        user(
            {"inlineData": {"mimeType": "image/png", "data": "-_8="}},
            {"inline_data": {"mime_type": "application/pdf", "data": "aGk="}},
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
            {"fileData": {"mimeType": "image/png", "fileUri": files}},
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/a"}},
            {"executableCode": {"code": "1"}},
        )
    )
    *known, opaque = request.turns[0].parts
    assert known == [
        Image(Inline("image/png", "+/8=")),
        Document(Inline("application/pdf", "aGk=")),
        Audio(Inline("audio/wav", "aGk=")),
        Image(FileId("gemini", files, "image/png")),
        Image(Link("https://x.example/a", "image/png")),
    ]
    assert isinstance(opaque, Opaque)
    assert opaque.kind == "executableCode"


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("named", "f")),
        ({"mode": "any"}, ToolChoice("required")),
        ({"mode": "ANY", "allowed_function_names": ["f", "g"]}, ToolChoice("required", allowed=("f", "g"))),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({}, ToolChoice("auto")),
        ({"mode": "VALIDATED"}, ToolChoice("auto")),
    ],
)
def test_tool_choice(config: Any, choice: ToolChoice) -> None:
    """Modes become choices."""
    assert read(user(), toolConfig={"functionCallingConfig": config}).choice == choice


@pytest.mark.parametrize(
    ("config", "thinking"),
    [
        ({"thinkingBudget": 0}, Thinking("off")),
        ({"thinkingBudget": -1, "includeThoughts": True}, Thinking("auto", budget=-1, show=True)),
        ({"thinkingBudget": 2048}, Thinking("budget", budget=2048)),
        ({"thinkingLevel": "HIGH"}, Thinking("level", level="high")),
        (
            {"thinking_level": "minimal", "include_thoughts": False},
            Thinking("level", level="minimal", show=False),
        ),
        ({"includeThoughts": True}, Thinking("auto", show=True)),
    ],
)
def test_thinking(config: Any, thinking: Thinking) -> None:
    """Budgets and levels become wishes."""
    assert read(user(), generationConfig={"thinkingConfig": config}).thinking == thinking


def test_schemas_become_json_schema() -> None:
    """Both spellings of a schema reach other vendors as JSON Schema."""
    declared = [
        {"name": "a", "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}}},
        {"name": "b", "parametersJsonSchema": {"type": "object", "$defs": {}}},
        {"name": "c"},
    ]
    request = read(
        user(),
        tools=[{"functionDeclarations": declared}, {"googleSearch": {}}],
        generationConfig={"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}},
    )
    schemas = [json.loads(bytes(tool.schema)) if tool.schema else None for tool in request.tools]
    assert schemas == [
        {"type": "object", "properties": {"x": {"type": "string"}}},
        {"type": "object", "$defs": {}},
        None,
    ]
    assert [tool.kind for tool in request.hosted] == ["web_search"]
    assert request.output is not None
    assert json.loads(bytes(request.output.schema or b"")) == {"type": "string"}
    bare = read(user(), generationConfig={"response_mime_type": "application/json"})
    assert bare.output == OutputFormat("json")


def test_counting_requests_are_read() -> None:
    """A request to count tokens may carry a whole request."""
    body = {"generateContentRequest": {"model": "models/g", "contents": [user({"text": "x"})]}}
    request = DIALECT.parse_request(json.dumps(body).encode())
    assert (request.model, len(request.turns)) == ("models/g", 1)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": "x"}, "contents"),
        ({"contents": [5]}, "contents[0]"),
        ({"contents": [{"role": "tool", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"parts": [{"inlineData": {"data": "x"}}]}]}, "contents[0].parts[0].inlineData"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}, None),
        (
            {"contents": [], "tools": [{"functionDeclarations": [{}]}]},
            "tools[0].functionDeclarations[0].name",
        ),
        ({"contents": [], "generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"contents": [], "generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"contents": [], "generationConfig": {"stopSequences": "x"}}, "generationConfig.stopSequences"),
        (
            {"contents": [], "generationConfig": {"thinkingConfig": {"thinkingLevel": "huge"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        ({"contents": [], "systemInstruction": 5}, "systemInstruction"),
    ],
)
def test_wrong_requests_name_the_member(body: Any, param: str | None) -> None:
    """The client's user can find what is wrong."""
    with pytest.raises(ClientFault) as caught:
        DIALECT.parse_request(json.dumps(body).encode(), model="g")
    assert caught.value.error.status == 400
    assert param is None or caught.value.error.param == param


def test_an_object_is_a_list_of_one() -> None:
    """So Google's guides write it, and its API takes it."""
    body = {
        "system_instruction": {"parts": {"text": "You are a cat."}},
        "contents": {"role": "user", "parts": {"text": "Hello"}},
        "tools": {"function_declarations": {"name": "f"}},
    }
    asked = DIALECT.parse_request(json.dumps(body).encode(), model="m", stream=False)
    assert [part.text for part in asked.system] == ["You are a cat."]
    assert [turn.parts for turn in asked.turns] == [(Text("Hello"),)]
    assert [tool.name for tool in asked.tools] == ["f"]
    called = {"id": "call_g1", "name": "f", "args": {}}
    asked = read({"role": "model", "parts": {"functionCall": called}}, model(call("g")))
    assert [part.id for turn in asked.turns for part in turn.parts] == ["call_g1", "call_g2"]


def test_numbers_as_the_api_takes_them() -> None:
    """40.0 is 40, and a text of digits is a number."""
    sampling = read(user(), generationConfig={"topK": 40.0, "maxOutputTokens": "100"}).sampling
    assert (sampling.top_k, sampling.max_tokens) == (40, 100)


def test_an_agents_request_holds_nothing_that_only_gemini_knows() -> None:
    """The common request goes to another vendor without a loss: no member is left uninterpreted."""
    declared = [{"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {}}}]
    request = read(
        user({"text": "q"}),
        model({"text": "hm", "thought": True}, call("f")),
        user(result("f", "x")),
        systemInstruction={"role": "user", "parts": [{"text": "s"}]},
        tools=[{"functionDeclarations": declared}],
        toolConfig={"functionCallingConfig": {"mode": "AUTO"}},
        generationConfig={
            "temperature": 1,
            "maxOutputTokens": 65535,
            "seed": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
            "thinkingConfig": {"includeThoughts": True},
        },
        serviceTier="priority",
    )
    assert request.extras == {}
    assert request.service_tier == "priority"
    assert all(not tool.extras for tool in request.tools)
    assert all(not getattr(part, "extras", {}) for turn in request.turns for part in turn.parts)


def test_a_mere_wish_to_see_thoughts_names_no_amount() -> None:
    """It must not switch thinking on at a model that does not think unless told."""
    target = target_for("gemini", "gemini-2.5-flash-lite")
    for config in ({"includeThoughts": True}, {"thinkingBudget": -1}):
        sent = json.loads(
            DIALECT.render_request(read(generationConfig={"thinkingConfig": config}), target).body
        )
        assert sent["generationConfig"]["thinkingConfig"] == config


def test_a_streamed_answer_kept_in_chunks_is_one_turn() -> None:
    """Google's SDK keeps each chunk of a stream as a content; the calls in them are answered together."""
    request = read(
        user({"text": "q"}),
        model({"text": "hm", "thought": True}),
        model({"text": "!", "thought": True, "thoughtSignature": "YWJj"}),
        model({"text": "Hel"}),
        model({"text": "lo"}),
        model(call("f")),
        model(call("f")),
        model({"text": ""}),
        user(result("f", "1"), result("f", "2")),
    )
    assert [turn.role for turn in request.turns] == ["user", "assistant", "user"]
    thought, text, *_ = request.turns[1].parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, thought.signature is not None) == ("hm!", True)
    assert text == Text("Hello")
    assert pairs(request) == list(zip(calls(request), ["1", "2"], strict=True))


@pytest.mark.parametrize("text", [{"text": ""}, {}])
def test_signature_alone(text: dict[str, str]) -> None:
    """A part with nothing but a signature is one of an empty text, which Google's SDK for Go leaves out: it
    ends the thought before it.
    """
    parts = {"text": "so", "thought": True}, {**text, "thought": True, "thoughtSignature": "YWJj"}
    (_, turn) = read(user({"text": "hi"}), model(*parts, {**text, "thoughtSignature": "eHl6"})).turns
    thought, after = turn.parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, thought.redacted) == ("so", False)
    assert thought.signature is not None
    assert thought.signature.value == "YWJj"
    assert isinstance(after, Text)
    assert after.signature is not None
    assert (after.text, after.signature.value) == ("", "eHl6")
