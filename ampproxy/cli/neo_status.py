"""What ``ampproxy neo status`` shows of what came: the last request of Amp's cloud, by connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing

from ampproxy.amp.connections import Connection
from ampproxy.cli.kept import kept
from ampproxy.config.schema import Config
from ampproxy.ledger import LedgerError
from ampproxy.ledger.latest import Latest, latest
from ampproxy.ledger.place import place_of
from ampproxy.model.clients import NEO_CLIENT
from ampproxy.wire.redact import printable
from ampproxy.wire.words import local_time, span

#: Gives a line on the last request for any of some models; ``None``: for any model.
LastRequest = Callable[[Collection[str] | None], str]


def last_request(config: Config) -> LastRequest:
    """Reads the ledger of the service that runs by a configuration."""
    if not config.ledger.enable:
        return lambda asked: "not known, for there is no ledger (setting: ledger.enable)"
    place = place_of(config, kept(config).folder)

    def find(asked: Collection[str] | None) -> str:
        try:
            with closing(place.open()) as ledger:
                found = latest(ledger, NEO_CLIENT, asked)
        except LedgerError as why:
            return f"not known: {why}"
        return "none that the ledger has" if found is None else _line(found)

    return find


def names_sent(one: Connection) -> Collection[str] | None:
    """The names of models that a connection asks for; ``None``: any."""
    try:
        rules = one.rules
    except ValueError:
        return None
    exact = [rule for rule in rules if not rule.excluded]
    if not exact or not all(rule.is_exact for rule in exact):
        return None
    return {rule.target or rule.pattern for rule in exact}


def _line(found: Latest) -> str:
    """``2026-11-29 19:50:02+00:00 (5 min ago), T-..., claude-x -> claude-x, local, completed (200), ...``"""
    tokens = "tokens not reported"
    if found.input is not None and found.output is not None:
        tokens = f"{found.input:,} tokens in, {found.output:,} out"
    ago = span(max(0.0, time.time() - found.at))
    thread = printable(found.thread) or "no thread"
    models = f"{printable(found.asked) or '-'} -> {printable(found.served) or '-'}"
    return (
        f"{local_time(found.at)} ({ago} ago), {thread}, {models}, {found.route}, {found.outcome}"
        f" ({found.status}), {tokens}"
    )
