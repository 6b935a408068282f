"""Thinking suffixes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.model.request import LEVELS, Thinking
from ampproxy.routing.suffix import join_suffix, parse_suffix, split_suffix


@pytest.mark.parametrize(
    ("model", "base", "suffix"),
    [
        ("gpt-5", "gpt-5", None),
        ("gpt-5(high)", "gpt-5", "high"),
        ("gpt-5(High)", "gpt-5", "High"),
        ("claude(8192)", "claude", "8192"),
        ("m()", "m", ""),
        ("m(a)(b)", "m(a)", "b"),
        ("m(a(b)", "m(a", "b"),
        ("m(a))", "m", "a)"),
        ("m(high) ", "m(high) ", None),
        ("m)", "m)", None),
        ("m(", "m(", None),
        ("m(high)x", "m(high)x", None),
        ("(high)", "", "high"),
        (")", ")", None),
        ("", "", None),
        ("accounts/x/models/y:8b(low)", "accounts/x/models/y:8b", "low"),
    ],
)
def test_split(model, base, suffix):
    """The suffix is what stands between the last opening parenthesis and a final closing one."""
    assert split_suffix(model) == (base, suffix)


@given(st.text(max_size=20))
def test_split_loses_nothing(model):
    """A name that is split and joined again is the same, but for parentheses that are empty."""
    base, suffix = split_suffix(model)
    assert join_suffix(base, suffix) == (model.removesuffix("()") if suffix == "" else model)


@pytest.mark.parametrize(
    ("suffix", "wish"),
    [
        ("none", Thinking("off")),
        ("NONE", Thinking("off")),
        ("0", Thinking("off")),
        ("000", Thinking("off")),
        ("auto", Thinking("auto")),
        ("-1", Thinking("auto")),
        ("8192", Thinking("budget", budget=8192)),
        ("XHigh", Thinking("level", level="xhigh")),
        *[(level, Thinking("level", level=level)) for level in LEVELS],
    ],
)
def test_wishes(suffix, wish):
    """A word, a level or a number of tokens, in any case."""
    assert parse_suffix(suffix) == wish


@pytest.mark.parametrize(
    "suffix", [None, "", "lots", "-2", "+5", "1.5", "1e3", " high", "٣", "²", "9" * 10, "9" * 5000, "high)"]
)
def test_what_is_ignored(suffix):
    """Anything else wishes nothing, and a hostile number costs nothing."""
    assert parse_suffix(suffix) is None
