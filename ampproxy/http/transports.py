"""Connections that change hands and live long: what they refer to, and what OpenSSL keeps for them."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IProtocol
from twisted.protocols.tls import TLSMemoryBIOProtocol


def give_to(transport: Any, protocol: IProtocol) -> None:
    """Have a transport talk to another protocol, and forget the one that it talked to.

    Where it cannot, behind a wrapper that is not known here, it goes on talking to the old one, which has to
    pass everything on.
    """
    if isinstance(transport, TLSMemoryBIOProtocol):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol


def release_buffers(transport: Any) -> bool:
    """Give the buffers of a transport back, if it is under TLS and they are empty.

    Twisted runs TLS through two memory buffers for each connection ("memory BIOs"). Each stays as large as
    the largest piece that ever went through it: a handshake's certificates, or a whole record of 16 KB. Two
    new ones take their place, which is a few microseconds' work.

    Done as pyOpenSSL does it in the constructor of a connection; where that has changed, nothing happens.

    :return: whether there is nothing left to be given back.
    """
    while isinstance(transport, TLSMemoryBIOProtocol):
        connection = transport.getHandle()
        if connection is not None and not _release(connection):
            return False
        transport = transport.transport
    return True


def _release(connection: Any) -> bool:
    openssl: Any = SSL
    try:
        library, foreign, session = openssl._lib, openssl._ffi, connection._ssl
        buffers = connection._into_ssl, connection._from_ssl
        content = foreign.new("char **")
        if any(library.BIO_get_mem_data(buffer, content) for buffer in buffers):
            return False
        into, out = (library.BIO_new(library.BIO_s_mem()) for _ in buffers)
        if foreign.NULL in (into, out):
            return True
        # Frees the old ones.
        library.SSL_set_bio(session, into, out)
    except AttributeError:
        return True
    connection._into_ssl, connection._from_ssl = into, out
    return True
