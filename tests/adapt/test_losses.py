"""What a request loses is decided, and noted, by the passes of ``adapt/``; renderers only write."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache

import pytest

from tests.tree import nodes_of, places

#: What makes a loss: the value itself, or the collector of them when it is called.
MAKERS = {"Loss", "losses", "_losses"}

#: The rooms that a request passes beside ``adapt/``.
ROOMS = ("dialects/", "relay/", "amp/", "providers/", "resources/")

#: Files beside ``adapt/`` that make losses, and why they must.
REASONS = {
    "dialects/*/stream_out.py": "of an answer: made while its events are written",
    "dialects/*/response.py": "of an answer",
    "dialects/openai_answers.py": "of an answer: made while its chunks are written",
    "dialects/*/passthrough.py": "of bytes that pass, which are not taken apart",
    "dialects/openai_responses/codex.py": "of bytes that pass: what the backend of logins refuses",
    "dialects/bending.py": "of bytes: what an account's refusals taught",
    "relay/settle.py": "of an answer, and of a proof that an account does not take",
}


def makers(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """The lines on which a file makes a loss."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args:
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in MAKERS:
                yield node.lineno


@cache
def elsewhere() -> dict[str, list[int]]:
    """The files of those rooms that make losses, with the lines."""
    found = {place: list(makers(nodes_of(place))) for place in places() if place.startswith(ROOMS)}
    return {place: lines for place, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("losses('stop', 'sampling.stop', 'Why.')", 1),
        ("self._losses(kind, at, why)", 1),
        ("found = Loss('stop', 'sampling.stop', 'Why.')", 1),
        ("losses = Losses()", 0),
        ("render(request, losses)", 0),
    ],
)
def test_makers_are_found(text: str, count: int) -> None:
    """By name, wherever the collector is kept; but not where it is made, or passed to another."""
    assert len(list(makers(ast.walk(ast.parse(text))))) == count


def test_losses_of_requests_are_made_by_passes() -> None:
    """No renderer has an opinion about what its vendor takes."""
    unreasoned = {
        place: lines
        for place, lines in elsewhere().items()
        if not any(fnmatch(place, known) for known in REASONS)
    }
    assert unreasoned == {}


def test_reasons_are_needed() -> None:
    """No file is excused that makes none."""
    places = elsewhere()
    assert [known for known in REASONS if not any(fnmatch(place, known) for place in places)] == []
