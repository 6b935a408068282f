"""Where the service listens: what a port is called, who can reach it, what its certificate is."""

from __future__ import annotations

from OpenSSL import SSL, crypto
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import CertificateOptions, TLSVersion

from ampproxy.config.certificate import CERTIFICATE
from ampproxy.config.load import read_file
from ampproxy.config.schema import Tls
from ampproxy.errors import ConfigError


def tls_options(tls: Tls, place: str = "tls") -> CertificateOptions:
    """What the listener shows: the certificate, its chain, TLS 1.2 or later.

    :param place: how a complaint names the setting.
    :raises ConfigError: a file cannot be read, or the key is not the certificate's.
    """
    try:
        chain, secret = tls.chain or read_file(tls.cert), tls.secret or read_file(tls.key)
        certificates = [
            crypto.load_certificate(crypto.FILETYPE_PEM, pem) for pem in CERTIFICATE.findall(chain)
        ]
        # Without the third argument OpenSSL asks the terminal, and all else waits for the answer.
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, secret, _no_passphrase)
        if not certificates:
            raise ValueError("contains no certificate")
        options = CertificateOptions(
            privateKey=key,
            certificate=certificates[0],
            extraCertChain=certificates[1:],
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        options.getContext().check_privatekey()
    except (OSError, ValueError, crypto.Error) as error:
        raise ConfigError(
            (f"{place}: {tls.cert} and {tls.key} cannot be used: {error or type(error)}",)
        ) from None
    except SSL.Error as error:
        raise ConfigError((f"{place}: {tls.key} is not the key of {tls.cert}: {error}",)) from None
    return options


def _no_passphrase(*_: object) -> bytes:
    raise ValueError(
        "the key is encrypted, and a service cannot ask for the passphrase: store it without one "
        "(openssl pkey -in KEY -out NEW), readable only by its owner"
    )


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
    name = getattr(address, "name", address)
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
