"""What the recorder needs of whatever keeps the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ampproxy.ledger.entry import Entry


class Progress(NamedTuple):
    """What has become of a batch that was taken.

    :ivar away: why it is not in the ledger itself but waits on a disk; empty: nothing is wrong.
    :ivar backlog: bytes that wait there.
    :ivar pause: seconds until it makes sense to write again for the sake of the backlog.
    :ivar lost: rows of the backlog that can never be stored.
    """

    away: str = ""
    backlog: int = 0
    pause: float = 0.0
    lost: int = 0


class Writes(Protocol):
    """What keeps the rows: :class:`~ampproxy.ledger.store.Store` or
    :class:`~ampproxy.ledger.shared.SharedStore`. Its methods may wait for a disk or a database, and raise
    :class:`LedgerError`, after which they may be called again.
    """

    def write(self, entries: Sequence[Entry], redacted: Callable[[str], str]) -> Progress | None:
        """Take rows, all or none. With none, see that it can be written, and go on with its backlog.

        :param redacted: cuts secrets out of names.
        """

    def make_room(self, now: int, max_age: int, max_size: int) -> bool:
        """Take a step towards the limits; whether there is more to do."""

    def close(self) -> None:
        """Let go of it."""
