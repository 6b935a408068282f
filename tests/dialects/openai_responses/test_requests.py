"""Requests of OpenAI Responses: read, and said by the rules that the service checks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from ampproxy.adapt.schema import is_strict
from ampproxy.dialects import proof
from ampproxy.dialects.base import Target
from ampproxy.dialects.openai_responses import DIALECT
from ampproxy.dialects.openai_responses.for_others import require_self_contained, self_contained
from ampproxy.errors import ClientFault
from ampproxy.model.base import Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Reasoning,
    Refusal,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import (
    ChatRequest,
    HostedTool,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)
from tests import strategies
from tests.dialects.builders import assistant, rendered, user

VECTORS = Path(__file__).parents[2] / "vectors" / "openai-responses" / "requests"
TARGET = Target("gpt-5.1", thinking="level", levels=("low", "medium", "high"))
CLOSED = b'{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}'
OWN = Signature("openai-responses", "gAAAA", "rs_1")


def parse(**members: Any) -> ChatRequest:
    return DIALECT.parse_request(json.dumps({"model": "m", **members}).encode())


def chat(*turns: Turn, **members: Any) -> ChatRequest:
    return ChatRequest(dialect="anthropic", model="m", turns=turns, **members)


def say(request: ChatRequest, target: Target = TARGET) -> tuple[dict[str, Any], set[str]]:
    """The body, and the kinds of what was lost."""
    body, lost = rendered(DIALECT, request, target)
    return body, set(lost)


# ----------------------------------------------------------------------------------------- reading


def test_what_amp_sends():
    """The coding agent's thread is read with its calls, results, proofs and wishes."""
    request = DIALECT.parse_request((VECTORS / "amp.json").read_bytes())
    assert request.system == (Text("You are a coding agent."),)
    first, thought, results = request.turns
    assert first.parts == (Text("List the files"), Image(Inline("image/png", "iVBORw0KGgo="), "high"))
    reasoning = Reasoning(
        "Plan\n\nAct", Signature("openai-responses", "gAAAAA-proof", "rs_1"), sections=("Plan", "Act")
    )
    assert thought.parts == (
        reasoning,
        ToolCall("call_1", "Bash", '{"cmd":"ls"}'),
        ToolCall("call_2", "Read", '{"path":"a"}'),
    )
    assert results.parts == (
        ToolResult("call_1", (Text('{"output":"a b","exitCode":0}'),)),
        ToolResult("call_2", (Text("text of a"), Image(Inline("image/png", "iVBORw0KGgo=")))),
        Text("Thanks"),
    )
    assert request.thinking == Thinking("level", level="high", show=True, summary="auto")
    assert (request.stream, request.include_signatures, request.parallel) == (True, True, True)
    assert (request.cache_key, request.service_tier) == ("T-1", "priority")
    assert request.sampling.max_tokens == 128_000
    assert request.tools[0].strict is False
    assert set(request.extras) == {"store", "stream_options"}


