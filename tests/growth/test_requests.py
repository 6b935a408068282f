"""Translating a request takes a time that grows as the request does, whatever there is much of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest

from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.openai_chat.passthrough import without_reasoning
from ampproxy.dialects.openai_responses.for_others import self_contained
from ampproxy.dialects.openai_responses.passthrough import without_foreign_proofs
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.request import ChatRequest
from tests.growth.law import assert_linear
from tests.growth.requests import OWN, TALKS, WRITERS, written

#: Models that are told different things.
TARGETS = {ANTHROPIC: "claude-sonnet-4-5", CHAT: "qwen3", GEMINI: "gemini-3-pro", RESPONSES: "gpt-5"}

Bodies = Callable[[int], bytes]
CASES: dict[str, tuple[str, Bodies]] = {}
for _name, _talk in TALKS.items():
    for _dialect, _write in WRITERS.items():
        if _dialect in (CHAT, GEMINI) and "proofs" in _name:
            continue  # they have no place for what is carried

        def _body(n: int, dialect=_dialect, write=_write, talk=_talk) -> bytes:  # type: ignore[no-untyped-def]
            return written(dialect, write(talk(n)))

        CASES[f"{_name} in {_dialect}"] = (_dialect, _body)
for _name, (_dialect, _members) in OWN.items():
    CASES[f"{_name}, {_dialect}"] = (
        _dialect,
        lambda n, dialect=_dialect, members=_members: written(dialect, members(n)),  # type: ignore[misc]
    )


def parsed(dialect: str, body: bytes) -> ChatRequest:
    """As it is read to be asked of another dialect."""
    return self_contained(DIALECTS[dialect].parse_request(body, model="m"))


def rendered(dialect: str, request: ChatRequest) -> Rendered:
    """As it is said to the dialect's vendor."""
    return DIALECTS[dialect].render_request(request, Target(TARGETS[dialect], "both"))


@pytest.mark.parametrize("name", CASES)
def test_a_request(name: str) -> None:
    """A request is read, and said in each other dialect, in linear time."""
    dialect, make = CASES[name]
    body = lru_cache(make)
    request = lru_cache(lambda n: parsed(dialect, body(n)))
    assert_linear(lambda given: parsed(dialect, given), body, 0.005)
    for spoken in TARGETS:
        assert_linear(lambda given, spoken=spoken: rendered(spoken, given), request)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["thinking", "calls", "carried proofs", "texts"])
@pytest.mark.parametrize("dialect", WRITERS)
def test_cleaning(dialect: str, name: str) -> None:
    """A request that passes through is cleaned in linear time."""

    def clean(body: bytes) -> None:
        DIALECTS[dialect].passthrough.clean(body)
        if dialect == CHAT:
            without_reasoning(body, "qwen3")
        elif dialect == RESPONSES:
            without_foreign_proofs(body)

    assert_linear(clean, lambda n: written(dialect, WRITERS[dialect](TALKS[name](n))))
