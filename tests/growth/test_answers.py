"""Translating a whole answer takes a time that grows as the answer does, whatever there is much of."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import count

import pytest

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import CHAT, COMPLETIONS, GEMINI
from ampproxy.model.events import ChatResponse
from ampproxy.model.fold import fold, unfold
from ampproxy.model.request import ChatRequest, Tool
from ampproxy.relay.losses import of_answer
from ampproxy.relay.passthrough import rewrite_whole
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.relay.translate import ToolNameRestorer
from tests.growth.answers import ANSWERS, candidate, generated, written
from tests.growth.law import assert_linear

CASES = [(dialect, name) for dialect, made in ANSWERS.items() for name in made]
REQUEST = ChatRequest(dialect=CHAT, model="m", turns=(), tools=(Tool("Run"),))


def context() -> AnswerContext:
    """Of a client that asked for everything."""
    numbers = count()
    return AnswerContext("asked", 0, lambda prefix: f"{prefix}{next(numbers)}", REQUEST)


def parsed(dialect: str, body: bytes) -> ChatResponse:
    """As it is read, with the client's own names of the tools."""
    names = ToolNameRestorer({"run": "Run"}, REQUEST, frozenset(("bash",)))
    return fold(names.restore(unfold(DIALECTS[dialect].parse_response(body))))


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_an_answer(dialect: str, name: str) -> None:
    """An answer is read, and said to the clients of each dialect with its losses, in linear time."""
    body = lru_cache(lambda n: written(ANSWERS[dialect][name](n)))
    response = lru_cache(lambda n: parsed(dialect, body(n)))
    assert_linear(lambda given: parsed(dialect, given), body, 0.004)
    for client in DIALECTS.values():
        assert_linear(lambda given, client=client: client.render_response(given, context()), response)  # type: ignore[misc]
        assert_linear(lambda given, client=client: of_answer(given, client, context()), response)  # type: ignore[misc]


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_an_answer_that_passes_through(dialect: str, name: str) -> None:
    """What Amp's clients need changed of an answer is changed in linear time."""

    def rewritten(body: bytes) -> None:
        rewrite_whole(
            DIALECTS[dialect], body, AnswerRewriter(DIALECTS[dialect], "asked", b"{}", drop_thinking=True)
        )

    assert_linear(rewritten, lambda n: written(ANSWERS[dialect][name](n)))


@pytest.mark.parametrize("dialect", [GEMINI, CHAT])
def test_an_impossible_candidate(dialect: str) -> None:
    """A candidate's number is not taken for how many there are: that many would never end."""
    answer = generated(candidate({"text": "w"}, index=2_000_000_000))
    if dialect == CHAT:
        answer = {"id": "c", "choices": [{"index": 2_000_000_000, "message": {"content": "w"}}]}
    with pytest.raises(UpstreamFault, match="impossible index"):
        DIALECTS[dialect].parse_response(json.dumps(answer).encode())


def test_all_dialects_are_measured() -> None:
    """A new dialect needs answers here."""
    assert set(ANSWERS) == set(DIALECTS)
    assert COMPLETIONS in ANSWERS
