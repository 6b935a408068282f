"""How often an answer may be compressed: once, as it was asked for.

treq decodes gzip, layer by layer, without a bound of its own: what two layers make of one read may be a
million times as long as the read, and thousands of them are more than Python's stack holds.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from ampproxy.errors import UpstreamFault


@implementer(IAgent)
class OneCoding:
    """Refuses an answer that is compressed more than once, and closes its connection.

    :param agent: gets the answers.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[Any]:
        """See ``IAgent.request``.

        :raises UpstreamFault: by the Deferred; see the class.
        """
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(_checked)


def _checked(response: Any) -> Any:
    values = response.headers.getRawHeaders(b"content-encoding")
    if values is None or (len(values) == 1 and b"," not in values[0]):
        return response
    names = [name.strip() for value in values for name in value.split(b",")]
    codings = [name for name in names if name not in (b"", b"identity")]
    if len(codings) <= 1:
        return response
    response.deliverBody(_Unread())
    raise UpstreamFault.of(
        "unavailable",
        f"The upstream compressed its answer {len(codings)} times over (Content-Encoding), where once"
        " was asked for.",
    )


class _Unread(Protocol):
    """A body that nobody wants."""

    def connectionMade(self) -> None:
        """End it, and the connection with it."""
        self.transport.stopProducing()  # type: ignore[union-attr]  # Twisted's proxy of the transport has it
