"""Connections of clients that another process has: a worker, which passes their requests on."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, ISSLTransport
from zope.interface import alsoProvides, directlyProvides, providedBy


class ReportedTransport:
    """A transport to such a process, which is for its user the client's.

    :param peer: the client's address; ``host`` that to which it has connected.
    :param secure: whether it speaks TLS.
    :ivar introduced_by: the address of the proxy whose PROXY line named the peer; ``None``: there was none.
    """

    def __init__(
        self,
        transport: Any,
        peer: IAddress,
        host: IAddress,
        introduced_by: IAddress | None,
        *,
        secure: bool,
    ) -> None:
        directlyProvides(self, providedBy(transport))
        if secure:
            alsoProvides(self, ISSLTransport)
        self._transport = transport
        self._peer, self._host = peer, host
        self.introduced_by = introduced_by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def getPeer(self) -> IAddress:
        """The client's address."""
        return self._peer

    def getHost(self) -> IAddress:
        """That to which it has connected."""
        return self._host
