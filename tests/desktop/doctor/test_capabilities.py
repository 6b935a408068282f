"""What models can do, as far as is known, and what roles need."""

from __future__ import annotations

import pytest

from ampproxy.amp.asks import HISTORY
from ampproxy.desktop.doctor.capabilities import NEEDS, Gap, abilities, gaps
from ampproxy.model.roles import ROLES


def test_every_role_has_needs():
    """A role that is added gets its needs."""
    assert set(NEEDS) == set(ROLES)


@pytest.mark.parametrize(
    ("model", "tools", "sees", "thinks", "context"),
    [
        ("claude-opus-4-6", True, True, True, 1_000_000),
        ("claude-haiku-4-5-20251001", True, True, True, 200_000),
        ("claude-3-5-haiku-20241022", True, True, False, 200_000),
        ("gpt-4o-mini", True, True, False, 128_000),
        ("openai/gpt-oss-120b", True, False, True, 131_072),
        ("accounts/fireworks/models/kimi-k2p5", True, True, True, 262_144),
        ("moonshotai/Kimi-K2.5", True, True, True, 262_144),
        ("qwen3-coder:30b", True, False, False, 262_144),
        ("llama3:8b", False, False, False, 8_192),
        ("llama3.1:70b", True, False, False, 128_000),
        ("gemini-2.5-pro", True, True, True, 1_000_000),
        ("claude-fable-5-2", True, True, True, 1_000_000),
        ("claude-haiku-5-5", True, True, True, 1_000_000),
        ("anthropic/claude-sonnet-4.6", True, True, True, 1_000_000),
        ("gpt-5.6-sol", True, True, True, 1_050_000),
        ("gpt-6.2-astra", True, True, True, 1_050_000),
        ("gemini-4-neon", True, True, True, 1_000_000),
        ("my-own-model", None, None, None, None),
    ],
)
def test_families(model, tools, sees, thinks, context):
    """A family is known by its name, whatever stands before or behind it; others are unknown."""
    can = abilities(model)
    assert (can.tools, can.sees, can.thinks, can.context) == (tools, sees, thinks, context)


def test_what_amp_asks_for_fits():
    """The models that Amp itself asks for do what its roles need: else the needs are overstated."""
    grave = [
        (role, row.model, gap.what)
        for role, rows in HISTORY.items()
        for row in rows
        if row.model
        for gap in gaps(role, row.model)
        if gap.grave
    ]
    assert grave == []


@pytest.mark.parametrize(
    ("role", "model", "found"),
    [
        ("smart", "claude-sonnet-4-6", []),
        (
            "smart",
            "llama3:8b",
            ["tools!", "images", "thinking", "a context of 200,000 tokens (it has 8,192)!"],
        ),
        ("smart", "gpt-4o", ["thinking", "a context of 200,000 tokens (it has 128,000)"]),
        ("title", "gpt-4o", []),
        ("painter", "claude-opus-4-6", ["drawing!"]),
        ("look_at", "qwen3-coder:30b", ["images!"]),
        ("finder", "mine", ["tools", "a context of 128,000 tokens"]),
        ("painter", "mine", ["images", "drawing", "a context of 8,000 tokens"]),
    ],
)
def test_gaps(role, model, found):
    """What a role needs and a model lacks is told; what it cannot do without is grave."""
    assert [gap.what + "!" * gap.grave for gap in gaps(role, model)] == found


def test_unknown_is_said_as_unknown():
    """A model that nobody here knows lacks nothing; it is not known."""
    assert {gap.verdict for gap in gaps("smart", "mine")} == {"unknown"}
    assert gaps("look_at", "mine")[0] == Gap("images", "unknown")
