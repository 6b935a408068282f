"""The one error that a client gets when none of several accounts served: who was asked, what each of them
said, when it is back and what would help.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ampproxy.credentials.outcomes import Action, Verdict
from ampproxy.errors import ExchangeError, UpstreamFault
from ampproxy.model.base import Value
from ampproxy.model.events import ErrorKind, WireError
from ampproxy.wire.words import span

#: So many accounts are told of; of a thousand nobody reads more.
MAX_LISTED = 10
_WORDS = 200
#: The code where the vendors refuse the accounts' own keys.
KEY_REFUSED = "vendor_key_refused"


class Attempt(Value, frozen=True):
    """An account that did not serve.

    :param label: its name.
    :param verdict: what is the matter with it.
    :param back: in how many seconds it is tried again; 0: at once.
    :param error: what it answered; ``None``: it rests and was not asked.
    """

    label: str
    verdict: Verdict
    back: float
    error: WireError | None = None

    @property
    def key_refused(self) -> bool:
        """Whether the vendor refuses the account's own key or login, which is not the client's key."""
        return self.verdict.action is Action.LOGIN

    def summary(self) -> str:
        """In one line."""
        line = f"{self.label} {self.verdict.reason}"
        if self.error is not None:
            words = " ".join(self.error.message.split())
            words = words if len(words) <= _WORDS else words[:_WORDS] + "..."
            line += f" ({self.error.status}: {words})"
        line += f"; it is tried again in {span(self.back)}" if self.back > 0 else ""
        return line + (f". To do: {self.verdict.suggestion}." if self.verdict.suggestion else ".")


class AccountsExhausted(UpstreamFault):
    """No account served: each has failed, or rests."""


def is_overload(error: ExchangeError) -> bool:
    """Whether a vendor is overloaded; that no account of several is free is the gateway's own 503."""
    message = error.error
    vendors = error.fault == "upstream" and not isinstance(error, AccountsExhausted)
    return vendors and message.kind == "overloaded" and message.status == 503


def lacks_call(attempts: Iterable[Attempt]) -> bool:
    """Whether one of these vendors has not got the call that was asked for, or gave no answer to it that can
    be read, whatever else it serves.
    """
    return any(
        attempt.verdict.per_operation or (attempt.error is not None and attempt.error.status == 501)
        for attempt in attempts
    )


def exhausted(
    model: str, attempts: Sequence[Attempt], cooling: Sequence[Attempt], *, count: int, wait: float | None
) -> AccountsExhausted:
    """The error for the client.

    :param attempts: who was asked, in order.
    :param cooling: who rests and was not asked.
    :param count: how many accounts there are in all.
    :param wait: in how many seconds another try makes sense.
    """
    failures = [*attempts, *cooling]
    asked = len({attempt.label for attempt in attempts})
    head = f"No account could serve {model}: {asked} of {count} tried and failed"
    head += f", {len(cooling)} cooling down." if cooling else "."
    if wait:
        head += f" Try again in {span(wait)}."
    lines = [f"- {attempt.summary()}" for attempt in failures[:MAX_LISTED]]
    more = len(failures) - MAX_LISTED
    if more > 0:
        lines.append(f"- and {more} more")
    status, kind = _status(failures)
    code = KEY_REFUSED if _all_refused(failures) else "model_cooldown"
    error = WireError(kind, "\n".join([head, *lines]), status, code, None, wait or None)
    return AccountsExhausted(error, retryable=True)


def _status(failures: Sequence[Attempt]) -> tuple[int, ErrorKind]:
    """429 where all of them have used something up; 502 where their vendors refuse their keys (401 would
    blame the client's own); what all of them said, if they agree; else 503.
    """
    if _all_refused(failures):
        return 502, "unavailable"
    if failures and all(attempt.verdict.is_quota for attempt in failures):
        return 429, "rate_limit"
    answers = {
        (attempt.error.status, attempt.error.kind) for attempt in failures if attempt.error is not None
    }
    if len(answers) == 1 and all(attempt.error is not None for attempt in failures):
        return next(iter(answers))
    return 503, "overloaded"


def _all_refused(failures: Sequence[Attempt]) -> bool:
    return bool(failures) and all(attempt.key_refused for attempt in failures)
