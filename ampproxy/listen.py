"""Where the service listens: endpoints from the settings, or from Twisted's endpoint strings."""

from __future__ import annotations

import re
from typing import Any

from OpenSSL import crypto
from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.ssl import CertificateOptions, TLSVersion

from ampproxy.config.schema import Config, Tls
from ampproxy.errors import ConfigError

#: Connections that may wait to be accepted. Twisted's 50 turns clients away in a burst.
BACKLOG = 1024

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def endpoints_for(config: Config, reactor: Any, strings: tuple[str, ...] = ()) -> list[IStreamServerEndpoint]:
    """The endpoints to listen on.

    :param strings: Twisted's server endpoint strings (``tcp:``, ``tcp6:``, ``unix:``, ``systemd:``,
        ``ssl:``); they replace ``host``, ``port`` and ``tls`` of the configuration.
    :raises ConfigError: a string is not one, or the TLS files cannot be used.
    """
    if strings:
        return [_from_string(reactor, text) for text in strings]
    host = config.host
    if host == "localhost":
        host = "127.0.0.1"
    if config.tls is not None:
        options = tls_options(config.tls)
        return [SSL4ServerEndpoint(reactor, config.port, options, BACKLOG, host)]
    if not host:
        # One socket for both families, where the system lets IPv6 sockets take IPv4 connections.
        return [TCP6ServerEndpoint(reactor, config.port, BACKLOG, "::")]
    make = TCP6ServerEndpoint if isIPv6Address(host) else TCP4ServerEndpoint
    return [make(reactor, config.port, BACKLOG, host)]


def tls_options(tls: Tls) -> CertificateOptions:
    """What the listener shows: the certificate, its chain, TLS 1.2 or later.

    :raises ConfigError: a file cannot be read, or the key is not the certificate's.
    """
    try:
        certificates = [
            crypto.load_certificate(crypto.FILETYPE_PEM, pem)
            for pem in _CERTIFICATE.findall(tls.cert.read_bytes())
        ]
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, tls.key.read_bytes())
        if not certificates:
            raise ValueError("holds no certificate")
        options = CertificateOptions(
            privateKey=key,
            certificate=certificates[0],
            extraCertChain=certificates[1:],
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        options.getContext().check_privatekey()
    except (OSError, ValueError, crypto.Error) as error:
        raise ConfigError(
            (f"tls: {tls.cert} and {tls.key} cannot be used: {error or type(error)}",)
        ) from None
    except Exception as error:
        raise ConfigError((f"tls: {tls.key} is not the key of {tls.cert}: {type(error).__name__}",)) from None
    return options


def is_reachable_from_elsewhere(port: IListeningPort) -> bool:
    """Whether other machines can connect to a port that is listening."""
    address = port.getHost()
    if not isinstance(address, (IPv4Address, IPv6Address)):
        return False
    return not (address.host.startswith("127.") or address.host == "::1")


def describe(port: IListeningPort) -> str:
    """A port as a person would type it."""
    address = port.getHost()
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    return str(getattr(address, "name", address))


def _from_string(reactor: Any, text: str) -> IStreamServerEndpoint:
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
    except (ValueError, TypeError, OSError) as error:
        hint = "expected for example tcp:8317:interface=127.0.0.1"
        raise ConfigError((f"--listen {text}: {error}; {hint}",)) from None
    return endpoint
