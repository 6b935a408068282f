"""Where a ledger is, by the configuration, and how it is opened to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ampproxy.config.schema import Config
from ampproxy.ledger import NAME
from ampproxy.ledger.file import exists, open_to_read
from ampproxy.ledger.reading import FileReading, Readable


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is.

    :param path: SQLite's file.
    """

    path: Path

    @property
    def name(self) -> str:
        """As people are shown it: without a secret."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether there is anything to read.

        :raises LedgerError: the system does not let us look.
        """
        return exists(self.path)

    def identity(self) -> object:
        """What is another if another ledger has taken its place; ``None``: there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def open(self) -> Readable:
        """The ledger, never changed, whether or not a service writes to it.

        :raises LedgerError: there is none, or it cannot be read; says why.
        """
        return FileReading(open_to_read(self.path))


def place_of(config: Config, folder: Path) -> Place:
    """Where the ledger of a service is.

    :param folder: of its state.
    """
    return Place(folder / NAME)
