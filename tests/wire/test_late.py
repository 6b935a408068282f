"""What is made when it is first used."""

from __future__ import annotations

import re

import pytest

from ampproxy.wire.late import Late, LatePattern


def test_a_pattern() -> None:
    """It is compiled by its first use, once, and its methods are the pattern's own from then on."""
    late = LatePattern("(A)(b)", re.IGNORECASE)
    assert "compiled" not in vars(late)
    assert [found and found.groups() for found in map(late.search, ("xab", "x"))] == [("a", "b"), None]
    assert vars(late)["search"] == late.compiled.search
    assert late.compiled is late.compiled
    assert late.match("xab") is None
    assert late.fullmatch("ab")
    assert late.sub("-", "abcab") == "-c-"
    assert LatePattern(",").split("a,b") == ["a", "b"]
    assert late.findall("abab") == [("a", "b")] * 2
    assert [found.start() for found in late.finditer("abab")] == [0, 2]


def test_bytes() -> None:
    """It may be over bytes."""
    assert LatePattern(rb"[0-9]+").sub(b"", b"a1b22") == b"ab"


def test_what_a_pattern_has_not() -> None:
    """What is no method is not looked for in the pattern."""
    with pytest.raises(AttributeError, match="nothing"):
        LatePattern("a").nothing  # noqa: B018
    broken = LatePattern("(")
    with pytest.raises(re.error):
        broken.search("a")


def test_a_function() -> None:
    """Its module is loaded by the first call."""
    late = Late("ampproxy.wire.words", "counted")
    assert "found" not in vars(late)
    assert late(2, "account") == "2 accounts"
    assert vars(late)["found"] is late.found
