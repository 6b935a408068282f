"""How long the listener's certificate is valid."""

from __future__ import annotations

from ampproxy.config.load import read_file
from ampproxy.config.schema import Tls
from ampproxy.wire.late import LatePattern
from ampproxy.wire.words import local_time, span

#: Seconds before its end from which on a certificate is told of.
_SOON = 14 * 86400.0
#: Those of a file; the first is the listener's own.
CERTIFICATE = LatePattern(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


def certificate_trouble(tls: Tls, wall: float) -> str:
    """What is to be said of how long the certificate is valid, a sentence without a full stop; or empty.

    :param tls: one that the listener takes.
    :param wall: seconds since the epoch.
    """
    # Not at the top: most services have no certificate.
    from cryptography.x509 import load_pem_x509_certificate

    pem = CERTIFICATE.findall(tls.chain or read_file(tls.cert))[0]
    end = load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    if end > wall + _SOON:
        return ""
    what = "has expired" if end <= wall else f"expires in {span(end - wall)}"
    return f"the certificate {tls.cert} {what} ({local_time(end)}): clients refuse it from then on"
