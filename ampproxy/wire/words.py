"""Counts, times and spans as people read them, in one way everywhere."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def counted(count: int, noun: str, none: str = "0") -> str:
    """``1 request``, ``2,000 requests``.

    :param noun: takes an s for several.
    :param none: what stands for no one.
    """
    return f"{f'{count:,}' if count else none} {noun}{'' if count == 1 else 's'}"


def local_time(wall: float) -> str:
    """A time on the user's own clock, with what that is ahead of UTC: ``2026-11-29 06:54:52-05:00``.

    :param wall: seconds since the epoch.
    """
    return datetime.fromtimestamp(wall).astimezone().isoformat(" ", "seconds")


def span(seconds: float) -> str:
    """A span of time in its two largest units: ``45 s``, ``30 min``, ``1 h 5 min``."""
    left = max(1, round(seconds)) if seconds > 0 else 0
    if left < 120:
        return f"{left} s"
    if left < 3600:
        # Nobody counts the seconds of half an hour.
        return f"{round(left / 60)} min" if round(left / 60) < 60 else "1 h"
    left = round(left / 60) * 60
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, parts[:2]))


def of_counts(error: Exception) -> str:
    """What SQLite or the system says of a file of counts, with what helps where it is damaged."""
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return f"{text}: move it away, and a new one will be created, in which the counts begin anew"
    return text
