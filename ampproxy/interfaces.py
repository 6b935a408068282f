"""The contracts between the rooms that are found or checked at run time."""

from __future__ import annotations

from typing import Protocol


class StreamFilter(Protocol):
    """What stands between an upstream's stream and the client's: pass-through or translation."""

    def feed(self, data: bytes) -> bytes:
        """Bytes from the upstream, split anywhere; gives what goes to the client now, whole events."""

    def end(self) -> bytes:
        """The upstream's body ended; gives the last bytes for the client.

        :raises ampproxy.errors.TruncatedStream: the terminal event is missing.
        """

    @property
    def complete(self) -> bool:
        """Whether the dialect's terminal event was seen."""

    def keepalive(self) -> bytes:
        """What to send while the upstream is silent; empty where the dialect has no such thing."""
