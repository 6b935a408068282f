"""What is told about one exchange when it ends: once, in one line."""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextvars import ContextVar
from time import time
from typing import Any

import msgspec
from twisted.logger import Logger, LogLevel

from ampproxy.model.events import Usage, WireError
from ampproxy.model.loss import Loss
from ampproxy.relay.fields import fields_of, line_of
from ampproxy.relay.gaps import Gaps
from ampproxy.relay.losses import listed
from ampproxy.wire.redact import LOOKED_AT, printable

#: The id of the request that is being served, for every log line that is written meanwhile; empty where
#: none is. A coroutine keeps what was set when it began.
SERVING: ContextVar[str] = ContextVar("ampproxy_serving", default="")


class Outcome(enum.Enum):
    """How an exchange ended. Every exchange ends in exactly one of these.

    :ivar text: the value, which an enumeration gives by two calls.
    """

    COMPLETED = "completed"
    REFUSED = "refused"
    UPSTREAM_ERROR = "upstream-error"
    BROKEN_OFF = "broken-off"
    CLIENT_LEFT = "client-left"
    FAILED = "failed"

    def __init__(self, text: str) -> None:
        self.text = text


class ExchangeRecord(msgspec.Struct, eq=False, array_like=True):
    """One exchange as the log shows it. Times are seconds of one monotonic clock.

    What of it is shown, and under which name, says :func:`ampproxy.relay.fields.fields_of`.

    :param request: the id that every log line of this exchange has; the client's own, if it sent one.
    :param kind: the route: ``local``, ``mapped``, ``amp``, ``none``, ``management`` or ``tunnel``.
    :param client: a label of the client's key; never the key.
    :param thread: the Amp thread that it belongs to; empty where the client names none.
    :param role: what Amp uses the model for: ``smart``, ``oracle``, ``title``; empty where nothing tells.
    :param account: the label of the account that was asked last, which tells its place in the configuration.
    :param account_name: what the ledger and the metrics keep it by, which does not depend on that place.
    :param stream: whether the answer is a stream.
    :param sent: when the first request to an account or to Amp was on its way; ``None``: none was.
    :param busy: seconds that the answer's pieces spent in the gateway, on their way to the client.
    :param gaps: the pauses of an answer's stream.
    :param ended: when it ended; ``None`` as long as it is under way.
    :param code: of an exchange that failed, the error's code, or its kind.
    :param failed: the names of the accounts that failed, one for each attempt.
    :param bytes_in: what a client sent through a tunnel; of other exchanges only the answer is counted.
    :param stream_error: the error that ended the answer's stream, which the client got as it was.
    :param call: what was asked of a vendor beside its models: ``files``, ``images``; empty: nothing.
    :param reasons: the steps of the decision where it goes, each a sentence.
    :param losses: what a translation could not say of the question and of the answer.
    :param show_losses: tell of them in the text of the log too, not in its fields alone.
    :param worker: the number of the worker that serves it; 0: there is only one process.
    :param ended_at: when it ended, in seconds since the epoch, where a worker has reported it; else 0.
    :param row: the rest of its key in the ledger, where a worker has given it one: the worker's number among
        all who write, and the exchange's among the worker's.
    """

    started: float
    method: str
    path: str
    request: str = ""
    client: str = "-"
    thread: str = ""
    role: str = ""
    kind: str = "none"
    asked: str = ""
    served: str = ""
    account: str = ""
    account_name: str = ""
    status: int = 0
    stream: bool = False
    bytes_out: int = 0
    bytes_in: int = 0
    sent: float | None = None
    first_byte: float | None = None
    busy: float = 0.0
    gaps: Gaps | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    why: str = ""
    code: str = ""
    usage: Usage | None = None
    stream_error: WireError | None = None
    attempts: list[str] = []  # each record gets one of its own
    failed: tuple[str, ...] = ()
    call: str = ""
    reasons: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    show_losses: bool = False
    worker: int = 0
    ended_at: float = 0.0
    row: tuple[int, int] | None = None

    def close(self, now: float, outcome: Outcome, why: str = "") -> bool:
        """End the exchange. A second call does nothing and is false: the first outcome is the true one."""
        if self.outcome is not None:
            return False
        self.ended = now
        self.outcome = outcome
        if why:
            self.why = printable(why[:LOOKED_AT].partition("\n")[0])
        return True

    def __str__(self) -> str:
        """Its line, once it has ended."""
        return line_of(self)

    def log_line(self, log: Logger, *, brief: bool = False) -> None:
        """Say how it ended, in one line.

        :param brief: the event holds this record, and not each field: whoever takes it makes them, for many
            exchanges at a time, in a fourth of the time.
        """
        assert self.outcome is not None
        shown = bool(self.losses) and self.show_losses
        # What Logger.info does, without taking thirty arguments apart and together again.
        event: dict[str, Any] = {} if brief else fields_of(self)
        event["exchange"] = self
        event["log_kind"] = "exchange"
        event["log_logger"] = log
        event["log_level"] = LogLevel.info
        event["log_namespace"] = log.namespace
        event["log_source"] = log.source
        event["log_format"] = "{exchange}"
        event["log_time"] = time()
        log.observer(event)
        if shown:
            log.debug(
                "dropped in translation to {account}:\n{lines}",
                request=self.request,
                account=self.account,
                lines="\n".join(listed(self.losses)),
            )


#: Hears of every exchange when it has ended. It must neither raise nor wait.
Observer = Callable[[ExchangeRecord], None]
