"""Tools that Codex and other clients of Responses run themselves, on accounts of any other vendor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.adapt.target import target_for
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.openai_responses import DIALECT
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartStarted,
    Started,
)
from ampproxy.model.parts import Text, ToolCall, ToolResult
from ampproxy.model.request import ChatRequest, OutputFormat, Thinking, ToolChoice, Turn

OTHERS = (ANTHROPIC, CHAT, GEMINI)
HELLO = {"type": "message", "role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
COUNT = {"type": "function", "name": "count", "description": "Counts.", "strict": False, "parameters": SCHEMA}
ZOO = {"type": "namespace", "name": "mcp__zoo", "description": "Animals.", "tools": [COUNT]}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Finds.", "parameters": SCHEMA}


def asked(*items: dict[str, Any], **members: Any) -> ChatRequest:
    """A request as another vendor may be asked it."""
    body = {"model": "m", "input": list(items) or [HELLO], "store": False, **members}
    return DIALECT.for_others(DIALECT.parse_request(json.dumps(body).encode()))


def answer(request: ChatRequest, *events: Event) -> dict[str, Any]:
    """The response that ends the stream of an answer, checked against its items in the stream."""
    renderer = DIALECT.stream_renderer(AnswerContext("m", 1, lambda prefix: prefix + "1", request))
    ends = (Finished("tool_calls"), Completed())
    data = renderer.feed([Started(), *events, *ends]).decode()
    told = [json.loads(line[6:]) for line in data.splitlines() if line.startswith("data: ")]
    final: dict[str, Any] = told[-1]["response"]
    assert told[-1]["type"] == "response.completed"
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert done == final["output"]
    added = [event["output_index"] for event in told if event["type"] == "response.output_item.added"]
    assert sorted(added) == list(range(len(done)))
    return final


def call(request: ChatRequest, name: str, arguments: str, *, freeform: bool = False) -> dict[str, Any]:
    """The item for a call, as the client gets it."""
    opened = PartStarted(0, ToolCall("call_1", name, "", freeform=freeform))
    half = len(arguments) // 2
    pieces = (Delta(0, arguments[:half]), Delta(0, arguments[half:]))
    (item,) = answer(request, opened, *pieces, PartClosed(0))["output"]
    assert isinstance(item, dict)
    return item


def sent(request: ChatRequest, dialect: str) -> tuple[dict[str, Any], set[str]]:
    """The body for an account of a dialect, and the kinds of what was lost."""
    models = {ANTHROPIC: "claude-sonnet-4-6", CHAT: "gpt-4.1", GEMINI: "gemini-3.1-pro-preview"}
    rendered = DIALECTS[dialect].render_request(request, target_for(dialect, models[dialect]))
    return json.loads(rendered.body), {loss.kind for loss in rendered.losses}


@pytest.mark.parametrize("dialect", OTHERS)
def test_namespaces(dialect: str):
    """An MCP server's tools are declared under names of both, nothing of them is lost, and a call to one is
    the client's own again: with its bare name and its namespace.
    """
    request = asked(tools=[COUNT, ZOO], tool_choice="auto")
    assert [tool.name for tool in request.tools] == ["count", "mcp__zoo__count"]
    assert "Counts." in (request.tools[1].description or "")
    assert "Animals." in (request.tools[1].description or "")
    body, lost = sent(request, dialect)
    assert "mcp__zoo__count" in json.dumps(body["tools"])
    assert lost == set()
    item = call(request, "mcp__zoo__count", '{"kind":"cats"}')
    assert (item["type"], item["name"], item["namespace"]) == ("function_call", "count", "mcp__zoo")
    assert item["arguments"] == '{"kind":"cats"}'
    assert "namespace" not in call(request, "count", "{}")


def test_namespaces_in_the_history():
    """The model reads its earlier calls under the names that are declared, whether they still are or not."""
    items = [
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "count",
            "namespace": "mcp__zoo",
            "arguments": "{}",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
        {
            "type": "function_call",
            "call_id": "c2",
            "name": "gone",
            "namespace": "mcp__old",
            "arguments": "{}",
        },
        {"type": "function_call_output", "call_id": "c2", "output": "8"},
    ]
    request = asked(HELLO, *items, tools=[ZOO])
    calls = [part for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)]
    assert [part.name for part in calls] == ["mcp__zoo__count", "mcp__old__gone"]
    assert sent(request, ANTHROPIC)[1] == set()


def test_joined_names_do_not_meet():
    """Two tools whose names would be joined to the same one, or to a plain one, stay two tools."""
    tools = [
        {**COUNT, "name": "a__b__c"},
        {"type": "namespace", "name": "a", "description": "", "tools": [{**COUNT, "name": "b__c"}]},
        {"type": "namespace", "name": "a__b", "description": "", "tools": [{**COUNT, "name": "c"}]},
    ]
    request = asked(tools=tools)
    names = [tool.name for tool in request.tools]
    assert names[0] == "a__b__c"
    assert len(set(names)) == 3
    told = [call(request, name, "{}") for name in names]
    assert [(item["name"], item.get("namespace")) for item in told] == [
        ("a__b__c", None),
        ("b__c", "a"),
        ("c", "a__b"),
    ]


def test_long_names_come_back():
    """A joined name that the vendor does not take is shortened for it, and its calls are turned back."""
    space = {**ZOO, "name": "mcp__" + "z" * 70}
    request = asked(tools=[space])
    rendered = DIALECTS[CHAT].render_request(request, target_for(CHAT, "gpt-4.1"))
    (name,) = (tool["function"]["name"] for tool in json.loads(rendered.body)["tools"])
    assert len(name) <= 64
    assert rendered.names[name] == request.tools[0].name
    assert call(request, rendered.names[name], "{}")["namespace"] == space["name"]


def test_custom_tools_of_a_namespace():
    """A custom tool in a namespace takes text, its grammar is told, and its calls have the namespace."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x+/"}
    custom = {"type": "custom", "name": "exec", "description": "Runs.", "format": grammar}
    request = asked(tools=[{**ZOO, "tools": [custom]}])
    body, lost = sent(request, ANTHROPIC)
    assert "start: /x+/" in body["tools"][0]["description"]
    assert lost <= {"grammar"}
    item = call(request, "mcp__zoo__exec", "xx", freeform=True)
    assert (item["type"], item["name"], item["namespace"], item["input"]) == (
        "custom_tool_call",
        "exec",
        "mcp__zoo",
        "xx",
    )


