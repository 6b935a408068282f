"""The periods of limits: when the one that a time is in began, and when it ends. All of UTC.

They begin for all clients at the same times, whenever a client came first. So they follow from the clock
alone, a restart begins none anew, and "renews at" is a time that a person can read.
"""

from __future__ import annotations

from calendar import timegm
from time import gmtime

from ampproxy.model.clients import Period

_MINUTE, _DAY = 60, 86400
_WEEK = 7 * _DAY
#: The epoch was a Thursday; its week began on Monday, three days before.
_MONDAY = -3 * _DAY


def began(period: Period, wall: float) -> int:
    """When the period began that a time is in; both in seconds since the epoch."""
    now = int(wall)
    if period == "minute":
        return now - now % _MINUTE
    if period == "day":
        return now - now % _DAY
    if period == "week":
        return now - (now - _MONDAY) % _WEEK
    time = gmtime(now)
    return timegm((time.tm_year, time.tm_mon, 1, 0, 0, 0))


def ends(period: Period, start: int) -> int:
    """When a period ends that began then."""
    if period == "minute":
        return start + _MINUTE
    if period == "day":
        return start + _DAY
    if period == "week":
        return start + _WEEK
    time = gmtime(start)
    year, month = divmod(time.tm_year * 12 + time.tm_mon, 12)
    return timegm((year, month + 1, 1, 0, 0, 0))
