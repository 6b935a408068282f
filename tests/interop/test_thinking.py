"""Thinking: asked for in each client's words, shown, and proved on the next turn."""

from __future__ import annotations

import pytest

from ampproxy.demo.script import Script
from tests.interop.backends import BACKENDS, PROVERS, THINKERS, answered, last, proofs
from tests.interop.clients import CLIENTS, Ask, Result
from tests.running import COMPATIBLE, MODELS

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"]),
]

TOOLS = {"Read": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}
EACH = pytest.mark.parametrize("client", list(CLIENTS))


def asked(client: str, model: str, stream: bool, way: str) -> Ask:
    """Thinking asked for by budget or by level, where the client can say either."""
    if way == "level" and client == "anthropic" and model == MODELS["anthropic"]:
        way = "budget"  # this model takes no level, and the client's own words pass as they are
    if way == "level" and client == "gemini" and model == MODELS["gemini"]:
        way = "budget"
    if client == "openai-chat" and model == MODELS["openai-chat"]:
        return Ask(model=model, stream=stream, tools=TOOLS)  # likewise
    wish = {"budget": 2048} if way == "budget" else {"level": "high"}
    return Ask(model=model, stream=stream, tools=TOOLS, limit=8000, **wish)


@EACH
@pytest.mark.parametrize("backend", THINKERS)
@pytest.mark.parametrize("way", ["budget", "level"])
def test_shown_and_proved(talk, world, client, backend, stream, way):
    """The thoughts are shown; their proofs come back to whoever thought them, in a tool loop and after."""
    person = talk(client)
    ask = asked(client, BACKENDS[backend], stream, way)
    world.vendors[backend].script(
        Script(thinking="Let me see. It is ßo.", calls=(("Read", '{"path":"a"}'), ("Read", '{"path":"b"}')))
    )
    first = person.user("go").ask(ask)
    # this client has no words to ask for the thoughts' text: it is shown what is told unasked
    silent = client == "openai-chat" and backend in ("openai-responses", "gemini")
    assert first.thinking == ("" if silent else "Let me see. It is ßo.")
    assert len(first.calls) == 2
    person.results([Result(call, "x") for call in first.calls])
    second = person.ask(ask)
    assert second.finish == "stop"
    body = last(world, backend)
    if backend in PROVERS and person.proves:
        assert len(proofs(backend, body)) == 1
    if second.thinking:
        assert second.thinking.startswith("Thinking about:")
    third = person.user("and then?").ask(ask)
    assert third.thinking == ("" if silent else "Thinking about: and then?")
    assert third.text.endswith("says: and then?")
    assert len(answered(backend, last(world, backend))) == 2


@EACH
def test_not_thinking(talk, world, client, stream):
    """A model that does not think is not asked to, whatever the client wants."""
    if client == "openai-chat":
        pytest.skip("the client's own words pass as they are")
    backend = "openai-chat"
    answer = talk(client).user("hi").ask(asked(client, MODELS[backend], stream, "budget"))
    assert answer.thinking == ""
    assert "reasoning_effort" not in last(world, backend)


def _turn(person, world, backend, stream, text):
    """A turn with thinking, a call and its result; what the backend was sent at its end."""
    ask = asked(person.dialect, BACKENDS[backend], stream, "budget")
    world.vendors[backend].script(
        Script(thinking=f"{text} thought", calls=(("Read", '{"path":"a"}'), ("Read", '{"path":"b"}')))
    )
    answer = person.user(text).ask(ask)
    person.results([Result(call, f"{text} {call.arguments['path']}") for call in answer.calls])
    end = person.ask(ask)
    assert end.finish == "stop"
    return last(world, backend)


CROSS = [(one, other) for one in BACKENDS for other in BACKENDS if one != other]


@EACH
@pytest.mark.parametrize(("one", "other"), CROSS)
def test_there_and_back(talk, world, client, one, other, stream):
    """A conversation goes from one vendor to another and back: own proofs return, foreign ones stay out."""
    if not stream and not {one, other} <= set(PROVERS):
        pytest.skip("streamed is enough")
    person = talk(client)
    _turn(person, world, one, stream, "first")
    middle = _turn(person, world, other, stream, "second")
    end = _turn(person, world, one, stream, "third")
    for backend, body, turns in (
        (other, middle, ["first", "second"]),
        (one, end, ["first", "second", "third"]),
    ):
        wanted = [("Read", {"path": path}, f"{turn} {path}") for turn in turns for path in "ab"]
        assert answered(backend, body) == wanted
    statuses = [one.status for vendor in world.vendors.values() for one in vendor.requests]
    assert set(statuses) == {200}
    if not person.proves:
        return
    if other in PROVERS:
        assert proofs(other, middle)
    if one in PROVERS:
        # at least one of the first turn, and that of the open loop
        assert len(proofs(one, end)) >= 2


@EACH
@pytest.mark.parametrize("backend", [*PROVERS, "compatible"])
def test_switched_on_and_off(talk, world, client, backend, stream):
    """Thinking that begins in the middle of a conversation, and ends there, is no reason to refuse."""
    person = talk(client)
    plain = Ask(model=BACKENDS[backend], stream=stream, tools=TOOLS, limit=8000)
    thinking = asked(client, BACKENDS[backend], stream, "budget")
    for turn, ask in enumerate((plain, thinking, plain, thinking)):
        answer = person.user(f"use the tool Read ({turn})").ask(ask)
        person.results([Result(answer.calls[0], "x")]).ask(ask)
    assert COMPATIBLE not in MODELS.values()
    assert len(answered(backend, last(world, backend))) == 4
