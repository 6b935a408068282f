"""How far an exchange walks through the code is counted, and held."""

from __future__ import annotations

import pytest

from benchmarks.walk import walk


@pytest.mark.parametrize(
    ("model", "dialect", "event"), [("m", "anthropic", 11), ("c", "openai-chat", 20), ("g", "gemini", 23)]
)
def test_calls_for_an_event(model: str, dialect: str, event: int) -> None:
    """An event of a stream takes no more calls than it did, the turn of the reactor included."""
    found = walk(model, dialect)
    assert 0 < found.event <= event
    assert 0 < found.before.calls.total() < found.whole.calls.total()
    assert ("relay/translate.py" in found.whole.calls) == (dialect != "anthropic")