@pytest.mark.parametrize("dialect", OTHERS)
def test_additional_tools(dialect: str):
    """Tools that stand among the items are declared; the item is no turn, and the instructions after it stay
    the system's.
    """
    late = {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": [COUNT, ZOO]}
    words = {"type": "message", "id": "msg_1", "role": "developer", "content": "You are an agent."}
    request = asked(late, words, HELLO, tool_choice="auto")
    assert [text.text for text in request.system] == ["You are an agent."]
    assert [turn.role for turn in request.turns] == ["user"]
    assert [tool.name for tool in request.tools] == ["count", "mcp__zoo__count"]
    assert sent(request, dialect)[1] == set()


def test_tool_search():
    """The client's own search is a function; what it finds can be called in the next turn."""
    request = asked(tools=[SEARCH])
    assert request.tools[0].name == "tool_search"
    assert json.loads(bytes(request.tools[0].schema or b"")) == SCHEMA
    item = call(request, "tool_search", '{"kind":"cats"}')
    assert item == {
        "id": "tsc_1",
        "type": "tool_search_call",
        "status": "completed",
        "call_id": "call_1",
        "execution": "client",
        "arguments": {"kind": "cats"},
    }
    found = {"type": "tool_search_output", "call_id": "call_1", "execution": "client", "tools": [ZOO]}
    request = asked(HELLO, item, {**found, "status": "completed"}, tools=[SEARCH])
    assert [tool.name for tool in request.tools] == ["tool_search", "mcp__zoo__count"]
    searched, told = request.turns[1].parts[0], request.turns[2].parts[0]
    assert searched == ToolCall("call_1", "tool_search", '{"kind":"cats"}')
    assert isinstance(told, ToolResult)
    assert "mcp__zoo__count" in told.parts[0].text  # type: ignore[union-attr]
    assert call(request, "mcp__zoo__count", "{}")["namespace"] == "mcp__zoo"


def test_search_by_the_vendor():
    """A search that OpenAI would make is not needed where all tools are declared at once."""
    late = {**COUNT, "defer_loading": True}
    called = {"type": "tool_search_call", "id": "t", "execution": "server", "arguments": {}}
    found = {"type": "tool_search_output", "execution": "server", "tools": [ZOO]}
    request = asked(HELLO, called, found, HELLO, tools=[{"type": "tool_search"}, late])
    assert [tool.name for tool in request.tools] == ["count", "mcp__zoo__count"]
    assert request.hosted == ()
    assert {turn.role for turn in request.turns} == {"user"}
    assert sent(request, ANTHROPIC)[1] == set()


def test_found_twice():
    """A tool that was found twice is declared once, where it stood first, as it was found last."""
    found = {"type": "tool_search_output", "call_id": "c", "execution": "client", "tools": [ZOO]}
    newer = {**ZOO, "tools": [{**COUNT, "description": "Counts well."}]}
    request = asked(HELLO, found, {**found, "call_id": "d", "tools": [newer]}, tools=[ZOO, SEARCH])
    assert [tool.name for tool in request.tools] == ["mcp__zoo__count", "tool_search"]
    assert (request.tools[0].description or "").startswith("Counts well.")


SHELL_CALL = {
    "type": "shell_call",
    "call_id": "c1",
    "id": "sh_1",
    "status": "completed",
    "action": {"commands": ["ls", "make"], "timeout_ms": 9, "max_output_length": None},
}
LOCAL_CALL = {
    "type": "local_shell_call",
    "call_id": "c1",
    "id": "lsh_1",
    "status": "completed",
    "action": {"type": "exec", "command": ["ls", "-l"], "env": {}},
}
PATCH_CALL = {
    "type": "apply_patch_call",
    "call_id": "c1",
    "id": "apc_1",
    "status": "completed",
    "operation": {"type": "update_file", "path": "a", "diff": "@@\n-x\n+y"},
}
RAN = [
    {"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
    {"stdout": "", "stderr": "no\n", "outcome": {"type": "exit", "exit_code": 2}},
    {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}},
]


@pytest.mark.parametrize(
    ("kind", "item", "output", "text"),
    [
        ("shell", SHELL_CALL, {"call_id": "c1", "output": RAN}, "a\nno\n[exit status 2]\n[the time ran out]"),
        ("local_shell", LOCAL_CALL, {"id": "lsh_1", "output": '{"output":"a"}'}, '{"output":"a"}'),
        ("local_shell", LOCAL_CALL, {"id": "c1", "output": "a"}, "a"),
        ("apply_patch", PATCH_CALL, {"call_id": "c1", "status": "failed", "output": "no file"}, "no file"),
    ],
)
def test_tools_known_by_their_type(kind: str, item: dict[str, Any], output: dict[str, Any], text: str):
    """Shells and patches that the client runs are functions, their calls and outputs are told whole, and what
    the model calls is the item that the client knows.
    """
    result = {"type": f"{kind}_call_output", **output}
    request = asked(HELLO, item, result, tools=[{"type": kind}], tool_choice={"type": kind})
    (tool,) = request.tools
    assert (tool.name, request.hosted) == (kind, ())
    assert request.choice == ToolChoice("named", kind)
    called, told = request.turns[1].parts[0], request.turns[2].parts[0]
    assert isinstance(called, ToolCall)
    assert isinstance(told, ToolResult)
    assert (called.id, called.name, told.call) == ("c1", kind, "c1")
    assert told.parts == (Text(text),)
    assert told.is_error == (output.get("status") == "failed")
    assert sent(request, ANTHROPIC)[1] == set()
    again = call(request, kind, called.arguments)
    member = "operation" if kind == "apply_patch" else "action"
    wanted = {name: value for name, value in item[member].items() if value is not None}
    assert {name: value for name, value in again[member].items() if value is not None} == wanted
    assert (again["type"], again["call_id"], again["status"]) == (item["type"], "call_1", "completed")


def test_shells_of_the_vendor():
    """A shell in OpenAI's container is none of the client's."""
    request = asked(tools=[{"type": "shell", "environment": {"type": "container_auto"}}])
    assert (request.tools, [tool.kind for tool in request.hosted]) == ((), ["shell"])
    assert asked(tools=[{"type": "shell", "environment": {"type": "local"}}]).hosted == ()


@pytest.mark.parametrize(
    ("kind", "arguments", "member"),
    [
        ("shell", '{"command":"ls"}', {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}),
        (
            "local_shell",
            '{"command":"ls"}',
            {
                "type": "exec",
                "command": ["bash", "-lc", "ls"],
                "env": {},
                "timeout_ms": None,
                "working_directory": None,
            },
        ),
        ("shell", '{"comm', {"commands": [], "timeout_ms": None, "max_output_length": None}),
    ],
)
def test_calls_beside_the_schema(kind: str, arguments: str, member: dict[str, Any]):
    """A model that does not keep to the schema is understood as far as it can be; the item stays valid."""
    assert call(asked(tools=[{"type": kind}]), kind, arguments)["action"] == member


def test_results_of_one_turn():
    """Outputs of parallel calls of several kinds are one turn, as vendors demand."""
    plain = {"type": "function_call", "call_id": "c2", "name": "count", "arguments": "{}"}
    outputs = [
        {"type": "function_call_output", "call_id": "c2", "output": "7"},
        {"type": "shell_call_output", "call_id": "c1", "output": RAN[:1]},
        {"type": "function_call_output", "call_id": "c3", "output": "8"},
    ]
    request = asked(
        HELLO, SHELL_CALL, plain, {**plain, "call_id": "c3"}, *outputs, tools=[COUNT, {"type": "shell"}]
    )
    assert [turn.role for turn in request.turns] == ["user", "assistant", "user"]
    body, lost = sent(request, ANTHROPIC)
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result"] * 3
    assert lost == set()


def test_choices_in_namespaces():
    """A choice of a tool in a namespace names its function."""
    named = {"type": "function", "name": "count", "namespace": "mcp__zoo"}
    assert asked(tools=[ZOO], tool_choice=named).choice == ToolChoice("named", "mcp__zoo__count")
    bare = {"type": "function", "name": "count"}
    assert asked(tools=[ZOO], tool_choice=bare).choice == ToolChoice("named", "mcp__zoo__count")
    assert asked(tools=[ZOO, COUNT], tool_choice=bare).choice == ToolChoice("named", "count")
    web = {"type": "web_search"}
    assert "tool_choice" in asked(tools=[web], tool_choice=web).extras


def test_messages_of_agents():
    """What another agent of the client's wrote is a text of the user's side; what is encrypted is a loss."""
    message = {
        "type": "agent_message",
        "author": "/root/a",
        "recipient": "/root",
        "content": [{"type": "input_text", "text": "done"}],
    }
    request = asked(HELLO, message)
    assert [turn.role for turn in request.turns][-1] == "user"
    assert request.turns[-1].parts[-1] == Text("[Message from /root/a to /root]\ndone")
    hidden = {**message, "content": [{"type": "encrypted_content", "encrypted_content": "gAAA"}]}
    assert sent(asked(HELLO, hidden), ANTHROPIC)[1] == {"opaque"}


def test_configuration_updates():
    """The settings of the last update hold, and the item is no part of the conversation."""
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    updates = [
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
        {"type": "configuration_update", "reasoning": {"effort": "high"}, "text": {"format": form}},
    ]
    request = asked(HELLO, *updates, reasoning={"effort": "medium", "summary": "auto"})
    assert request.thinking == Thinking("level", level="high", show=True, summary="auto")
    assert isinstance(request.output, OutputFormat)
    assert request.turns == (Turn("user", (Text("hi"),)),)
    plain = {"type": "configuration_update", "text": {"format": {"type": "text"}}}
    assert asked(HELLO, *updates, plain).output is None


def test_own_vendor():
    """Where OpenAI itself answers nothing of all that is changed."""
    items = [
        {"type": "additional_tools", "role": "developer", "tools": [COUNT, ZOO]},
        HELLO,
        SHELL_CALL,
        {"type": "shell_call_output", "call_id": "c1", "output": RAN},
        {"type": "agent_message", "author": "a", "content": []},
    ]
    tools = [ZOO, SEARCH, {"type": "shell"}]
    named = {"type": "function", "name": "count", "namespace": "mcp__zoo"}
    body = json.dumps({"model": "m", "input": items, "tools": tools, "tool_choice": named}).encode()
    rendered = DIALECT.render_request(DIALECT.parse_request(body), target_for("openai-responses", "gpt-5.5"))
    told = json.loads(rendered.body)
    assert told["tools"] == tools
    assert told["tool_choice"] == named
    assert [item for item in told["input"] if item.get("type") != "message"] == [items[0], *items[2:]]
