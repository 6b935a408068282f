"""What is kept of each exchange, and where. See docs/usage.md."""

from __future__ import annotations

from pathlib import Path

from ampproxy.model.base import Value
from ampproxy.wire.redact import Secret


class Ledger(Value, frozen=True, kw_only=True):
    """What is kept of each exchange (our own section ``ledger``).

    :param enable: keep anything at all.
    :param max_age: how long an exchange is remembered.
    :param max_size: of the file; the oldest exchanges make room.
    :param management: keep requests on Amp's own routes, too.
    :param prices: the user's own table of prices; read by the command line alone.
    :param url: of a database at PostgreSQL; ``None``: it is a file. It may have a password in it.
    :param password: for that database.
    :param timeout: seconds for one transaction there.
    :param spool_size: bytes that may wait on the disk while it is away.
    :param max_series: names of one day that are told apart; 0: as many as the engine is made for.
    """

    enable: bool = True
    max_age: float = 365 * 86400.0
    max_size: int = 1024**3
    management: bool = False
    prices: Path | None = None
    url: Secret | None = None
    password: Secret | None = None
    timeout: float = 10.0
    spool_size: int = 256 * 1024**2
    max_series: int = 0


class DatabaseState(Value, frozen=True, kw_only=True):
    """What was found of a ledger's database.

    :param name: how it is called, without a secret.
    :param why: why it cannot be used; empty: it can.
    :param server: its version, for people.
    :param exposed: whether what is sent there crosses a network in clear.
    :param skew: seconds that its clock is ahead of this machine's; negative: behind.
    :param waiting: bytes that wait for it on this machine's disk.
    """

    name: str
    why: str = ""
    server: str = ""
    exposed: bool = False
    skew: float = 0.0
    waiting: int = 0
