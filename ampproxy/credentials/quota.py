"""What the vendors' answers say of an account's limits, as windows: for display, and for how long to rest.

Header names are those of the vendors' documentation: ``anthropic-ratelimit-<what>-{limit,remaining,reset}``
(resets as RFC 3339 times; ``unified-5h`` and the like with a ``utilization`` instead of counts),
``x-ratelimit-{limit,remaining,reset}-<what>`` (resets as durations such as ``6m0s``), which compatible
servers imitate, and ``x-codex-{primary,secondary}-*``. Gemini sends none: its limits are in the body
of a 429.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from ampproxy.model.base import Value
from ampproxy.wire.late import LatePattern


class HasHeader(Protocol):
    """What is looked at first: ``twisted.web.http_headers.Headers``."""

    def hasHeader(self, name: bytes) -> bool:
        """Whether there is such a header."""


class Window(Value, frozen=True):
    """One limit of an account.

    :param name: the vendor's own word: ``requests``, ``input-tokens``, ``unified-5h``.
    :param limit: how much there is in all; ``None``: not said.
    :param remaining: how much is left. Of a window that is told in parts, percent, and ``limit`` is 100.
    :param resets_at: when all of it is there again, seconds since the epoch.
    """

    name: str
    limit: float | None
    remaining: float | None
    resets_at: float | None


#: An answer with one of these tells of limits. By the dialect of the account's backend.
_MARKS: dict[str, tuple[bytes, ...]] = {
    "anthropic": (b"anthropic-ratelimit-requests-limit", b"anthropic-ratelimit-unified-status"),
    "gemini": (),
}
_OPENAI_MARKS = (
    b"x-ratelimit-limit-requests",
    b"x-ratelimit-limit-tokens",
    b"x-codex-primary-used-percent",
)

_ANTHROPIC = LatePattern(r"anthropic-ratelimit-([a-z0-9_-]{1,40}?)-(limit|remaining|reset|utilization)")
_OPENAI = LatePattern(r"x-ratelimit-(limit|remaining|reset)-([a-z0-9_-]{1,40})")
_CODEX = LatePattern(r"x-codex-(primary|secondary)-(used-percent|reset-after-seconds|reset-at)")
_DURATION = LatePattern(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|s|m|h|d))+")
_DURATION_PART = LatePattern(r"(?<![\d.])(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
#: From here on a number is a time of day, not a span: the year 2001 in seconds.
_EPOCH = 1e9


def states_limits(dialect: str, headers: HasHeader) -> bool:
    """Whether an answer's headers tell of limits at all; cheap."""
    return any(map(headers.hasHeader, _MARKS.get(dialect, _OPENAI_MARKS)))


def windows(headers: Mapping[str, str], wall: float) -> tuple[Window, ...]:
    """The limits that an answer tells of, by name. Never raises; what cannot be read is left out.

    :param headers: with lower-case names.
    :param wall: when the answer came, seconds since the epoch.
    """
    found: dict[str, dict[str, float | None]] = {}
    for header, text in headers.items():
        if match := _ANTHROPIC.fullmatch(header):
            name, part = match[1], match[2]
        elif match := _OPENAI.fullmatch(header):
            name, part = match[2], match[1]
        elif match := _CODEX.fullmatch(header):
            name, part = match[1], match[2]
        else:
            continue
        read, member = _PARTS[part]
        value = read(text.strip(), wall)
        if value is not None:
            found.setdefault(name, {})[member] = value
    return tuple(_window(name, parts) for name, parts in sorted(found.items()))


def exhausted_until(found: tuple[Window, ...]) -> float | None:
    """When the last of the windows that are empty is full again; ``None``: none is empty, or none says."""
    return max((w.resets_at for w in found if w.resets_at is not None and w.remaining == 0), default=None)


def seconds_until(text: str, wall: float) -> float | None:
    """How long until the time that ``text`` tells: a span (``6m0s``, ``20``), seconds or milliseconds since
    the epoch, or an RFC 3339 time; ``None`` if it is none of these. Never negative."""
    at = _moment(text.strip(), wall)
    return None if at is None else max(0.0, at - wall)


def _window(name: str, parts: Mapping[str, float | None]) -> Window:
    used = parts.get("used")
    if used is not None:
        return Window(name, 100.0, max(0.0, 100.0 - used), parts.get("reset"))
    return Window(name, parts.get("limit"), parts.get("remaining"), parts.get("reset"))


def _number(text: str, wall: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None


def _part(text: str, wall: float) -> float | None:
    value = _number(text, wall)
    return None if value is None else round(value * 100, 2)


def _moment(text: str, wall: float) -> float | None:
    number = _number(text, wall)
    if number is not None:
        if number < _EPOCH:
            return wall + number
        return number / 1000 if number > 1000 * _EPOCH else number
    if _DURATION.fullmatch(text):
        return wall + sum(float(count) * _SECONDS[unit] for count, unit in _DURATION_PART.findall(text))
    try:
        # Python 3.10 does not know the Z.
        at = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)
        return at.timestamp() if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


#: Last word of a header -> how its value is read, and what it says.
_PARTS: dict[str, tuple[Callable[[str, float], float | None], str]] = {
    "limit": (_number, "limit"),
    "remaining": (_number, "remaining"),
    "reset": (_moment, "reset"),
    "utilization": (_part, "used"),
    "used-percent": (_number, "used"),
    "reset-after-seconds": (_moment, "reset"),
    "reset-at": (_moment, "reset"),
}
