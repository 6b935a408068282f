"""Names of models are compared in one form, and a pattern fits what people would expect."""

from __future__ import annotations

import pytest

from ampproxy.catalog.names import Pattern, bare, spellings
from tests.clocked import within


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("GPT-5", "gpt-5"),
        ("gpt-5.1(high)", "gpt-5-1"),
        ("anthropic/claude-sonnet-4.6", "claude-sonnet-4-6"),
        ("publishers/google/models/gemini-2.5-pro", "gemini-2-5-pro"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929-v1:0"),
        ("kimi-k2.5", "kimi-k2-5"),
    ],
)
def test_bare(model, form):
    """Suffixes, paths, regions and dots make no difference."""
    assert bare(model) == form


FITS = [
    ("gpt-5", "gpt-5"),
    ("gpt-5", "gpt-5-mini"),
    ("gpt-5", "gpt-5-2025-08-07"),
    ("gpt-5", "openai/gpt-5(low)"),
    ("gpt-5.1", "gpt-5.1-2025-11-13"),
    ("gpt-5.*-codex", "gpt-5.3-codex"),
    ("claude-opus-4-1", "claude-opus-4-1-20250805"),
    ("claude-opus-4", "claude-opus-4@20250514"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite-preview-09-2025"),
    ("llama3", "llama3:8b"),
    ("llama-3", "llama-3-70b"),
    ("gpt-4", "gpt-4-0613"),
    ("glm-*v", "glm-4.5v-air"),
    ("*kimi*", "my-kimi-tune"),
]
FITS_NOT = [
    ("gpt-5", "gpt-5.1"),
    ("gpt-5", "gpt-50"),
    ("gpt-5", "my-gpt-5"),
    ("gpt-4", "gpt-4o"),
    ("gpt-4", "gpt-4.1-mini"),
    ("claude-opus-4", "claude-opus-4-1-20250805"),
    ("claude-opus-4-1", "claude-opus-4-10"),
    ("o1", "o1x"),
    ("gpt-5.*-codex", "gpt-5.3-codexed"),
    ("glm-*v", "glm-5-preview"),
    ("gpt-*", "x" * 300),
    ("gpt-*", "gpt-" + "x" * 300),
]


@pytest.mark.parametrize(("pattern", "model"), FITS)
def test_fits(pattern, model):
    """A pattern is a name's beginning, with any date, size or path; ``*`` is anything."""
    assert Pattern(pattern).fits(bare(model))


@pytest.mark.parametrize(("pattern", "model"), FITS_NOT)
def test_fits_not(pattern, model):
    """Another minor version or another word is another model."""
    assert not Pattern(pattern).fits(bare(model))


def test_comparing_is_linear():
    """A pattern with many stars against a long name costs no more than its length."""
    pattern, name = Pattern("*a" * 100 + "b"), "a" * 256
    assert not any(within(2, lambda: [pattern.fits(name) for _ in range(100)]))


def test_spellings():
    """A table may have any of the forms; the whole name goes first."""
    assert spellings("us.anthropic.claude-opus-4.6(high)") == (
        "us.anthropic.claude-opus-4.6",
        "claude-opus-4.6",
        "claude-opus-4-6",
    )