def test_everything_else():
    """Every kind of item, tool and member has its place, and what nobody knows keeps its text."""
    request = DIALECT.parse_request((VECTORS / "everything.json").read_bytes())
    assert request.system == (Text("Be brief."), Text("Prefer tables."))
    assert request.turns[0] == user(Text("Read this"))
    assert request.turns[1].parts == (
        Document(Inline("application/pdf", "JVBERi0="), name="a.pdf"),
        Document(Link("https://example.org/b.pdf")),
        Document(FileId("openai-responses", "file-1")),
        Image(FileId("openai-responses", "file-2")),
        Audio(Inline("audio/wav", "UklGRg==")),
    )
    words, search, refusal, call = request.turns[2].parts
    assert isinstance(words, Text)
    assert set(words.extras) == {"id", "phase", "annotations"}
    assert isinstance(search, Opaque)
    assert refusal == Refusal("No.")
    assert call == ToolCall("call_9", "apply_patch", "*** Begin", freeform=True, item="ctc_9")
    assert request.turns[3] == user(ToolResult("call_9", (Text("ok"),), freeform=True))
    assert request.turns[4] == Turn("system", (Text("From now on, French."),))
    assert [tool.freeform for tool in request.tools] == [False, True]
    assert request.tools[0].strict is None
    assert [tool.kind for tool in request.hosted] == [
        "web_search", "code_execution", "file_search", "mcp", "image_generation", "local_shell",
    ]  # fmt: skip
    assert request.choice == ToolChoice("required", allowed=("f", "apply_patch"))
    assert request.output is not None
    assert request.output.strict is True
    assert b"12345678901234567890" in bytes(request.output.schema or b"")
    assert request.thinking == Thinking("off")
    assert request.sampling == Sampling(
        max_tokens=500, temperature=0.5, top_p=0.9, top_logprobs=3, logprobs=True
    )
    assert request.user == "u-1"
    assert b"1.50e400" in bytes(request.extras["x_new_member"])
    assert b"1.50e400" in DIALECT.render_request(request, TARGET).body


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"input":"x"}', "model"),
        (b'{"model":"m","input":5}', "input"),
        (b'{"model":"m","input":[5]}', "input[0]"),
        (b'{"model":"m","input":[{"role":"robot","content":"x"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"type":"function_call","call_id":"c"}]}', "input[0].name"),
        (b'{"model":"m","input":[{"type":"function_call_output","output":"x"}]}', "input[0].call_id"),
        (b'{"model":"m","input":[{"role":"user","content":[{"text":"x"}]}]}', "input[0].content[0].type"),
        (b'{"model":"m","max_output_tokens":"many"}', "max_output_tokens"),
        (b'{"model":"m","reasoning":{"effort":"huge"}}', "reasoning.effort"),
        (b'{"model":"m","text":{"format":{"type":"xml"}}}', "text.format.type"),
        (b'{"model":"m","tools":[{"type":"function"}]}', "tools[0].name"),
        (b'{"model":"m","tool_choice":"perhaps"}', "tool_choice"),
    ],
)
def test_faults_name_the_member(body: bytes, param: str | None):
    """A client that sends something wrong is told where."""
    with pytest.raises(ClientFault) as caught:
        DIALECT.parse_request(body)
    assert caught.value.error.param == param
    assert caught.value.error.status == 400
    assert (param or "The request body is not valid") in caught.value.error.message


def test_choices():
    """All forms of ``tool_choice`` are understood; one for a hosted tool stays this dialect's own."""
    tool = {"type": "function", "name": "f", "parameters": {}}
    assert parse(tool_choice="required", tools=[tool]).choice == ToolChoice("required")
    assert parse(tool_choice={"type": "function", "name": "f"}).choice == ToolChoice("named", "f")
    assert parse(tool_choice={"type": "custom", "name": "f"}).choice == ToolChoice("named", "f")
    hosted = parse(tool_choice={"type": "web_search"}, tools=[{"type": "web_search"}])
    assert hosted.choice is None
    assert say(hosted)[0]["tool_choice"] == {"type": "web_search"}


def test_strict_is_the_default():
    """A function that does not say is strict where its schema lets it be, and is not made so elsewhere."""
    tools = [
        {"type": "function", "name": "a", "parameters": json.loads(CLOSED)},
        {"type": "function", "name": "b", "parameters": {"type": "object", "properties": {"x": {}}}},
        {"type": "function", "name": "c", "parameters": json.loads(CLOSED), "strict": False},
        {"type": "function", "name": "d", "parameters": json.loads(CLOSED), "strict": None},
    ]
    request = parse(tools=tools)
    assert [tool.strict for tool in request.tools] == [True, None, False, None]
    assert [tool.get("strict") for tool in say(request)[0]["tools"]] == [True, None, False, None]


