"""What answers tell of limits."""

from __future__ import annotations

import pytest
from twisted.web.http_headers import Headers

from ampproxy.credentials.quota import Window, exhausted_until, seconds_until, states_limits, windows

WALL = 1_700_000_000.0


def test_anthropic():
    """Counts and RFC 3339 times; the windows of a plan come as a share."""
    found = windows(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2023-11-14T22:14:20Z",
            "anthropic-ratelimit-input-tokens-limit": "80000",
            "anthropic-ratelimit-unified-5h-utilization": "0.25",
            "anthropic-ratelimit-unified-5h-reset": "1700003600",
            "anthropic-ratelimit-unified-status": "allowed",
            "content-type": "x",
        },
        WALL,
    )
    assert found == (
        Window("input-tokens", 80000, None, None),
        Window("requests", 50, 49, WALL + 60),
        Window("unified-5h", 100, 75, WALL + 3600),
    )


def test_openai():
    """Counts and durations."""
    found = windows(
        {
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "1m0.5s",
            "x-codex-primary-used-percent": "40",
            "x-codex-primary-reset-after-seconds": "60",
        },
        WALL,
    )
    assert found == (Window("primary", 100, 60, WALL + 60), Window("tokens", 150000, 0, WALL + 60.5))
    assert exhausted_until(found) == WALL + 60.5


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-limit-tokens": "many"},
        {"x-ratelimit-reset-tokens": "-5"},
        {"x-ratelimit-remaining-tokens": "nan"},
        {"anthropic-ratelimit-requests-reset": "2023-11-14"},
        {"anthropic-ratelimit-requests-reset": ""},
    ],
)
def test_nonsense(headers):
    """What cannot be read is left out, and nothing fails."""
    assert windows(headers, WALL) == ()
    assert exhausted_until(windows(headers, WALL)) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20", 20), ("6m0s", 360), ("20ms", 0.02), ("1d2h", 93600), ("1700000060", 60), ("1700000060000", 60),
     ("2023-11-14T22:14:20+00:00", 60), ("1699999999", 0), ("soon", None), ("", None)],
)  # fmt: skip
def test_times(text, seconds):
    """Spans, epochs in seconds and milliseconds, and times of day."""
    assert seconds_until(text, WALL) == (None if seconds is None else pytest.approx(seconds))


def test_only_answers_that_tell():
    """An answer without limits does not hide what an earlier one told."""
    assert states_limits("anthropic", Headers({"Anthropic-RateLimit-Unified-Status": ["allowed"]}))
    assert states_limits("openai-chat", Headers({"X-RateLimit-Limit-Tokens": ["1"]}))
    assert not states_limits("openai-responses", Headers({"Content-Type": ["x"]}))
    assert not states_limits("gemini", Headers({"X-RateLimit-Limit-Tokens": ["1"]}))
