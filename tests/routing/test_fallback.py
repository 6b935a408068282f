"""Which rule a request falls under, however its model is spelt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.config.schema import FallbackRule
from ampproxy.routing.fallback import NO_RULE, rule_for, rule_for_unknown, strictest

OPUS = FallbackRule(action="never", models=("claude-opus-*",), line=1)
GPT = FallbackRule(action="limit", models=("gpt-5",), requests=5, line=2)
FEW = FallbackRule(action="limit", models=("o3*",), requests=2, line=3)
TITLE = FallbackRule(action="never", roles=("title",), line=4)
FIREWORKS = FallbackRule(action="allow", models=("accounts/fireworks/*",), line=5)
ALL = FallbackRule(action="allow", line=9)
WALL = (OPUS, GPT, FEW, ALL)

SPELLINGS = [
    *(
        "claude-opus-4",
        "Claude-OPUS-4",
        " claude-opus-4",
        "claude-opus-4 ",
        "\tclaude-opus-4\n",
        "claude-opus-4\x00",
    ),
    *(
        "anthropic/claude-opus-4",
        "models/claude-opus-4",
        "publishers/anthropic/models/claude-opus-4",
        "/claude-opus-4",
    ),
    *(
        "claude\u2010opus\u20104",
        "claude\u2011opus-4",
        "claude\u2013opus-4",
        "claude\u2212opus-4",
        "claude-opus-4/",
    ),
    *(
        "\uff43laude-opus-4",
        "claude\uff0dopus-4",
        "claude-\u200bopus-4",
        "\ufeffclaude-opus-4",
        "cl\u00adaude-opus-4",
    ),
    *("claude%2Dopus-4", "claude%252Dopus-4", "anthropic%2Fclaude-opus-4", "%63laude-opus-4"),
    *("anthropic.claude-opus-4-v1:0", "us.anthropic.claude-opus-4-v1:0", "claude-opus-4@20250514"),
    *("claude-opus-4:thinking", "claude-haiku-4/claude-opus-4", "anthropic/ claude-opus-4"),
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_no_spelling_passes_a_stricter_rule(name: str) -> None:
    assert rule_for(WALL, name, "") is OPUS


@pytest.mark.parametrize("name", ["gpt-5", "GPT-5", "openai/gpt-5", "gpt-5 ", "gpt-5:free", "gpt-5 (high)"])
def test_exact_patterns(name: str) -> None:
    """A pattern without wildcards is for the name with a version or a provider as well."""
    assert rule_for(WALL, name, "") is GPT


@pytest.mark.parametrize(
    "name", ["gpt-5.4", "claude-haiku-4", "openai/gpt-oss-120b", "kimi-k2.5", "x:30b", ""]
)
def test_others_pass(name: str) -> None:
    """Names that are none of those are not taken for one."""
    assert rule_for(WALL, name, "") is ALL


def test_what_is_allowed_by_name() -> None:
    """A name is not let through as a part of another, and patterns with slashes are for whole names."""
    haiku = FallbackRule(action="allow", models=("claude-haiku-*",))
    assert rule_for((haiku,), "claude-haiku-4", "") is haiku
    for name in ("claude-haiku-4/claude-opus-4", " claude-haiku-4", "anthropic/claude-haiku-4", "x"):
        assert rule_for((haiku,), name, "") is NO_RULE
    assert rule_for((FIREWORKS,), "accounts/fireworks/models/glm-5", "") is FIREWORKS
    assert rule_for((OPUS, FIREWORKS), "accounts/fireworks/models/claude-opus-4", "") is OPUS
    assert rule_for((FIREWORKS,), "glm-5", "") is NO_RULE


def test_roles() -> None:
    assert rule_for((TITLE, ALL), "x", "title") is TITLE
    assert rule_for((TITLE, ALL), "x", "") is ALL


def test_untold() -> None:
    """The strictest rule that could be for it: what no rule is for is never sent."""
    assert rule_for_unknown(WALL, "") is OPUS
    assert rule_for_unknown((GPT, FEW, ALL), "") is FEW
    assert rule_for_unknown((GPT, FIREWORKS), "") is NO_RULE
    assert rule_for_unknown((ALL, OPUS), "") is ALL
    assert rule_for_unknown((TITLE, ALL), "") is ALL
    assert rule_for_unknown((TITLE, ALL), "title") is TITLE


def test_strictest() -> None:
    assert strictest((ALL, GPT, FEW)) is FEW
    assert strictest((ALL, GPT, OPUS, TITLE)) is OPUS


PREFIXES = st.sampled_from(["", " ", "anthropic/", "models/", "us.anthropic.", "\u200b", "a/b/", "\ufeff "])
SUFFIXES = st.sampled_from(["", " ", ":x", "@1", "\u200b", "-v1:0", "(high)", "\t"])
DASHES = st.sampled_from(["-", "\u2010", "\u2011", "\uff0d", "%2d", "%252D"])


@settings(max_examples=150, deadline=None)
@given(PREFIXES, SUFFIXES, DASHES, DASHES, st.booleans())
def test_any_spelling(prefix: str, suffix: str, one: str, other: str, upper: bool) -> None:
    name = f"{prefix}claude{one}opus{other}4{suffix}"
    assert rule_for(WALL, name.upper() if upper else name, "") is OPUS
