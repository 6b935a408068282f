"""Known models are asked in the way they understand."""

from __future__ import annotations

import pytest

from ampproxy.adapt.target import target_for
from ampproxy.dialects.base import Target
from tests.cases import each

CLAUDE = [
    ("claude-3-haiku-20240307", "none", True, 4096),
    ("claude-3-5-sonnet-20241022", "none", True, 8192),
    ("claude-3-7-sonnet-20250219", "budget", True, 64_000),
    ("claude-opus-4-20250514", "budget", True, 32_000),
    ("claude-opus-4-1-20250805", "budget", True, 32_000),
    ("claude-opus-4-1", "budget", True, 32_000),
    ("claude-sonnet-4-20250514", "budget", True, 64_000),
    ("claude-sonnet-4@20250514", "budget", True, 64_000),
    ("claude-sonnet-4-0", "budget", True, 64_000),
    ("claude-sonnet-4-5-20250929", "budget", True, 64_000),
    ("claude-haiku-4-5", "budget", True, 64_000),
    ("claude-opus-4-5-20251101", "budget", True, 64_000),
    ("claude-opus-4-6", "both", True, 128_000),
    ("claude-sonnet-4-6", "both", True, 64_000),
    ("anthropic/claude-sonnet-4.6", "both", True, 64_000),
    ("claude-opus-4-7", "level", False, 128_000),
    ("claude-opus-4-10", "level", False, 128_000),
    ("claude-sonnet-5", "level", False, 128_000),
    ("claude-haiku-5-5", "level", False, 128_000),
    ("claude-fable-5-1", "level", False, 128_000),
    ("claude-mythos-preview", "level", False, 128_000),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", True, 64_000),
    ("kimi-k2", "unknown", True, None),
]
OPENAI = [
    ("o1-mini", "none", False, ()),
    ("o3", "level", False, ("low", "medium", "high")),
    ("o4-mini-2025-04-16", "level", False, ("low", "medium", "high")),
    ("gpt-5", "level", False, ("minimal", "low", "medium", "high")),
    ("gpt-5-mini", "level", False, ("minimal", "low", "medium", "high")),
    ("gpt-5-chat-latest", "none", True, ()),
    ("gpt-5-codex", "level", False, ("low", "medium", "high")),
    ("gpt-5.1", "level", False, ("low", "medium", "high")),
    ("gpt-5.1-codex-max", "level", False, ("low", "medium", "high", "xhigh")),
    ("gpt-5.2-codex", "level", False, ("low", "medium", "high", "xhigh")),
    ("openai/gpt-5.4", "level", False, ("low", "medium", "high", "xhigh")),
    ("gpt-5.6-sol", "level", False, ("low", "medium", "high", "xhigh", "max")),
    ("gpt-6.2-astra", "level", False, ("low", "medium", "high", "xhigh", "max")),
    ("gpt-daybreak-blue-latest", "level", False, ("low", "medium", "high", "xhigh", "max")),
    ("gpt-4o-mini", "none", True, ()),
    ("gpt-4.1", "none", True, ()),
    ("gpt-4", "none", True, ()),
    ("gpt-oss-120b", "unknown", True, ("low", "medium", "high")),
    ("grok-4", "unknown", True, ("low", "medium", "high")),
]
GEMINI = [
    ("gemini-2.0-flash", "none", True, None),
    ("gemini-2.5-pro", "budget", False, (128, 32768)),
    ("gemini-2.5-flash", "budget", True, (0, 24576)),
    ("gemini-2.5-flash-lite-preview-09-2025", "budget", True, (512, 24576)),
    ("models/gemini-3-pro-preview", "level", False, None),
    ("publishers/google/models/gemini-3-flash-preview", "level", False, None),
    ("gemini-3.1-pro-preview", "level", False, None),
    ("gemini-3-pro-image-preview", "none", True, None),
    ("gemini-2.5-flash-image", "none", True, None),
    ("gemini-4-argon", "level", False, None),
    ("gemini-flash-latest", "level", False, None),
]


@pytest.mark.parametrize(("model", "thinking", "sampling", "max_output"), CLAUDE)
def test_claude(model, thinking, sampling, max_output):
    """Claude models get a budget or an effort, and sampling only where it is taken."""
    target = target_for("anthropic", model)
    assert (target.thinking, target.sampling, target.max_output) == (thinking, sampling, max_output)


@each("dialect", ["openai-chat", "openai-responses"])
@each(("model", "thinking", "sampling", "levels"), OPENAI)
def test_openai(dialect, model, thinking, sampling, levels):
    """Reasoning models get the levels they have and no temperature; plain ones the reverse."""
    target = target_for(dialect, model)
    assert (target.thinking, target.sampling) == (thinking, sampling)
    if levels:
        assert target.levels == levels


@pytest.mark.parametrize(("model", "thinking", "can_disable", "budget"), GEMINI)
def test_gemini(model, thinking, can_disable, budget):
    """Gemini 2.5 gets budgets within its range, Gemini 3 levels."""
    target = target_for("gemini", model)
    assert (target.thinking, target.can_disable) == (thinking, can_disable)
    if budget:
        assert target.budget == budget


def test_gemini_3_pro_knows_two_levels():
    """The first Gemini 3 Pro has no medium."""
    assert target_for("gemini", "gemini-3-pro-preview").levels == ("low", "high")


def test_suffix_is_not_part_of_the_name():
    """The vendor is asked for the model, not for the model with its suffix."""
    target = target_for("gemini", "gemini-2.5-pro(high)")
    assert (target.model, target.thinking) == ("gemini-2.5-pro", "budget")


def test_prefix_is_kept_in_the_name():
    """An aggregator's path belongs to the name that it is asked for."""
    assert target_for("openai-chat", "openai/gpt-5").model == "openai/gpt-5"


def test_unknown_models_get_the_defaults():
    """A model nobody described is trusted to take what the client says."""
    assert target_for("openai-chat", "qwen3") == Target("qwen3")


def test_a_family_of_another_dialect_does_not_count():
    """Claude behind an OpenAI-compatible server is not asked in Anthropic's way."""
    assert target_for("openai-chat", "claude-sonnet-4-5") == Target("claude-sonnet-4-5")