def test_proofs_of_others_are_told_apart():
    """A proof that we marked is its vendor's again, whatever item it came in."""
    foreign = Signature("anthropic", "c2ln")
    item = {
        "type": "reasoning",
        "id": "rs_9",
        "summary": [],
        "encrypted_content": proof.wrap_signature("", foreign),
    }
    request = parse(input=[item, {"role": "assistant", "content": "x"}])
    assert request.turns[0].parts[0] == Reasoning("", foreign, redacted=True)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        ({"input": [{"id": "msg_1"}]}, "input"),
    ],
)
def test_stored_state_is_refused_elsewhere(members: dict[str, Any], param: str):
    """What only OpenAI remembers cannot be answered by another vendor, and the client is told what to do."""
    with pytest.raises(ClientFault) as caught:
        require_self_contained(parse(**members))
    assert caught.value.error.param == param
    assert "lease" in caught.value.error.message


def test_what_is_self_contained_passes():
    """A whole conversation is nobody's memory."""
    require_self_contained(parse(input="hi", background=False, previous_response_id=None, store=True))


def test_what_means_nothing_elsewhere():
    """That nothing is stored, how a stream is padded and what a message is called are no loss elsewhere."""
    message = {"role": "assistant", "id": "msg_1", "content": "x"}
    request = parse(input=[message], store=False, stream_options={"include_obfuscation": False})
    assert self_contained(request).extras == {}
    assert self_contained(request).turns[0].parts == (Text("x"),)
    assert set(self_contained(parse(input="x", store=True, top="x")).extras) == {"store", "top"}
    with pytest.raises(ClientFault):
        self_contained(parse(previous_response_id="resp_1"))


# ------------------------------------------------------------------------------------------ saying


def test_results_without_an_id():
    """They belong to the first call that waits, of their tool if they name it; arguments may be an object."""
    items = [
        {"type": "function_call", "call_id": "c1", "name": "a", "arguments": {"x": 1}},
        {"type": "function_call", "call_id": "c2", "name": "b", "arguments": "{}"},
        {"type": "function_call", "call_id": "c3", "name": "a", "arguments": "{}"},
        {"type": "function_call_output", "name": "b", "output": "of b"},
        {"type": "function_call_output", "output": "of a"},
        {"type": "function_call_output", "call_id": "c3", "output": "of a, too"},
    ]
    calls, results = parse(input=items).turns
    assert [json.loads(call.arguments) for call in calls.parts] == [{"x": 1}, {}, {}]
    assert [result.call for result in results.parts] == ["c2", "c1", "c3"]
    with pytest.raises(ClientFault, match="call_id"):
        parse(input=[*items, {"type": "function_call_output", "output": "of none"}])


def test_system_texts():
    """One system text is ``instructions``; several keep their bounds and stand first."""
    assert say(chat(user(Text("hi")), system=(Text("A"),)))[0]["instructions"] == "A"
    body, _ = say(chat(user(Text("hi")), system=(Text("A"), Text("B"))))
    assert [part["text"] for part in body["input"][0]["content"]] == ["A", "B"]
    assert body["input"][0]["role"] == "system"
    body, _ = say(chat(user(Text("hi")), Turn("system", (Text("C"),))))
    assert body["input"][1]["role"] == "system"


def test_a_turn_with_everything():
    """Words come before the calls they announce, results before the words after them; types fit roles."""
    body, losses = say(
        chat(
            user(Text("go"), Image(Inline("image/png", "aGk="))),
            assistant(Text("Looking"), ToolCall("c" * 90, "Bash", "")),
            user(
                ToolResult("c" * 90, (Text("no"), Image(Link("https://example.org/a.png"))), is_error=True),
                Text("and?"),
                Document(Inline("application/pdf", "JVBERi0=")),
                Document(None, "plain"),
            ),
        )
    )
    first, words, call, result, after = body["input"]
    assert first["content"][1] == {
        "type": "input_image",
        "detail": "auto",
        "image_url": "data:image/png;base64,aGk=",
    }
    assert words["content"] == [{"type": "output_text", "text": "Looking"}]
    assert call["arguments"] == "{}"
    assert len(call["call_id"]) <= 64
    assert result["call_id"] == call["call_id"]
    assert [part["type"] for part in result["output"]] == ["input_text", "input_image"]
    assert [part["type"] for part in after["content"]] == ["input_text", "input_file", "input_text"]
    assert after["content"][1]["filename"] == "document.pdf"
    assert losses == {"is_error"}


