"""The file that keeps the vendors' lists of models between two runs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from ampproxy.config import files
from ampproxy.routing.discovered import Book, dump, load

_NAME = "models.json"
#: A thousand accounts with a hundred models each have a few megabytes.
_MAX_FILE = 64 * 1024 * 1024


def cache_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Where caches of ours belong: systemd says it, else the XDG Base Directory Specification, by which a
    relative ``XDG_CACHE_HOME`` does not count.
    """
    given = environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    named = Path(environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else home / ".cache") / "ampproxy"


class ModelCache:
    """A book on disk. Only its owner can read it; it is replaced whole.

    :param folder: made when something is written first. ``None``: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / _NAME

    def read(self, now: float) -> Book:
        """The book, or an empty one if there is none that can be read: it is only a cache.

        :param now: seconds since the epoch.
        """
        try:
            if self.path is not None:
                return load(files.read(self.path, _MAX_FILE), now)
        except (OSError, ValueError):
            pass
        return Book(salt=secrets.token_hex(16))

    def write(self, book: Book, now: float) -> None:
        """Keep a book, with what another process has learned meanwhile.

        :raises OSError: the disk does not take it.
        """
        if self.path is None:
            return
        stored = self.read(now)
        if stored.salt == book.salt:
            book = stored.having(book.accounts, book.places)
        files.replace(self.path, dump(book))
