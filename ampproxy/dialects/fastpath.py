"""The fast paths of pass-through: chunks of ordinary events go on without being taken apart.

A fast path counts in a chunk of whole events what it knows of ordinary ones (how they begin or end), and how
many line ends there are. If every event and every line is accounted for, nothing in the chunk needs
attention, and it goes on as it is or with one substitution. If anything is not, it reports so, each
event is looked at, and it learns how this stream's ordinary events look. A few scans of the
chunk cost a tenth of taking its events apart.
"""

from __future__ import annotations

import re
from typing import Protocol

from ampproxy.dialects.monitor import StreamMonitor

#: How every event ends whose data is an object; half of one is not to pass.
END = b"}\n\n"
#: How every event begins whose data is an object and which has no name, and how it follows another.
DATA = b"data: {"
NEXT_DATA = b"\n\ndata: {"
_BLANK = b"\n\n"


class FastPath(Protocol):
    """One stream's fast path."""

    @property
    def knows(self) -> bool:
        """Whether it has learned how ordinary events look, or never will."""

    def forward(self, whole: bytes) -> bytes | None:
        """What goes to the client for these whole events; ``None``: each must be looked at."""

    def reach(self, whole: bytes) -> int:
        """Where the last of these whole events ends that may be ordinary, by a mere look; 0: not known."""

    def learn(self, block: bytes, out: bytes) -> None:
        """This event (without its blank line) needed nothing but perhaps the other model name."""


class NamedFastPath:
    """A :class:`FastPath` for deltas that have nothing to rewrite and are known by their ``event`` line.

    :param kept: how those begin that are kept for the end of the stream; ``None``: as :attr:`keeps` says.
    :param monitor: of the stream, where they are kept.
    :ivar keeps: whether what goes by now is kept.
    :ivar shut: whether nothing may go by now: no block is open to which a delta could add.
    """

    __slots__ = ("_keep", "_kept", "_kind", "_next", "_prefix", "keeps", "shut")

    def __init__(
        self, kind: re.Pattern[bytes], kept: bytes | None = None, monitor: StreamMonitor | None = None
    ) -> None:
        self._kind = kind
        self._prefix = b""
        self._next = b""
        self._kept = kept
        self._keep = None if monitor is None else monitor.keep
        self.keeps = False
        self.shut = False

    @property
    def knows(self) -> bool:
        return self._prefix != b""

    def forward(self, whole: bytes) -> bytes | None:
        # Every event begins with the two lines that deltas begin with, and has no third.
        if self.shut or not self._prefix or not whole.startswith(self._prefix) or not whole.endswith(END):
            return None
        last = whole.rfind(_BLANK, 0, -2)
        if last > 0 and not whole.startswith(self._prefix, last + 2):
            return None
        count = whole.count(self._next) + 1
        if whole.count(b"\n") != 3 * count:
            return None
        if self.keeps and self._keep is not None:
            self._keep(whole)
        return whole

    def reach(self, whole: bytes) -> int:
        at = whole.rfind(self._next) if self._prefix else -1
        return whole.find(_BLANK, at + len(END)) + 2 if at >= 0 else 0

    def learn(self, block: bytes, out: bytes) -> None:
        match = self._kind.match(block)
        if match is not None:
            self._prefix = match.group()
            self._next = END + self._prefix
            if self._kept is not None:
                self.keeps = self._prefix.startswith(self._kept)


class NoFastPath:
    """For dialects without one: every event is looked at. A :class:`FastPath`.

    :param model: the asked name, of which nothing is made here.
    :param monitor: of the stream.
    """

    knows = True

    def __init__(self, model: str = "", monitor: StreamMonitor | None = None) -> None:
        pass

    def forward(self, whole: bytes) -> bytes | None:
        return None

    def reach(self, whole: bytes) -> int:
        return 0

    def learn(self, block: bytes, out: bytes) -> None:
        """See :meth:`FastPath.learn`."""
