"""Tool loops: every client's own SDK against every backend, whole and streamed."""

from __future__ import annotations

import json

import pytest

from ampproxy.testing.script import Script
from tests.interop.backends import BACKENDS, PAIRS, answered, backend_dialect, last, results
from tests.interop.clients import Ask, Media, Result

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.parametrize(("client", "backend"), PAIRS),
    pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"]),
]

PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
NUMBER = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
NOTHING = {"type": "object", "properties": {}}
PNG = Media("image/png", b"\x89PNG\r\n\x1a\n" + bytes(40))
BIG = 2**53 + 1


def test_parallel(talk, world, client, backend, stream):
    """Two calls in one answer, their results given in the other order: each meets its own."""
    person = talk(client)
    ask = Ask(model="wanted-" + backend, stream=stream, tools={"Read": PATH, "Grep": PATH, "Stop": NOTHING})
    world.vendors[backend].script(Script(calls=(("Read", '{"path":"a"}'), ("Grep", '{"path":"ß\\n"}'))))
    first = person.user("use the tools").ask(ask)
    assert first.finish == "tool"
    assert [(c.name, c.arguments) for c in first.calls] == [
        ("Read", {"path": "a"}),
        ("Grep", {"path": "ß\n"}),
    ]
    given = [Result(call, f"result of {call.name}") for call in first.calls]
    if client != "gemini" or all(call.id for call in first.calls):
        given.reverse()
    second = person.results(given).ask(ask)
    assert second.finish == "stop"
    assert answered(backend, last(world, backend)) == [
        ("Read", {"path": "a"}, "result of Read"),
        ("Grep", {"path": "ß\n"}, "result of Grep"),
    ]
    third = person.user("thanks").ask(ask)
    assert third.text == f"{BACKENDS[backend]} answers: thanks"


def test_results(talk, world, client, backend, stream):
    """Results as blocks, with an error flag, with a picture."""
    person = talk(client)
    ask = Ask(model="wanted-" + backend, stream=stream, tools={"Read": PATH, "Look": PATH})
    calls = (("Read", '{"path":"a"}'), ("Read", '{"path":"b"}'), ("Look", '{"path":"c"}'))
    world.vendors[backend].script(Script(calls=calls))
    read, failed, look = person.user("go on").ask(ask).calls
    picture = ["seen"] if client == "openai-chat" else ["seen", PNG]
    given = [Result(read, ["one", "two"]), Result(failed, "no such file", True), Result(look, picture)]
    person.results(given).ask(ask)
    body = last(world, backend)
    texts = [text for *_, text in answered(backend, body)]
    assert "one" in texts[0]
    assert "two" in texts[0]
    assert "no such file" in texts[1]
    assert "seen" in texts[2]
    if client in ("anthropic", "gemini") and backend in ("anthropic", "gemini"):
        raw = results(backend, body)[1]
        assert raw.get("is_error") or "error" in raw["response"]
    if client != "openai-chat":
        assert json.dumps(body).count(PNG.base64) == 1


@pytest.mark.parametrize("choice", ["required", "Grep", "none"])
def test_choice(talk, client, backend, stream, choice):
    """A tool that must be called is called; none is if none may be."""
    ask = Ask(model="wanted-" + backend, stream=stream, tools={"Read": PATH, "Grep": PATH}, choice=choice)
    answer = talk(client).user("hello").ask(ask)
    wanted = {"required": ["Read"], "Grep": ["Grep"], "none": []}
    assert [call.name for call in answer.calls] == wanted[choice]


#: Names that a client of the dialect may give a tool.
ODD = {
    "anthropic": ("mcp__server__" + "x" * 100, "a-b_c-9"),
    "openai-chat": ("9-to-5", "x" * 64),
    "openai-responses": ("9-to-5", "x" * 64),
    "gemini": ("ns.tool:v1", "x" * 64),
}


def test_odd(talk, world, client, backend, stream):
    """Empty arguments, integers beyond 2**53, names that the vendor does not take: all as they were."""
    person = talk(client)
    tools = dict.fromkeys(ODD[client], NUMBER) | {"Nothing": NOTHING}
    ask = Ask(model="wanted-" + backend, stream=stream, tools=tools)
    for name in ODD[client]:
        person.user(f"use the tool {name} with {json.dumps({'id': BIG})}")
        ask_one = Ask(model=ask.model, stream=stream, tools=tools, choice=name)
        answer = person.ask(ask_one)
        assert [(c.name, c.arguments) for c in answer.calls] == [(name, {"id": BIG})]
        person.results([Result(answer.calls[0], "fine")]).ask(ask)
        assert str(BIG) in json.dumps(last(world, backend))
    stand_in = world.vendors[backend]
    stand_in.script(Script(calls=(("Nothing", "{}" if backend_dialect(backend) != "openai-chat" else ""),)))
    if backend_dialect(backend) == "openai-chat" == client:
        stand_in.vendor.scripts._queues.clear()
        stand_in.script(Script(calls=(("Nothing", "{}"),)))
    empty = person.user("now nothing").ask(ask)
    assert [(c.name, c.arguments or {}) for c in empty.calls] == [("Nothing", {})]
    person.results([Result(empty.calls[0], "done")]).ask(ask)
    assert answered(backend, last(world, backend))[-1] == ("Nothing", {}, "done")