def test_thinking_goes_back_only_with_its_own_proof():
    """Reasoning returns under the id it was issued with; all other thinking stays out, and that is said."""
    body, losses = say(
        chat(
            user(Text("a")),
            assistant(
                Reasoning("mine", OWN),
                Reasoning("theirs", Signature("anthropic", "x")),
                Reasoning("nobody's"),
                ToolCall("c", "f", "{}", signature=Signature("gemini", "y")),
            ),
            user(ToolResult("c", (Text("r"),))),
            assistant(Reasoning("last", Signature("openai-responses", "z", "rs_2"))),
            user(Text("b")),
        )
    )
    reasoning = [item for item in body["input"] if item["type"] == "reasoning"]
    assert reasoning == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "mine"}],
            "encrypted_content": "gAAAA",
        }
    ]
    assert losses == {"foreign_proof", "reasoning", "orphan_reasoning"}
    plain, losses = say(
        chat(user(Text("a")), assistant(Reasoning("x", OWN), Text("y"))), Target("gpt-4.1", thinking="none")
    )
    assert [item["type"] for item in plain["input"]] == ["message", "message"]
    assert losses == {"reasoning"}


def test_the_vendors_memory_of_thinking():
    """A reasoning item known by its id alone is sent where the vendor stores answers, and only there."""
    items = [{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "assistant", "content": "x"}]
    assert say(parse(input=items))[0]["input"][0] == {"type": "reasoning", "id": "rs_1", "summary": []}
    body, losses = say(parse(input=items, store=False))
    assert [item["type"] for item in body["input"]] == ["message"]
    assert losses == {"reasoning"}


def test_interrupted_calls():
    """A call that was never answered is answered as interrupted; a result without its call becomes text."""
    body, losses = say(
        chat(
            user(ToolResult("gone", (Text("result"),))),
            assistant(ToolCall("c", "f", "{}")),
            user(Text("never mind")),
        )
    )
    message, call, output, after = body["input"]
    assert message["content"] == [{"type": "input_text", "text": "result"}]
    assert (output["type"], output["call_id"]) == ("function_call_output", call["call_id"])
    assert after["content"][0]["text"] == "never mind"
    assert losses == {"unanswered_call", "orphan_result"}
    untouched, losses = say(parse(input=[{"type": "function_call_output", "call_id": "c", "output": "r"}]))
    assert untouched["input"][0]["type"] == "function_call_output"
    assert losses == set()


def test_tools():
    """Functions from elsewhere are not strict unless asked; names the vendor refuses are changed and told."""
    rendered = DIALECT.render_request(
        chat(
            user(Text("x")),
            tools=(
                Tool("get.weather", schema=Json(b'{"type":"object","properties":{}}'), cache=Json(b"{}")),
                Tool("get_weather", schema=Json(CLOSED), strict=True),
                Tool("n" * 80, strict=True),
            ),
            hosted=(
                HostedTool("web_search", "anthropic", Json(b'{"type":"web_search_20250305","max_uses":3}')),
                HostedTool("computer", "anthropic", Json(b"{}")),
            ),
            choice=ToolChoice("named", "get.weather"),
            parallel=False,
        ),
        TARGET,
    )
    body = json.loads(rendered.body)
    first, second, third, search = body["tools"]
    assert (first["strict"], second["strict"]) == (False, True)
    assert second["name"] == "get_weather"
    assert rendered.names == {first["name"]: "get.weather", third["name"]: "n" * 80}
    assert third["strict"] is False
    assert third["parameters"] == {"type": "object", "properties": {}}
    assert body["tool_choice"] == {"type": "function", "name": first["name"]}
    assert body["parallel_tool_calls"] is False
    assert search == {"type": "web_search"}
    kinds = [loss.kind for loss in rendered.losses]
    assert kinds == ["cache_control", "strict", "hosted_settings", "hosted_tool"]


