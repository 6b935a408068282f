"""What of the active alerts is news: sent once, again after a while, and once more when it is over.

No clock and no file: times are handed in, and what is to survive a restart is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from ampproxy.model.base import Value
from ampproxy.status import Alert

if TYPE_CHECKING:
    from ampproxy.alerts.conditions import Found

#: Why something is sent.
Event = Literal["firing", "repeated", "resolved", "test"]

#: So many alerts are known at a time. A configuration of thousands of accounts may have them all fail.
MAX_ALERT_ENTRIES = 1000
#: So many are sent after one look; the others follow after the next ones.
MAX_NOTICE_ENTRIES = 10
#: Seconds until an alert is sent again that could not be delivered.
RETRY_SECONDS = 300.0


class Entry(msgspec.Struct):
    """An alert that is active, or was a moment ago.

    :param sent_at: when it was last sent, in seconds since the epoch; 0: never.
    :param retry_at: before then it is not sent.
    :param cleared_at: since when it is not active any more; 0: it is.
    """

    alert: Alert
    sent_at: float = 0.0
    retry_at: float = 0.0
    cleared_at: float = 0.0

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same one."""
        return self.alert.kind, self.alert.subject

    def turn_back(self, now: float) -> None:
        """The clock may have been set back: nothing was in the future."""
        self.sent_at, self.cleared_at = min(self.sent_at, now), min(self.cleared_at, now)
        self.retry_at = min(self.retry_at, now + RETRY_SECONDS)
        if self.alert.since > now:
            self.alert = msgspec.structs.replace(self.alert, since=now)


class Notice(Value, frozen=True):
    """An alert that is to be sent, and why."""

    event: Event
    alert: Alert


class _File(msgspec.Struct):
    alerts: tuple[Entry, ...] = ()


class AlertStates:
    """What is active, and what was sent of it.

    :param entries: what an earlier process knew.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.key: entry for entry in entries}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def written(self) -> bytes:
        """What survives a restart, for :func:`read_states`."""
        return msgspec.json.encode(_File(tuple(self)))

    def active(self) -> tuple[Alert, ...]:
        """What is active, in the order in which it began."""
        return tuple(entry.alert for entry in self if not entry.cleared_at)

    def update(
        self,
        found: Found,
        kinds: Collection[str],
        now: float,
        *,
        repeat: float,
        pending: Callable[[str], float] = lambda kind: 0.0,
        settle: Callable[[str], float] = lambda kind: 0.0,
    ) -> list[Notice]:
        """What is to be sent after a look. Whoever sends it calls :meth:`sent` or :meth:`failed`.

        :param kinds: the others are forgotten.
        :param now: seconds since the epoch.
        :param repeat: seconds after which an alert that is still active is sent again.
        :param pending: for how many seconds an alert of a kind must be active to be sent: what a second
            attempt mends is none.
        :param settle: for how many seconds an alert of a kind must be gone to count as over: what comes and
            goes is one alert.
        """
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] in kinds}
        for entry in self:
            entry.turn_back(now)
        self._note(found)
        resolved = [*self._over(found, now, settle)]
        due = [notice for entry in self if (notice := _due(entry, now, repeat, pending)) is not None]
        return [*resolved, *due][:MAX_NOTICE_ENTRIES]

    def sent(self, notice: Notice, now: float) -> None:
        """It was delivered."""
        key = notice.alert.kind, notice.alert.subject
        if notice.event == "resolved":
            self._entries.pop(key, None)
        elif (entry := self._entries.get(key)) is not None:
            entry.sent_at, entry.retry_at = now, 0.0

    def failed(self, notice: Notice, now: float) -> None:
        """It was not."""
        entry = self._entries.get((notice.alert.kind, notice.alert.subject))
        if entry is not None:
            entry.retry_at = now + RETRY_SECONDS

    def _note(self, found: Found) -> None:
        for alert in found.active:
            entry = self._entries.get((alert.kind, alert.subject))
            if entry is not None:
                entry.alert = msgspec.structs.replace(alert, since=entry.alert.since)
                entry.cleared_at = 0.0
            elif len(self._entries) < MAX_ALERT_ENTRIES:
                self._entries[alert.kind, alert.subject] = Entry(alert)

    def _over(self, found: Found, now: float, settle: Callable[[str], float]) -> Iterator[Notice]:
        """What is over; what was never sent goes without a word."""
        active = {(alert.kind, alert.subject) for alert in found.active}
        for entry in list(self):
            kind = entry.alert.kind
            if entry.key in active or kind in found.unknown or entry.key in found.unsure:
                continue
            entry.cleared_at = entry.cleared_at or now
            if not entry.sent_at:
                del self._entries[entry.key]
            elif now - entry.cleared_at >= settle(kind) and now >= entry.retry_at:
                yield Notice("resolved", entry.alert)


def _due(entry: Entry, now: float, repeat: float, pending: Callable[[str], float]) -> Notice | None:
    """The notice that an active alert is due, if any."""
    if entry.cleared_at or now < entry.retry_at:
        return None
    if not entry.sent_at:
        lasts = now - entry.alert.since >= pending(entry.alert.kind)
        return Notice("firing", entry.alert) if lasts else None
    return Notice("repeated", entry.alert) if now - entry.sent_at >= repeat else None


def read_states(content: bytes | None) -> AlertStates:
    """What an earlier process knew; nothing, if that cannot be understood."""
    try:
        return AlertStates(() if content is None else msgspec.json.decode(content, type=_File).alerts)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AlertStates()
