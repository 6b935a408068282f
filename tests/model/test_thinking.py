"""Levels, budgets and suffixes lead to each other as documented."""

from __future__ import annotations

import pytest

from ampproxy.model.request import LEVELS, Thinking
from ampproxy.model.thinking import (
    budget_of,
    budget_wanted,
    clamp_budget,
    level_of,
    level_wanted,
    nearest_level,
    with_suffix,
)


def test_level_to_budget():
    """Each level asks for the tokens the table names."""
    assert [budget_of(level) for level in LEVELS] == [512, 1024, 8192, 24576, 32768, 128000]


@pytest.mark.parametrize(
    ("budget", "level"),
    [
        (0, "minimal"),
        (512, "minimal"),
        (513, "low"),
        (1024, "low"),
        (1025, "medium"),
        (8192, "medium"),
        (8193, "high"),
        (24576, "high"),
        (24577, "xhigh"),
        (500_000, "xhigh"),
    ],
)
def test_budget_to_level(budget, level):
    """The thresholds are inclusive."""
    assert level_of(budget) == level


def test_level_survives_the_way_over_a_budget():
    """A level that becomes a budget and a level again is the same one, but for max."""
    assert [level_of(budget_of(level)) for level in LEVELS[:-1]] == list(LEVELS[:-1])


@pytest.mark.parametrize(
    ("level", "allowed", "expected"),
    [
        ("medium", ("low", "high"), "high"),
        ("max", ("low", "medium", "high"), "high"),
        ("minimal", ("low", "medium", "high"), "low"),
        ("low", ("low", "high"), "low"),
        ("xhigh", (), "xhigh"),
        ("low", ("high",), "high"),
    ],
)
def test_nearest_level(level, allowed, expected):
    """A level that a model lacks moves to the nearest, upwards when two are equally near."""
    assert nearest_level(level, allowed) == expected


def test_clamp_budget():
    """A budget outside the model's range moves to its edge."""
    assert [clamp_budget(n, (128, 32768)) for n in (0, 128, 5000, 99999)] == [128, 128, 5000, 32768]


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("none", Thinking("off")),
        ("0", Thinking("off")),
        ("00", Thinking("off")),
        ("auto", Thinking("auto", budget=-1)),
        ("-1", Thinking("auto", budget=-1)),
        ("HIGH", Thinking("level", level="high")),
        (" xhigh ", Thinking("level", level="xhigh")),
        ("16000", Thinking("budget", budget=16000)),
        ("tall", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_suffix_alone(suffix, expected):
    """A suffix is read as documented; what is not a suffix changes nothing."""
    assert with_suffix(None, suffix) == expected


def test_suffix_beats_the_body_but_keeps_the_wish_to_see():
    """The amount comes from the suffix, whether thinking is shown from the body."""
    body = Thinking("budget", budget=1024, show=True, summary="auto")
    assert with_suffix(body, "high") == Thinking("level", level="high", show=True, summary="auto")
    assert with_suffix(body, "nonsense") is body


def test_wanted():
    """A wish in either form can be read in the other."""
    assert budget_wanted(Thinking("level", level="high")) == 24576
    assert level_wanted(Thinking("budget", budget=2000)) == "medium"
    assert budget_wanted(Thinking("auto", budget=-1)) is None
    assert level_wanted(Thinking("off")) is None
