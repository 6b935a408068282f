"""Twisted's failures, told once in our own words."""

from __future__ import annotations

import errno
import re

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
    TCPTimedOutError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported

from ampproxy.errors import ExchangeError, GatewayFault, Unreachable, UpstreamFault, UpstreamTimeout
from ampproxy.http.answers import BrokenOff
from ampproxy.http.chunks import BrokenChunks
from ampproxy.http.heads import AnswerRefused
from ampproxy.model.events import ErrorKind
from ampproxy.upstream.proxy import ProxyFailed

_WRAPPERS = (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed)


def root_cause(error: BaseException) -> BaseException:
    """The innermost reason of an error of an HTTP client, which wraps failures in failures."""
    while isinstance(error, _WRAPPERS) and error.reasons:
        reasons = [reason.value for reason in error.reasons if isinstance(reason, Failure) and reason.value]
        if not reasons:
            break
        # A protocol error says more than the orderly close that followed it.
        informative = [reason for reason in reasons if not isinstance(reason, ConnectionDone)]
        error = (informative or reasons)[0]
    return error


def died_unanswered(error: BaseException) -> bool:
    """Whether the connection closed before a single byte of an answer: what happens when the other
    side drops a kept connection at the moment it is used again. Nothing was begun there.
    """
    return isinstance(error, ResponseNeverReceived) and isinstance(
        root_cause(error), (ConnectionDone, ConnectionLost)
    )


def explain(error: BaseException, origin: str, *, serving: bool = False) -> ExchangeError:
    """What went wrong on the way to ``origin``, as an error for the client. Always retryable elsewhere.

    ``CancelledError`` means that one of our deadlines passed; a client's departure must be told apart
    before.

    :param serving: whether the deadlines were those of the configuration, so that they are named.
    """
    if isinstance(error, RequestGenerationFailed):
        # Our own body could not be produced: a defect, to be seen as one.
        raise error
    cause = root_cause(error)
    if isinstance(cause, ExchangeError):
        return cause
    if isinstance(cause, ProxyFailed):
        # Of the proxy only host and port are said: its URL may hold a password.
        return explain(cause.reason, f"the proxy {cause.proxy} (setting proxy-url)", serving=serving)
    if isinstance(cause, ConnectError) and cause.osError in _OUT_OF_DESCRIPTORS:
        # Our own lack, and no account could do better.
        return GatewayFault.of(
            "overloaded",
            f"The gateway has no file descriptor left for a connection to {origin}: raise its limit"
            " (LimitNOFILE= in the unit, or ulimit -n).",
        )
    fault, kind, sentence = next(
        (explanation for kinds, explanation in _SENTENCES if isinstance(cause, kinds)), _NOT_HTTP
    )
    deadline = next((name for kind, name in _DEADLINES if serving and isinstance(cause, kind)), "")
    message = sentence.format(origin=origin, words=_words(cause), deadline=deadline)
    # A scheme that we cannot speak is wrong for every account of the vendor alike.
    retryable = not isinstance(cause, SchemeNotSupported)
    return fault.of(kind, _BEGINNING.sub("The ", message), retryable=retryable)


def _words(error: BaseException) -> str:
    """What an error says for itself, where that helps and is ours to show; else its name."""
    if isinstance(error, TLSError):
        return _tls_words(error)
    return str(error) if isinstance(error, (AnswerRefused, SchemeNotSupported)) else type(error).__name__


def _tls_words(error: TLSError) -> str:
    """OpenSSL's reason, without its error codes."""
    reasons = error.args[0] if error.args else []
    if isinstance(reasons, (list, tuple)):
        words = [str(entry[-1]) for entry in reasons if isinstance(entry, (list, tuple)) and entry]
        if words:
            return ", ".join(words)
    return "handshake failed"


_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_BEGINNING = re.compile(r"\Athe ")
_Explanation = tuple[type[ExchangeError], ErrorKind, str]
_NOT_HTTP: _Explanation = (UpstreamFault, "unavailable", "{origin} sent something that is not HTTP: {words}.")

#: Which setting's deadline has passed.
_DEADLINES = (
    (TimeoutError, " (setting: timeouts.connect)"),
    ((DeferredTimeoutError, ConnectingCancelledError, CancelledError), " (setting: timeouts.first-byte)"),
)

#: What happened, whose fault that is, and how it is told; the first row that fits counts.
_SENTENCES: tuple[tuple[tuple[type[BaseException], ...], _Explanation], ...] = (
    ((DNSLookupError,), (Unreachable, "unavailable", "Cannot resolve {origin}.")),
    ((ConnectionRefusedError,), (Unreachable, "unavailable", "{origin} refused the connection.")),
    (
        (TimeoutError, TCPTimedOutError, DeferredTimeoutError, ConnectingCancelledError, CancelledError),
        (UpstreamTimeout, "timeout", "{origin} did not answer in time{deadline}."),
    ),
    (
        (VerificationError,),
        (Unreachable, "unavailable", "The certificate of {origin} is for another name."),
    ),
    ((TLSError,), (Unreachable, "unavailable", "No trusted TLS connection to {origin}: {words}.")),
    ((AnswerRefused,), (Unreachable, "unavailable", "{origin} {words}.")),
    (
        (BrokenChunks,),
        (UpstreamFault, "unavailable", "{origin} broke the chunked coding of its answer."),
    ),
    ((BrokenOff,), (UpstreamFault, "unavailable", "{origin} broke off its answer.")),
    (
        (ConnectionDone, ConnectionLost),
        (Unreachable, "unavailable", "{origin} closed the connection unanswered."),
    ),
    ((ConnectError,), (Unreachable, "unavailable", "No connection to {origin}: {words}.")),
    ((SchemeNotSupported,), (Unreachable, "unavailable", "{origin}: {words}.")),
)
