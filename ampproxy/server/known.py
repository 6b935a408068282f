"""What the requests of one connection need not find out anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ampproxy.http.headers import LowerHeaders
from ampproxy.server.guard import Client, Guard, is_introduced_from_elsewhere


class Admitted:
    """Who was let in by what the headers of a request held, so that the next one on the same connection that
    holds the same need not be looked at again.

    :param client: not one whose key expires, or is Amp's own to judge.
    """

    __slots__ = ("_guard", "_seen", "client")

    def __init__(self, guard: Guard, headers: LowerHeaders, client: Client) -> None:
        self._guard = guard
        self._seen = _seen(headers.by_name)
        self.client = client

    def covers(self, guard: Guard, headers: LowerHeaders) -> bool:
        """Whether another request would be let in likewise; one of a browser's is looked at each time."""
        by_name = headers.by_name
        return (
            guard is self._guard
            and _seen(by_name) == self._seen
            and not (b"origin" in by_name or b"sec-fetch-site" in by_name)
        )


def _seen(by_name: Mapping[bytes, list[bytes]]) -> tuple[list[bytes] | None, ...]:
    get = by_name.get
    return get(b"host"), get(b"authorization"), get(b"x-api-key"), get(b"x-goog-api-key"), get(b"api-key")


class KnownConnection:
    """What is known of a connection.

    :param local_line: whether a PROXY line may say that its client is on this machine.
    :ivar admitted: who was let in by the last request that came with a key in its headers.
    """

    __slots__ = ("admitted", "local_line")

    def __init__(self, local_line: bool) -> None:
        self.local_line = local_line
        self.admitted: Admitted | None = None


def known_of(channel: Any) -> KnownConnection:
    """What is known of a connection, once its first request has come."""
    channel.known = known = KnownConnection(not is_introduced_from_elsewhere(channel.transport))
    return known