def test_limits_and_what_has_no_place():
    """The output limit is kept above the service's least; what cannot be said is said to be lost."""
    sampling = Sampling(max_tokens=1, temperature=0.5, top_p=0.9, top_k=5, stop=("x",), seed=1, candidates=2)
    body, losses = say(chat(user(Text("x")), sampling=sampling))
    assert (body["max_output_tokens"], body["temperature"], body["top_p"]) == (16, 0.5, 0.9)
    assert losses == {"output_limit", "top_k", "stop", "seed", "candidates"}
    body, losses = say(chat(user(Text("x")), sampling=sampling), Target("gpt-5", sampling=False))
    assert not {"temperature", "top_p"} & set(body)
    assert {"temperature", "top_p"} <= losses


@pytest.mark.parametrize(
    ("thinking", "said"),
    [
        (None, None),
        (Thinking("off"), {"effort": "none"}),
        (Thinking("auto", show=True), {"summary": "auto"}),
        (Thinking("budget", budget=4000, show=True), {"effort": "medium", "summary": "auto"}),
        (Thinking("level", level="max"), {"effort": "high"}),
        (Thinking("level", level="low", summary="detailed"), {"effort": "low", "summary": "detailed"}),
    ],
)
def test_thinking(thinking: Thinking | None, said: Any):
    """A wish for thinking comes to the nearest effort; who wants to read it gets a summary."""
    body, _ = say(chat(user(Text("x")), thinking=thinking))
    assert body.get("reasoning") == said
    thinks = said is not None and said.get("effort") != "none"
    assert body.get("include", []) == (["reasoning.encrypted_content"] if thinks else [])


def test_thinking_that_cannot_be_done():
    """A model that cannot stop thinking thinks least; one that cannot think is not asked to."""
    cannot = Target("gpt-5", thinking="level", levels=("minimal", "low"), can_disable=False)
    body, losses = say(chat(user(Text("x")), thinking=Thinking("off")), cannot)
    assert body["reasoning"] == {"effort": "minimal"}
    assert losses == {"thinking"}
    body, losses = say(
        chat(user(Text("x")), thinking=Thinking("budget", budget=5000)), Target("g", thinking="none")
    )
    assert "reasoning" not in body
    assert "include" not in body
    assert losses == {"thinking"}


def test_structured_output():
    """A schema goes along, strict only where it may be."""
    for schema, strict in ((CLOSED, True), (b'{"type":"object","properties":{"a":{}}}', False)):
        body, _ = say(chat(user(Text("x")), output=OutputFormat("schema", Json(schema))))
        form = body["text"]["format"]
        assert (form["type"], form["name"], form["strict"]) == ("json_schema", "output", strict)
        assert form["schema"] == json.loads(schema)
    body, _ = say(chat(user(Text("Give JSON")), output=OutputFormat("json")))
    assert body["text"]["format"] == {"type": "json_object"}
    body, _ = say(chat(user(Text("the prompt lacks the word")), output=OutputFormat("json")))
    assert body["text"]["format"]["schema"] == {"type": "object"}


def test_nothing_is_stored_for_those_who_do_not_know_of_it():
    """A client without a notion of stored answers does not leave its thread with the vendor."""
    body, _ = say(chat(user(Text("x")), user="u", cache_key="k", metadata={"a": "b"}, stream=True))
    assert body["store"] is False
    assert body["stream"] is True
    assert (body["safety_identifier"], body["prompt_cache_key"]) == ("u", "k")
    assert "store" not in say(parse(input="x"))[0]


