"""Where a ledger is, by the configuration, and how it is opened to be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ampproxy.config.schema import Config
from ampproxy.ledger import NAME, LedgerError
from ampproxy.model.base import Value
from ampproxy.model.databases import shown
from ampproxy.model.ledger import Ledger
from ampproxy.wire.redact import SecretUnseen, Unseen

if TYPE_CHECKING:
    from ampproxy.ledger.postgres import Server
    from ampproxy.ledger.reading import Readable

#: How much longer than one of its transactions a question may take.
READING_FACTOR = 6
#: The folder of what waits for a database, in that of the state.
SPOOL = "ledger-spool"


class Place(Value, frozen=True):
    """Where it is.

    :param path: SQLite's file.
    :param database: PostgreSQL in place of it, by the settings; ``None``: it is the file.
    """

    path: Path
    database: Ledger | None = None

    @property
    def name(self) -> str:
        """As people are shown it: without a secret."""
        return str(self.path) if self.database is None else name_of(self.database)

    def exists(self) -> bool:
        """Whether there is anything to read. A database is asked when it is opened.

        :raises LedgerError: the system does not let us look.
        """
        # Not at the top, here and below: it loads SQLite, which a service needs when it serves already.
        from ampproxy.ledger.file import exists

        return self.database is not None or exists(self.path)

    def identity(self) -> object:
        """What is another if another ledger has taken its place; ``None``: there is none."""
        if self.database is not None:
            return self.name
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def open(self) -> Readable:
        """The ledger, never changed, whether or not a service writes to it.

        :raises LedgerError: there is none, or it cannot be read; says why.
        """
        if self.database is None:
            from ampproxy.ledger.file import open_to_read
            from ampproxy.ledger.reading import FileReading

            return FileReading(open_to_read(self.path))
        server = server_of(self.database)
        # Not at the top: it loads SQLAlchemy.
        from ampproxy.ledger.postgres import DatabaseReading

        return DatabaseReading(replace(server, timeout=server.timeout * READING_FACTOR), self.name)


def place_of(config: Config, folder: Path) -> Place:
    """Where the ledger of a service is.

    :param folder: of its state.
    """
    return Place(folder / NAME, None if config.ledger.url is None else config.ledger)


def name_of(settings: Ledger) -> str:
    """How a database is called: without user, password and options."""
    assert settings.url is not None
    return "the database of ledger.url" if isinstance(settings.url, Unseen) else shown(settings.url.reveal())


def server_of(settings: Ledger) -> Server:
    """How a database is reached.

    :raises LedgerError: a secret is not here, or the packages are not installed.
    """
    assert settings.url is not None
    try:
        from ampproxy.ledger.postgres import Server
    except ImportError as error:
        raise LedgerError(str(error)) from error
    try:
        password = None if settings.password is None else settings.password.reveal()
        return Server(settings.url.reveal(), password, settings.timeout)
    except SecretUnseen as error:
        raise LedgerError(str(error)) from error
