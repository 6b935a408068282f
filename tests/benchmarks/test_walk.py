"""How far an exchange walks through the code is counted, and held."""

from __future__ import annotations

import pytest

from benchmarks.walk import walk

#: Vendor's dialect -> calls and modules until the request leaves, calls in all, calls for an event: as they
#: are, or one or two more. What Twisted does is not counted; what is
#: done here in its place is, though it takes fewer calls.
MOST = {
    "anthropic": (109, 30, 580, 10),
    "openai-chat": (269, 45, 1033, 19),
    "gemini": (241, 44, 1014, 22),
}


@pytest.mark.parametrize(
    ("model", "dialect"), [("m", "anthropic"), ("c", "openai-chat"), ("g", "gemini")], ids=lambda text: text
)
def test_an_exchange(model: str, dialect: str) -> None:
    """It takes no more calls than it did, and enters no more modules; an event of its stream takes no more,
    the turn of the reactor included.
    """
    before, modules, whole, event = MOST[dialect]
    found = walk(model, dialect)
    assert 0 < found.event <= event
    assert 0 < found.before.calls.total() <= before
    assert len(found.before.calls) <= modules
    assert found.before.calls.total() < found.whole.calls.total() <= whole
    assert ("relay/translate.py" in found.whole.calls) == (dialect != "anthropic")
