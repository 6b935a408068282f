"""Alerts: what they are about, and where they are sent. See docs/alerts.md."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from ampproxy.model.base import Guarded
from ampproxy.wire.redact import Secret

#: What an alert is about -> one clause about it, for people.
KINDS: dict[str, str] = {
    "needs-login": "an account needs a login, or its key is refused",
    "all-cooling": "no account can serve a model, because all that have it are cooling down",
    "amp-credits": "a daily limit of `ampcode.fallback` is used up to nine tenths",
    "budget": "a client has used nine tenths of a limit that renews daily or less often",
    "model-retiring": "a model that is needed here is taken away by its vendor soon",
    "state-away": "for a minute, the state has not been shared with other gateways",
    "config-refused": "a changed configuration file was refused; the one before it is in force",
    "certificate": "the listener's certificate expires within two weeks, or has expired",
    "ledger-away": "for a minute, the ledger could not be written",
    "worker-failing": "one of several `workers` ends again and again",
}

#: A name of :data:`KINDS`.
Kind: TypeAlias = str


class Argv(Guarded, frozen=True):
    """A program and its arguments. ``repr`` shows the program alone: an argument may be a secret."""

    hidden: ClassVar[frozenset[str]] = frozenset(("arguments",))

    program: str
    arguments: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All of them."""
        return self.program, *self.arguments


class Alerts(Guarded, frozen=True, kw_only=True):
    """Who is alerted of what (our own section ``alerts``).

    :param webhook: a URL, whole: who knows it may post there.
    :param headers: what is sent with it; a header may be a credential, so ``repr`` shows none.
    :param command: what is run.
    :param on: the kinds that are sent.
    :param repeat: seconds after which an alert that is still active is sent again.
    :param interval: seconds between two looks.
    :param timeout: seconds for one delivery.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("headers",))

    webhook: Secret | None = None
    headers: tuple[tuple[str, str], ...] = ()
    command: Argv | None = None
    on: tuple[Kind, ...] = tuple(KINDS)
    repeat: float = 86400.0
    interval: float = 30.0
    timeout: float = 10.0