def test_ids_that_come_again():
    """Servers that count their calls anew in each turn do not confuse one call with another."""
    body, losses = say(
        chat(
            *[
                turn
                for word in ("one", "two")
                for turn in (
                    assistant(ToolCall("call_0", "f", "{}"), ToolCall("call_0", "f", "{}")),
                    user(ToolResult("call_0", (Text(word),)), ToolResult("call_0", (Text(word),))),
                )
            ]
        )
    )
    calls = [item["call_id"] for item in body["input"] if item["type"] == "function_call"]
    outputs = [item["call_id"] for item in body["input"] if item["type"] == "function_call_output"]
    assert len(set(calls)) == 4
    assert calls == outputs
    assert losses == set()


def test_choices_that_cannot_be_made():
    """A choice among tools that are not there is left out and said; one that fits is made."""
    tool = Tool("f")
    body, losses = say(chat(user(Text("x")), tools=(tool,), choice=ToolChoice("named", "g")))
    assert ("tool_choice" in body, losses) == (False, {"tool_choice"})
    body, losses = say(chat(user(Text("x")), choice=ToolChoice("required")))
    assert ("tool_choice" in body, losses) == (False, {"tool_choice"})
    choice = ToolChoice("required", allowed=("f", "gone"))
    body, _ = say(chat(user(Text("x")), tools=(tool,), choice=choice))
    allowed = [{"type": "function", "name": "f"}]
    assert body["tool_choice"] == {"type": "allowed_tools", "mode": "required", "tools": allowed}


def test_long_ids_of_users():
    """An end user's id is shortened to what the service takes, always in the same way."""
    first, second = (say(chat(user(Text("x")), user="u" * 200))[0]["safety_identifier"] for _ in "ab")
    assert first == second
    assert len(first) == 64


def test_counting():
    """Counting sends what is counted and nothing that only an answer needs."""
    rendered = DIALECT.render_request(
        chat(user(Text("x")), system=(Text("S"),), stream=True, sampling=Sampling(max_tokens=99)), TARGET
    )
    counted = json.loads(DIALECT.count_request(rendered.body, "gpt-5.1"))
    assert set(counted) == {"model", "input", "instructions"}


MEMBERS = {
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens",
    "temperature", "top_p", "top_logprobs", "reasoning", "text", "stream", "store", "include",
    "safety_identifier", "metadata", "prompt_cache_key", "service_tier",
}  # fmt: skip
CONTENT = {
    "user": {"input_text", "input_image", "input_file"},
    "system": {"input_text"},
    "assistant": {"output_text", "refusal"},
}


@given(strategies.requests())
def test_the_services_own_rules(request: ChatRequest):
    """Whatever is asked, the body is one that the service's documented checks let pass."""
    body, _ = say(request)
    assert set(body) <= MEMBERS
    for tool in body.get("tools", ()):
        if tool["type"] == "function":
            assert not tool["strict"] or is_strict(Json(json.dumps(tool["parameters"]).encode()))
            assert tool["parameters"].get("type") == "object"
    names = [tool["name"] for tool in body.get("tools", ()) if "name" in tool]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert len(set(names)) == len(names)
    called: set[str] = set()
    for item, following in zip(body["input"], [*body["input"], None][1:], strict=True):
        kind = item.get("type")
        if kind == "message":
            assert {part["type"] for part in item["content"]} <= CONTENT[item["role"]]
        elif kind in ("function_call", "custom_tool_call"):
            assert item["call_id"] not in called
            called.add(item["call_id"])
            assert 1 <= len(item["call_id"]) <= 64
            assert kind == "custom_tool_call" or isinstance(json.loads(item["arguments"]), dict)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            assert item["call_id"] in called
        elif kind == "reasoning":
            assert item["encrypted_content"]
            assert following is not None
            assert following.get("role", "assistant") == "assistant"
            assert not following["type"].endswith("_output")
