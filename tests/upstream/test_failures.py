"""What a client is told when the way to an upstream fails."""

from __future__ import annotations

import errno

import pytest
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import (
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported

from ampproxy.errors import ExchangeError, GatewayFault, Unreachable, UpstreamFault, UpstreamTimeout
from ampproxy.upstream.failures import died_unanswered, explain, root_cause
from ampproxy.upstream.handshake import HandshakeRefused
from ampproxy.upstream.proxy import ProxyFailed

SAID: list[tuple[BaseException, type[ExchangeError], int, str]] = [
    (DNSLookupError(), Unreachable, 502, "Cannot resolve the vendor."),
    (ConnectionRefusedError(), Unreachable, 502, "The vendor refused the connection."),
    (TimeoutError(), UpstreamTimeout, 504, "The vendor did not answer in time."),
    (TCPTimedOutError(), UpstreamTimeout, 504, "The vendor did not answer in time."),
    (DeferredTimeoutError(), UpstreamTimeout, 504, "The vendor did not answer in time."),
    (CancelledError(), UpstreamTimeout, 504, "The vendor did not answer in time."),
    (ConnectingCancelledError(None), UpstreamTimeout, 504, "The vendor did not answer in time."),
    (VerificationError(errors=[]), Unreachable, 502, "The certificate of the vendor is for another name."),
    (
        TLSError([("SSL routines", "", "certificate verify failed")]),
        Unreachable,
        502,
        "No trusted TLS connection to the vendor: certificate verify failed.",
    ),
    (TLSError(), Unreachable, 502, "No trusted TLS connection to the vendor: handshake failed."),
    (TLSError("odd"), Unreachable, 502, "No trusted TLS connection to the vendor: handshake failed."),
    (ConnectionDone(), Unreachable, 502, "The vendor closed the connection unanswered."),
    (ConnectionLost(), Unreachable, 502, "The vendor closed the connection unanswered."),
    (NoRouteError(), Unreachable, 502, "No connection to the vendor: NoRouteError."),
    (ConnectBindError(), Unreachable, 502, "No connection to the vendor: ConnectBindError."),
    (
        ParseError("secret", b"secret"),
        UpstreamFault,
        502,
        "The vendor sent something that is not HTTP: ParseError.",
    ),
]


@pytest.mark.parametrize(
    ("error", "kind", "status", "message"),
    SAID,
    ids=[type(row[0]).__name__ for row in SAID],
)
def test_sentences(error: Exception, kind: type[ExchangeError], status: int, message: str) -> None:
    """Each failure has its own sentence and status, however deep Twisted wraps it; another account may be
    tried.
    """
    wrapped = ResponseNeverReceived([Failure(ResponseFailed([Failure(error)]))])
    for one in (error, RequestTransmissionFailed([Failure(error)]), wrapped):
        told = explain(one, "the vendor")
        assert type(told) is kind
        assert (told.error.message, told.error.status, told.retryable) == (message, status, True)


def test_names_stay_as_they_are() -> None:
    """An origin at the beginning of a sentence is not respelled."""
    message = explain(ConnectionRefusedError(), "https://api.test").error.message
    assert message == "https://api.test refused the connection."
    assert explain(ConnectionRefusedError(), "theta").error.message == "theta refused the connection."
    assert explain(DNSLookupError(), "{x}").error.message == "Cannot resolve {x}."


def test_wrong_scheme() -> None:
    """A URL that nobody can speak to is not tried again."""
    told = explain(SchemeNotSupported("'ftp' is neither http nor https"), "the vendor")
    assert (told.retryable, told.error.message) == (False, "The vendor: 'ftp' is neither http nor https.")


def test_our_own_pass() -> None:
    """An error that is told already is told as it is."""
    own = GatewayFault.of("internal", "no")
    assert explain(own, "the vendor") is own
    assert explain(ResponseFailed([Failure(own)]), "the vendor") is own


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (TimeoutError(), "timeouts.connect"),
        (DeferredTimeoutError(), "timeouts.first-byte"),
        (CancelledError(), "timeouts.first-byte"),
    ],
)
def test_deadlines_of_the_configuration(error: BaseException, setting: str) -> None:
    """Where a request was served, the setting is named that would have had more patience."""
    told = explain(error, "the vendor", serving=True)
    assert str(told) == f"The vendor did not answer in time (setting: {setting})."
    told = explain(ProxyFailed("p:1", error), "the vendor", serving=True)
    assert str(told) == f"The proxy p:1 (setting proxy-url) did not answer in time (setting: {setting})."


def test_our_own_defects() -> None:
    """A body that we could not produce is a defect of ours, and no upstream is blamed for it."""
    with pytest.raises(RequestGenerationFailed):
        explain(RequestGenerationFailed([Failure(ValueError())]), "the vendor")


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (HandshakeRefused("forbids it"), "The proxy p:1 (setting proxy-url) forbids it."),
        (TimeoutError(), "The proxy p:1 (setting proxy-url) did not answer in time."),
        (
            VerificationError(errors=[]),
            "The certificate of the proxy p:1 (setting proxy-url) is for another name.",
        ),
        (
            ResponseFailed([Failure(ConnectionLost())]),
            "The proxy p:1 (setting proxy-url) closed the connection unanswered.",
        ),
    ],
)
def test_proxies(reason: Exception, message: str) -> None:
    """What a proxy did is told of the proxy, not of the vendor; another account may have another one."""
    told = explain(ProxyFailed("p:1", reason), "the vendor")
    assert (told.error.message, told.retryable) == (message, True)


def test_telling_cause() -> None:
    """A protocol error says more than the orderly close that came first."""
    error = ResponseFailed([Failure(ConnectionDone()), Failure(ParseError("x", b"x"))])
    assert isinstance(root_cause(error), ParseError)
    assert isinstance(root_cause(ResponseFailed([Failure(ConnectionDone())])), ConnectionDone)
    empty = ResponseFailed([])
    assert root_cause(empty) is empty


@pytest.mark.parametrize(
    ("error", "died"),
    [
        (ResponseNeverReceived([Failure(ConnectionLost())]), True),
        (ResponseNeverReceived([Failure(ConnectionDone())]), True),
        (ResponseNeverReceived([Failure(CancelledError())]), False),
        (ResponseFailed([Failure(ConnectionLost())]), False),
        (RequestTransmissionFailed([Failure(ConnectionLost())]), False),
        (ConnectionRefusedError(), False),
    ],
)
def test_died_unanswered(error: Exception, died: bool) -> None:
    """Only where nothing was begun may the same request be sent again."""
    assert died_unanswered(error) is died


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_out_of_descriptors(number: int) -> None:
    """Our own lack is no account's fault: none rests for it, and the client is told what helps."""
    told = explain(ConnectBindError(number, "Too many open files"), "the vendor")
    assert type(told) is GatewayFault
    assert (told.error.status, told.retryable) == (503, False)
    assert "LimitNOFILE" in told.error.message
