"""Plain conversations: every client's own SDK against every backend, whole and streamed."""

from __future__ import annotations

import json

import pytest

from ampproxy.testing.script import Script
from tests.interop.backends import BACKENDS, DIALECTS, PAIRS, THINKERS, backend_dialect, last
from tests.interop.clients import Ask, Media

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.parametrize(("client", "backend"), PAIRS),
    pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"]),
]

PNG = Media("image/png", b"\x89PNG\r\n\x1a\n" + bytes(40))
PDF = Media("application/pdf", b"%PDF-1.7\n" + bytes(40))
SHAPE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


def test_turns(talk, world, client, backend, stream):
    """A conversation of two turns under two system prompts comes through, in order, whoever answers."""
    person, stand_in = talk(client), world.vendors[backend]
    ask = Ask(model="wanted-" + backend, stream=stream, system=("Be brief.", "Be kind."))
    first = person.user("Good day ✓ \u2028").ask(ask)
    second = person.user("and again").ask(ask)
    assert first.text.startswith(f"{BACKENDS[backend]} answers: Good day ✓")
    assert second.text == f"{BACKENDS[backend]} answers: and again"
    assert (first.finish, second.finish) == ("stop", "stop")
    assert first.model == second.model == "wanted-" + backend
    sent = json.dumps(last(world, backend), ensure_ascii=False)
    wanted = ["Be brief.", "Be kind.", "Good day", "answers:", "and again"]
    places = [sent.rfind(word) for word in wanted[:2]] + [sent.find(word) for word in wanted[2:]]
    assert -1 not in places
    turns = places[2:]
    assert turns == sorted(turns)
    assert [one.status for one in stand_in.requests] == [200, 200]


def test_usage(talk, world, client, backend, stream):
    """The tokens are the vendor's, whatever its way to count cached and reasoning ones."""
    stand_in = world.vendors[backend]
    stand_in.script(Script(text="alpha beta gamma", thinking="so so", cached=7))
    ask = Ask(model=BACKENDS[backend], stream=stream, limit=6000)
    thinks = backend in THINKERS
    if thinks:
        ask = Ask(model=BACKENDS[backend], stream=stream, limit=6000, budget=2048)
    answer = talk(client).user("how much, please? " * 20).ask(ask)
    assert answer.input == stand_in.requests[-1].size // 4
    assert answer.output == (5 if thinks else 3)
    assert answer.cached == 7
    if backend in ("openai-responses", "gemini", "compatible") and client != "anthropic":
        assert answer.reasoning == 2


@pytest.mark.parametrize(("words", "finish"), [("please be cut off", "length"), ("please refuse", "refusal")])
def test_finish(talk, client, backend, stream, words, finish):
    """Why an answer ended is told in the client's own word for it."""
    answer = talk(client).user(words).ask(Ask(model=BACKENDS[backend], stream=stream))
    assert answer.finish == finish


def test_sampling(talk, world, client, backend, stream):
    """A temperature beyond what the vendor takes, and stop words, are no reason to refuse."""
    warm = 1.0 if client == "anthropic" else 1.7
    if client == backend == "openai-responses":
        warm = None  # the model refuses what its own client asks: that is the client's to hear
    stop = () if client == "openai-responses" else ("STOP", "HALT")
    ask = Ask(model="wanted-" + backend, stream=stream, limit=100, temperature=warm, stop=stop)
    talk(client).user("hi").ask(ask)
    sent = last(world, backend)
    within = sent.get("generationConfig", sent)
    names = {"anthropic": "stop_sequences", "openai-chat": "stop", "gemini": "stopSequences"}
    limits = {"anthropic": ["max_tokens"], "gemini": ["maxOutputTokens"]}
    limits["openai-chat"] = ["max_tokens", "max_completion_tokens"]
    limits["openai-responses"] = ["max_output_tokens"]
    dialect = backend_dialect(backend)
    if ask.stop and dialect in names:
        assert within[names[dialect]] == ["STOP", "HALT"]
    # Gemini's model always thinks, which its limit counts: another's client gets room for the least of it.
    room = 128 if backend == "gemini" != client else 0
    assert [within[name] for name in limits[dialect] if name in within] == [100 + room]
    if dialect != "openai-responses":
        assert within["temperature"] == (min(warm, 1.0) if dialect == "anthropic" else warm)


def test_attachments(talk, world, client, backend, stream):
    """A picture and a PDF arrive, byte for byte."""
    answer = talk(client).user("look", PNG, PDF).ask(Ask(model="wanted-" + backend, stream=stream))
    sent = json.dumps(last(world, backend))
    assert PNG.base64 in sent
    assert PDF.base64 in sent
    assert "image/png" in answer.text


def test_shape(talk, world, client, backend, stream):
    """An answer in the shape of a schema."""
    answer = talk(client).user("where?").ask(Ask(model="wanted-" + backend, stream=stream, schema=SHAPE))
    assert json.loads(answer.text) == {"city": "demo", "people": 1}


def test_root(talk, world, client, backend, stream):
    """The same at the root, where clients are pointed that are not Amp."""
    answer = talk(client, root=True).user("hello").ask(Ask(model=BACKENDS[backend], stream=stream))
    assert answer.text == f"{BACKENDS[backend]} answers: hello"
    assert answer.model == BACKENDS[backend] or (client == backend and client in DIALECTS)
