"""Counts, times and spans as people read them."""

from __future__ import annotations

import time

import pytest

from ampproxy.wire.words import counted, local_time, span


def test_counted() -> None:
    """One is one, and all else several."""
    assert [counted(count, "token") for count in (0, 1, 2)] == ["0 tokens", "1 token", "2 tokens"]
    assert counted(0, "account", "no") == "no accounts"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (99, "99 s"),
        (150, "2 min"),
        (1800, "30 min"),
        (3599, "1 h"),
        (3600, "1 h"),
        (5999, "1 h 40 min"),
        (7200, "2 h"),
        (90000, "1 d 1 h"),
        (86460, "1 d"),
    ],
)
def test_span(seconds: float, words: str) -> None:
    """In the units that people use."""
    assert span(seconds) == words


def test_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the user's own clock, and it is said which that is."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        assert local_time(1764417292.4) == "2025-11-29 06:54:52-05:00"
    finally:
        monkeypatch.undo()
        time.tzset()
