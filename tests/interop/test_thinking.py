"""Thinking: asked for in each client's words, shown, and proved on the next turn."""

from __future__ import annotations

import json

import pytest

from ampproxy.testing.script import Script
from tests.interop.backends import BACKENDS, PROVERS, THINKERS, answered, last, proofs
from tests.interop.clients import CLIENTS, Ask, Result
from tests.running import MODELS

pytestmark = pytest.mark.loopback

TOOLS = {"Read": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}
EACH_WAY = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
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
@EACH_WAY
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
    assert third.text.endswith("answers: and then?")
    assert len(answered(backend, last(world, backend))) == 2


@pytest.mark.parametrize("client", ["anthropic", "openai-responses", "gemini"])
@EACH_WAY
def test_not_thinking(talk, world, client, stream):
    """A model that does not think is not asked to, whatever the client wants."""
    backend = "openai-chat"
    answer = talk(client).user("hi").ask(asked(client, MODELS[backend], stream, "budget"))
    assert answer.thinking == ""
    assert "reasoning_effort" not in last(world, backend)


def _turn(person, world, backend, text):
    """A streamed turn with thinking, a call and its result; what the backend was sent at its end."""
    ask = asked(person.dialect, BACKENDS[backend], True, "budget")
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
def test_there_and_back(talk, world, client, one, other):
    """A conversation goes from one vendor to another and back: own proofs return, foreign ones stay out."""
    person = talk(client)
    _turn(person, world, one, "first")
    middle = _turn(person, world, other, "second")
    end = _turn(person, world, one, "third")
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
def test_switched_on_and_off(talk, world, client, backend):
    """Thinking that begins in the middle of a conversation, and ends there, is no reason to refuse."""
    person = talk(client)
    plain = Ask(model=BACKENDS[backend], stream=True, tools=TOOLS, limit=8000)
    thinking = asked(client, BACKENDS[backend], True, "budget")
    for turn, ask in enumerate((plain, thinking, plain, thinking)):
        answer = person.user(f"use the tool Read ({turn})").ask(ask)
        person.results([Result(answer.calls[0], "x")]).ask(ask)
    assert len(answered(backend, last(world, backend))) == 4


@EACH
@pytest.mark.parametrize("backend", PROVERS)
def test_at_the_root(talk, world, client, backend):
    """Thoughts without a proof, of a server that has none, stay out where clients are not Amp's too."""
    person = talk(client, root=True)
    _turn(person, world, "compatible", "first")
    body = _turn(person, world, backend, "second")
    assert len(answered(backend, body)) == 4


def test_redacted(talk, world):
    """Thinking that Anthropic keeps to itself goes back as it came, and is shown to nobody else."""
    seal = world.vendors["anthropic"].vendor.seal.issue("redacted")
    person = talk("anthropic")
    blocks = [{"type": "redacted_thinking", "data": seal}, {"type": "text", "text": "Hm."}]
    person.user("hi").history.append({"role": "assistant", "content": blocks})
    for backend in ("openai-responses", "gemini", "compatible", "anthropic"):
        person.user(f"to {backend}").ask(asked("anthropic", BACKENDS[backend], True, "budget"))
        sent = json.dumps(last(world, backend))
        assert (seal in sent) == (backend == "anthropic")
        assert "Hm." in sent
