"""The table of what Amp's versions ask for."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ampproxy.amp.asks import HISTORY, PATHS, asks
from ampproxy.model.roles import ROLES
from ampproxy.routing.endpoints import Operation, parse_endpoint

#: What was seen in real requests, by the version's time.
SEEN = {
    1767830505: {
        "smart": "claude-opus-4-5-20251101",
        "rush": "claude-haiku-4-5-20251001",
        "large": "claude-sonnet-4-5-20250929",
        "oracle": "gpt-5.1",
        "finder": "gemini-3-flash-preview",
        "librarian": "claude-haiku-4-5-20251001",
        "read_thread": "gemini-2.5-flash-lite-preview-09-2025",
        "title": "claude-haiku-4-5-20251001",
        "deep": None,
        "painter": None,
    },
    1770734955: {
        "smart": "claude-opus-4-6",
        "free": "claude-haiku-4-5-20251001",
        "deep": "gpt-5.2-codex",
        "oracle": "gpt-5.2",
        "read_thread": "gemini-3-flash-preview",
        "painter": "gemini-3-pro-image-preview",
    },
    1777897475: {
        "smart": "claude-opus-4-7",
        "task": "claude-opus-4-7",
        "large": "claude-opus-4-6",
        "deep": "gpt-5.4",
        "oracle": "gpt-5.4",
        "librarian": "claude-sonnet-4-6",
        "review": "gemini-3.1-pro-preview",
        "free": None,
    },
}


@pytest.mark.parametrize("built", SEEN)
def test_seen(built):
    """The versions whose traffic was looked at ask for what was seen."""
    found = {ask.role: ask.model for ask in asks(built)}
    assert {role: found.get(role) for role in SEEN[built]} == SEEN[built]


@pytest.mark.parametrize(
    ("day", "role", "model"),
    [
        ((2026, 1, 25), "deep", "gpt-5.2-codex"),
        ((2026, 3, 13), "large", "claude-sonnet-4-6"),
        ((2026, 3, 24), "deep", "gpt-5.3-codex"),
        ((2026, 3, 27), "deep", "gpt-5.4"),
        ((2026, 4, 12), "free", "claude-haiku-4-5-20251001"),
        ((2026, 4, 21), "free", None),
        ((2026, 4, 21), "smart", "claude-opus-4-6"),
        ((2025, 6, 1), "smart", "claude-opus-4-5-20251101"),
    ],
)
def test_between(day, role, model):
    """Between them it is what their tables say; older ones count as the oldest."""
    built = datetime(*day, 12, tzinfo=timezone.utc).timestamp()
    assert {ask.role: ask.model for ask in asks(built)}.get(role) == model


def test_roles_and_paths():
    """Every role is one that requests are told apart by, and every path leads to a model."""
    assert set(HISTORY) <= set(ROLES)
    for rows in HISTORY.values():
        assert [row.day for row in rows] == sorted(row.day for row in rows)
    for dialect, path in PATHS.items():
        endpoint = parse_endpoint(b"POST", path.replace("{model}", "m").encode())
        assert (endpoint.dialect, endpoint.operation, endpoint.amp) == (dialect, Operation.GENERATE, True)
