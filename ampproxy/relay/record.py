"""What is told about one exchange when it ends: once, in one line."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

from ampproxy.model.events import Usage
from ampproxy.model.loss import Loss
from ampproxy.relay.losses import counted, listed, told
from ampproxy.wire.redact import printable


class Outcome(enum.Enum):
    """How an exchange ended. Every exchange ends in exactly one of these."""

    COMPLETED = "completed"
    REFUSED = "refused"
    UPSTREAM_ERROR = "upstream-error"
    BROKEN_OFF = "broken-off"
    CLIENT_LEFT = "client-left"
    FAILED = "failed"


@dataclass(slots=True)
class ExchangeRecord:
    """One exchange as the log shows it. Times are seconds of one monotonic clock.

    :param kind: the route: ``local``, ``mapped``, ``amp``, ``none``, ``management`` or ``tunnel``.
    :param client: a label of the client's key; never the key.
    :param thread: the Amp thread that it belongs to; empty where the client names none.
    :param role: what Amp uses the model for: ``smart``, ``oracle``, ``title``; empty where nothing tells.
    :param ended: when it ended; ``None`` as long as it is under way.
    :param bytes_in: what a client sent through a tunnel; of other exchanges only the answer is counted.
    :param losses: what a translation could not say of the question and of the answer.
    :param show_losses: tell of them in the text of the log too, not in its fields alone.
    """

    started: float
    method: str
    path: str
    client: str = "-"
    thread: str = ""
    role: str = ""
    kind: str = "none"
    asked: str = ""
    served: str = ""
    account: str = ""
    status: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    first_byte: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    why: str = ""
    usage: Usage | None = None
    attempts: list[str] = field(default_factory=list)
    losses: tuple[Loss, ...] = ()
    show_losses: bool = False

    def close(self, now: float, outcome: Outcome, why: str = "") -> bool:
        """End the exchange. A second call does nothing and is false: the first outcome is the true one."""
        if self.outcome is not None:
            return False
        self.ended = now
        self.outcome = outcome
        self.why = printable(why.partition("\n")[0])
        return True

    def tell(self, log: Logger) -> None:
        """Say how it ended, in one line."""
        assert self.outcome is not None
        assert self.ended is not None
        log.info(
            "{kind} {method} {path} {asked} -> {served} {account} client={client}{for_role} status={status}"
            " bytes={bytes}{inward} first={first_ms}ms total={total_ms}ms tokens={tokens}"
            " {outcome}{why}{lost}",
            log_kind="exchange",
            kind=self.kind,
            method=self.method,
            path=self.path,
            asked=printable(self.asked) or "-",
            served=self.served or "-",
            account=self.account or "-",
            client=self.client,
            thread=self.thread,
            role=self.role,
            for_role=f" role={self.role}" if self.role else "",
            status=self.status,
            bytes=self.bytes_out,
            bytes_in=self.bytes_in,
            inward=f" in={self.bytes_in}" if self.bytes_in else "",
            first_ms="-" if self.first_byte is None else round((self.first_byte - self.started) * 1000),
            total_ms=round((self.ended - self.started) * 1000),
            tokens=_tokens(self.usage),
            outcome=self.outcome.value,
            why=f" ({self.why})" if self.why else "",
            attempts=self.attempts,
            losses=counted(self.losses),
            lost=f" losses={told(self.losses)}" if self.losses and self.show_losses else "",
        )
        if self.losses and self.show_losses:
            log.debug(
                "not said to {account}:\n{lines}", account=self.account, lines="\n".join(listed(self.losses))
            )


#: Hears of every exchange when it has ended. It must neither raise nor wait.
Observer = Callable[[ExchangeRecord], None]


def _tokens(usage: Usage | None) -> str:
    if usage is None:
        return "-"
    return f"{usage.input + usage.cache_read + usage.cache_write}+{usage.output}"
