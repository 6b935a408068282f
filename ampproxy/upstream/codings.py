"""How often an answer may be compressed: once, as it was asked for.

What two layers make of one read may be a million times as long as the read, and thousands of them are more
than Python's stack holds.
"""

from __future__ import annotations

from twisted.internet.protocol import Protocol
from twisted.web.iweb import IResponse

from ampproxy.errors import UpstreamFault
from ampproxy.http.headers import LowerHeaders
from ampproxy.upstream.inflate import inflated

#: What every request says of it.
ACCEPTED = (b"accept-encoding", b"gzip")


def decoded(response: IResponse) -> IResponse:
    """An answer as it was before it was compressed, which is at most once.

    :raises UpstreamFault: it was compressed more often; its connection is closed.
    """
    headers = response.headers
    # As our own reader gives them, without a call.
    if isinstance(headers, LowerHeaders) and b"content-encoding" not in headers.by_name:
        return response
    values = headers.getRawHeaders(b"content-encoding")
    if values is None:
        return response
    names = [name.strip() for value in values for name in value.split(b",")]
    codings = [name for name in names if name not in (b"", b"identity")]
    if len(codings) <= 1:
        return inflated(response)
    response.deliverBody(_Unread())
    raise UpstreamFault.of(
        "unavailable",
        f"The upstream compressed its answer {len(codings)} times (Content-Encoding); at most once"
        " was requested.",
    )


class _Unread(Protocol):
    """A body that nobody wants."""

    def connectionMade(self) -> None:
        """End it, and the connection with it."""
        self.transport.stopProducing()  # type: ignore[union-attr]  # Twisted's proxy of the transport has it
