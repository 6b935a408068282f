"""What the bodies of the Amp upstream's answers go through on their way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ampproxy.amp.site import Rewriter, Site
from ampproxy.upstream.inflate import Sniff


class Filter(Protocol):
    """A :class:`~ampproxy.interfaces.StreamFilter` that tells whether the bytes are still the upstream's."""

    changed: bool

    def feed(self, data: bytes) -> bytes:
        """More of the body."""

    def end(self) -> bytes:
        """What is left."""


class IdentityFilter:
    """Everything passes; only HTTP itself can tell whether it is whole."""

    complete = False
    changed = False

    def feed(self, data: bytes) -> bytes:
        """The same bytes."""
        return data

    def end(self) -> bytes:
        """Nothing is left."""
        return b""

    def keepalive(self) -> bytes:
        """Nothing: this is somebody else's answer."""
        return b""


class GunzipFilter(IdentityFilter):
    """Inflates a body that is gzip without saying so; any other body passes.

    ``changed`` tells, after the first bytes, which of the two it is.
    """

    def __init__(self) -> None:
        self._sniff = Sniff()

    def feed(self, data: bytes) -> bytes:
        """The inflated bytes, or the same.

        :raises UnreadableAnswer: it is not gzip after all, or grows beyond the decompression limit.
        """
        out = self._sniff.feed(data)
        self.changed = bool(self._sniff.found)
        return out

    def end(self) -> bytes:
        """What is left.

        :raises UnreadableAnswer: the gzip body is not whole.
        """
        return self._sniff.end()


class SiteFilter(IdentityFilter):
    """Has a page name the client's address in place of the upstream's."""

    changed = True

    def __init__(self, site: Site) -> None:
        self._rewriter = Rewriter(site)

    def feed(self, data: bytes) -> bytes:
        """As much of the page as is certain."""
        return self._rewriter.feed(data)

    def end(self) -> bytes:
        """The rest."""
        return self._rewriter.end()


class WholeFilter(IdentityFilter):
    """Gathers a body and changes it as a whole. A larger one passes unchanged.

    :param edit: the change.
    :param largest: the most bytes that are gathered.
    :param complain: called when there are more.
    """

    changed = True

    def __init__(self, edit: Callable[[bytes], bytes], largest: int, complain: Callable[[], None]) -> None:
        self._edit: Callable[[bytes], bytes] | None = edit
        self._largest = largest
        self._complain = complain
        self._gathered = b""

    def feed(self, data: bytes) -> bytes:
        """Nothing until the end, unless it is too much."""
        if self._edit is None:
            return data
        self._gathered += data
        if len(self._gathered) <= self._largest:
            return b""
        self._edit = None
        self._complain()
        data, self._gathered = self._gathered, b""
        return data

    def end(self) -> bytes:
        """The changed body."""
        return self._gathered if self._edit is None else self._edit(self._gathered)


class Chain(IdentityFilter):
    """Two filters, one after the other."""

    changed = True

    def __init__(self, first: Filter, second: Filter) -> None:
        self._first = first
        self._second = second

    def feed(self, data: bytes) -> bytes:
        """What comes out of both."""
        return self._second.feed(self._first.feed(data))

    def end(self) -> bytes:
        """What is left in both."""
        rest = self._first.end()
        return (self._second.feed(rest) if rest else b"") + self._second.end()
