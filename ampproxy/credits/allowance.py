"""The counters behind ``ampcode.fallback``'s daily limits.

A request takes what it may cost at most before it is sent, in one transaction, and gives back what it did
not use. So neither requests at the same time nor several processes overrun a limit, and what a killed
process had taken stays counted.

One SQLite file (https://www.sqlite.org/wal.html): a committed transaction survives the process. What is
kept is a day, a rule's text, a salted digest of the client's key, and two numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ampproxy.config.schema import FallbackRule
from ampproxy.errors import GatewayFault
from ampproxy.model.base import Value
from ampproxy.wire.redact import Secret
from ampproxy.wire.words import of_counts

if TYPE_CHECKING:
    import sqlite3

NAME = "credits.sqlite3"

#: So many days' counters are kept, the newest; only today's count.
KEPT = 35

_SCHEMA = """
CREATE TABLE IF NOT EXISTS salt (value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS used (
    day TEXT NOT NULL, rule TEXT NOT NULL, client TEXT NOT NULL,
    requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
    PRIMARY KEY (day, rule, client)
) WITHOUT ROWID;
"""

_PRUNE = """
DELETE FROM used WHERE day < ? AND day NOT IN (SELECT DISTINCT day FROM used ORDER BY day DESC LIMIT ?)
"""

_HIGHEST = "SELECT MAX(requests), MAX(tokens) FROM used WHERE day = ? AND rule = ?"


class Used(Value, frozen=True):
    """What has been used up today under a rule."""

    requests: int = 0
    tokens: int = 0


class Unbounded(Exception):
    """Nobody can tell what a request may cost. Says why, as the end of a sentence: ``it has ...``."""


class LimitReached(Exception):
    """Not taken: a limit is reached, or the request might overrun it.

    :ivar used: what the day has used.
    :ivar wanted: the tokens that the request may cost at most.
    """

    def __init__(self, used: Used, wanted: int) -> None:
        super().__init__("A daily limit is reached.")
        self.used = used
        self.wanted = wanted


class CountersBusy(GatewayFault):
    """Another program has the counters at the moment: worth another attempt (see
    :mod:`ampproxy.credits.waiting`).
    """


class Taken(Value, frozen=True):
    """One request and so many tokens, until they are settled."""

    day: str
    rule: str
    client: str
    tokens: int


class Allowance:
    """The counters. Nothing here waits: it is called in the reactor.

    :param folder: where the file is; ``None``: counts are forgotten with the process.
    :param today: gives the day, ``YYYY-MM-DD``.
    """

    def __init__(self, folder: Path | None, today: Callable[[], str]) -> None:
        self.path = None if folder is None else folder / NAME
        self._today = today
        self._database: sqlite3.Connection | None = None
        self._salt = b""
        self._pruned = ""

    def take(self, rule: FallbackRule, client: Secret | None, tokens: int) -> Taken:
        """Take one request and ``tokens`` of a rule's limits.

        :param client: the key of who asks.
        :param tokens: what it may cost at most, in and out.
        :raises LimitReached: that is more than is left; nothing is taken.
        :raises CountersBusy: another program writes at the moment; nothing is taken.
        :raises ampproxy.errors.GatewayFault: the file cannot be read or written.
        """
        with self._transaction() as database:
            taken = Taken(self._today(), name_of(rule), self._digest(rule, client), tokens)
            used = _read(database, taken)
            over_requests = rule.requests is not None and used.requests + 1 > rule.requests
            over_tokens = rule.tokens is not None and used.tokens + tokens > rule.tokens
            if over_requests or over_tokens:
                raise LimitReached(used, tokens)
            self._prune(database, taken.day)
            _add(database, taken, 1, tokens)
        return taken

    def settle(self, taken: Taken, *, tokens: int | None, sent: bool = True) -> None:
        """Give back what was not used.

        :param tokens: what it did cost; ``None``: nobody knows, so all that was taken stays counted.
        :param sent: whether the request counts at all.
        :raises CountersBusy: another program writes at the moment; all stays counted.
        :raises ampproxy.errors.GatewayFault: the file cannot be written; then all stays counted.
        """
        back = 0 if tokens is None else taken.tokens - tokens
        if not sent:
            back = taken.tokens
        if back or not sent:
            with self._transaction() as database:
                _add(database, taken, 0 if sent else -1, -back)

    def used(self, rule: FallbackRule, client: Secret | None = None) -> Used:
        """What today has used under a rule. Nobody who writes keeps this from being read.

        :raises ampproxy.errors.GatewayFault: the file cannot be read.
        """
        with self._transaction("BEGIN") as database:
            return _read(database, Taken(self._today(), name_of(rule), self._digest(rule, client), 0))

    def highest(self, rule: FallbackRule) -> Used:
        """The most that today has used under a rule: of one client, where each has limits of its own.

        :raises ampproxy.errors.GatewayFault: the file cannot be read.
        """
        with self._transaction("BEGIN") as database:
            row = database.execute(_HIGHEST, (self._today(), name_of(rule))).fetchone()
            return Used(row[0] or 0, row[1] or 0)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _digest(self, rule: FallbackRule, client: Secret | None) -> str:
        return digest_of(client, self._salt) if rule.per_client else ""

    def _prune(self, database: sqlite3.Connection, day: str) -> None:
        if day != self._pruned:
            self._pruned = day
            # By what is there, not by the clock: one that was ahead for a while must not have taken the
            # counters of the day that it is then set back to.
            database.execute(_PRUNE, (day, KEPT - 1))

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        import sqlite3

        try:
            database = self._database
            if database is None:
                database = self._database = self._open()
            database.execute(begin)
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            if not busy:
                self._drop()
            raise (CountersBusy if busy else GatewayFault).of(
                "unavailable",
                f"Today's use of Amp cannot be counted, so no request under a daily limit is sent there"
                f" now: {self.path}: {of_counts(error)}.",
                status=503,
                code="amp_limit_unknown",
            ) from None

    def _drop(self) -> None:
        import sqlite3

        try:
            self.close()
        except sqlite3.Error:
            pass

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made by us, so that nobody else can read it at any time.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self.path or ":memory:", timeout=0, isolation_level=None)
        try:
            self._salt = _prepared(database)
        except BaseException:
            database.close()
            raise
        return database


def _prepared(database: sqlite3.Connection) -> bytes:
    """Make what is not there yet; gives the salt."""
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        database.execute(statement)
    found: tuple[bytes] | None = database.execute("SELECT value FROM salt").fetchone()
    if found is None:
        found = (os.urandom(16),)
        database.execute("INSERT INTO salt VALUES (?)", found)
    database.execute("COMMIT")
    return found[0]


def name_of(rule: FallbackRule) -> str:
    """What a rule's counters go by: whom it is for, not how much it allows, nor where it stands."""
    return json.dumps([rule.models, rule.roles, rule.per_client])


def digest_of(client: Secret | None, salt: bytes) -> str:
    """What a client's counters go by; empty for one without a key.

    :param salt: the file's.
    """
    if client is None:
        return ""
    return hashlib.blake2b(client.reveal().encode(), key=salt, digest_size=8).hexdigest()


def _read(database: sqlite3.Connection, taken: Taken) -> Used:
    row = database.execute(
        "SELECT requests, tokens FROM used WHERE day = ? AND rule = ? AND client = ?",
        (taken.day, taken.rule, taken.client),
    ).fetchone()
    return Used() if row is None else Used(*row)


def _add(database: sqlite3.Connection, taken: Taken, requests: int, tokens: int) -> None:
    database.execute(
        "INSERT INTO used VALUES (?, ?, ?, ?, ?) ON CONFLICT (day, rule, client)"
        " DO UPDATE SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens",
        (taken.day, taken.rule, taken.client, requests, tokens),
    )
