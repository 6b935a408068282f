"""Twisted's failures, told once in our own words."""

from __future__ import annotations

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web._newclient import _WrapperException
from twisted.web.client import ResponseNeverReceived
from twisted.web.error import SchemeNotSupported

from ampproxy.errors import ExchangeError, Unreachable, UpstreamFault, UpstreamTimeout


def root_cause(error: BaseException) -> BaseException:
    """The innermost reason of an error of Twisted's HTTP client, which wraps failures in failures."""
    while isinstance(error, _WrapperException) and error.reasons:
        reasons = [reason.value for reason in error.reasons if isinstance(reason, Failure) and reason.value]
        if not reasons:
            break
        # A protocol error says more than the orderly close that followed it.
        telling = [reason for reason in reasons if not isinstance(reason, ConnectionDone)]
        error = (telling or reasons)[0]
    return error


def died_unanswered(error: BaseException) -> bool:
    """Whether the connection closed before a single byte of an answer: what happens when the other
    side drops a kept connection at the moment it is used again. Nothing was begun there.
    """
    return isinstance(error, ResponseNeverReceived) and isinstance(
        root_cause(error), (ConnectionDone, ConnectionLost)
    )


def explain(error: BaseException, origin: str) -> ExchangeError:
    """What went wrong on the way to ``origin``, as an error for the client. Always retryable elsewhere.

    ``CancelledError`` means that one of our deadlines passed; a client's departure must be told apart
    before.
    """
    cause = root_cause(error)
    if isinstance(cause, ExchangeError):
        return cause
    if isinstance(cause, DNSLookupError):
        return Unreachable.of("unavailable", f"The name of {origin} could not be resolved.", retryable=True)
    if isinstance(cause, ConnectionRefusedError):
        return Unreachable.of("unavailable", f"{origin} refused the connection.", retryable=True)
    if isinstance(cause, (TimeoutError, DeferredTimeoutError, ConnectingCancelledError, CancelledError)):
        return UpstreamTimeout.of("timeout", f"{origin} did not answer in time.", retryable=True)
    if isinstance(cause, VerificationError):
        return Unreachable.of(
            "unavailable", f"The certificate of {origin} is for another name.", retryable=True
        )
    if isinstance(cause, TLSError):
        return Unreachable.of(
            "unavailable", f"No trusted TLS connection to {origin}: {_tls_words(cause)}.", retryable=True
        )
    if isinstance(cause, (ConnectionDone, ConnectionLost)):
        return Unreachable.of("unavailable", f"{origin} closed the connection unanswered.", retryable=True)
    if isinstance(cause, ConnectError):
        return Unreachable.of(
            "unavailable", f"No connection to {origin}: {type(cause).__name__}.", retryable=True
        )
    if isinstance(cause, SchemeNotSupported):
        return Unreachable.of("unavailable", f"{origin}: {cause}.")
    return UpstreamFault.of(
        "unavailable", f"{origin} answered what is not HTTP: {type(cause).__name__}.", retryable=True
    )


def _tls_words(error: TLSError) -> str:
    """OpenSSL's reason, without its error codes."""
    reasons = error.args[0] if error.args else []
    if isinstance(reasons, (list, tuple)):
        words = [str(entry[-1]) for entry in reasons if isinstance(entry, (list, tuple)) and entry]
        if words:
            return ", ".join(words)
    return "handshake failed"
