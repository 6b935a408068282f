"""What can go wrong, and whose fault it is.

::

    AmpproxyError
    +-- ConfigError            the configuration's: nothing starts, or the running one is kept
    +-- StartFailed            the machine's: an address that is taken, a socket that cannot be made
    +-- ExchangeError          one exchange failed; says it to the client in the client's dialect
        +-- ClientFault        the client's: never retried
        +-- UpstreamFault      the vendor's or the network's: another account may do better
        |   +-- TruncatedStream    a stream ended without its dialect's terminal event
        |   +-- UnreadableAnswer   what came is no answer of the dialect
        |   +-- Unreachable        no connection (DNS, TCP, TLS)
        |   +-- UpstreamTimeout    one of the three deadlines passed
        +-- GatewayFault       ours: a route without an account, a limit, a thing not built
    ClientGone                 the client left: nothing to say to anybody

Every :class:`ExchangeError` carries a :class:`~ampproxy.model.events.WireError`, which a dialect
renders; its message is public, so no secret may stand in it.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from ampproxy.model.events import ErrorKind, WireError

#: The HTTP status that says each kind best.
STATUS: dict[ErrorKind, int] = {
    "invalid_request": 400,
    "context_length": 400,
    "authentication": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limit": 429,
    "internal": 500,
    "not_implemented": 501,
    "unavailable": 502,
    "overloaded": 503,
    "timeout": 504,
}


def bare(error: BaseException) -> None:
    """Let an error refer to nothing but what it says.

    An error that was raised refers to the frames that it came through, and to the errors before it, with
    theirs: to all that the exchange held, the question's body among it. Where one of them refers back to the
    error, both stay until the next garbage collection, which does not come sooner for a body's size.
    """
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is not None:
            chain += (one.__cause__, one.__context__)
            one.__traceback__ = one.__cause__ = one.__context__ = None


class AmpproxyError(Exception):
    """The root of the tree."""


class ConfigError(AmpproxyError):
    """The configuration is wrong.

    :param complaints: one line each, ``file:line: key: what is wrong, what was expected``.
    :param warnings: in the same form, what else was odd but would have done no harm.
    """

    def __init__(self, complaints: tuple[str, ...], warnings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints
        self.warnings = warnings


class ClientGone(AmpproxyError):
    """The client closed its connection before the exchange ended."""


class StartFailed(AmpproxyError):
    """The service cannot be started; the message says it all, and is for people.

    No ``SystemExit``: for that ``twistd`` in the background would wait for ever.
    """


class ExchangeError(AmpproxyError):
    """An exchange failed in a way that the client should hear of.

    :ivar error: what to tell it.
    :ivar retryable: whether another account may be tried, as long as nothing was sent yet.
    :ivar said: of a stream, what the client should still get before it is told.
    """

    fault: ClassVar[Literal["client", "upstream", "gateway"]] = "gateway"

    def __init__(self, error: WireError, *, retryable: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.retryable = retryable
        self.sent_before = b""

    @classmethod
    def of(
        cls,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
    ) -> ExchangeError:
        """Make one from its kind and public message; the status follows from the kind unless given."""
        error = WireError(kind, message, STATUS[kind] if status is None else status, code, param, retry_after)
        return cls(error, retryable=retryable)


class ClientFault(ExchangeError):
    """The request is at fault; sending it again anywhere would fail again."""

    fault = "client"


class UpstreamFault(ExchangeError):
    """The vendor, the Amp upstream or the way there is at fault."""

    fault = "upstream"


class TruncatedStream(UpstreamFault):
    """The upstream's stream ended without its dialect's own terminal event."""

    def __init__(self, message: str = "The model's answer broke off before its end.") -> None:
        super().__init__(WireError("unavailable", message, 502), retryable=True)


#: The code of every :class:`UnreadableAnswer`; an event of a stream that tells of one has it, too.
UNREADABLE: Final = "unreadable_answer"


class UnreadableAnswer(UpstreamFault):
    """A vendor sent what is no answer of its dialect: nothing, a page, half of a JSON text."""

    def __init__(self, message: str) -> None:
        super().__init__(WireError("unavailable", message, 502, UNREADABLE), retryable=True)


class Unreachable(UpstreamFault):
    """No connection to the upstream could be made, or it broke before an answer began."""


class UpstreamTimeout(UpstreamFault):
    """The upstream took too long to connect, to begin its answer, or to go on with it."""


class GatewayFault(ExchangeError):
    """The gateway cannot serve this: no account, a limit, or something that is not built."""
