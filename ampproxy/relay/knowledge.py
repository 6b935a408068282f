"""What is known of models: of the release, of newer data, of the vendors' lists, of the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ampproxy.catalog.families import EMPTY, Families, Layer
from ampproxy.config import files
from ampproxy.config.schema import Account, Config

if TYPE_CHECKING:
    from ampproxy.catalog.newer import DataSet

_NAME = "catalog.json"


class NewerData:
    """The newer data set on disk, if ``ampproxy models update`` has put one there.

    :param folder: made when something is written first. ``None``: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / _NAME
        self._read: tuple[object, DataSet | None] = (None, None)

    def read(self) -> DataSet | None:
        """What is kept, read again where it has changed; ``None``: nothing that can be read."""
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
            # Not at the top: mostly there is none.
            from ampproxy.catalog import newer

            identity = found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
            if self._read[0] != identity:
                self._read = identity, newer.load(files.read(self.path, 2 * newer.MAX_SIZE))
            return self._read[1]
        except (OSError, ValueError):
            return None

    def write(self, found: DataSet) -> None:
        """Keep a data set in the place of the one before.

        :raises OSError: the disk does not take it.
        """
        from ampproxy.catalog import newer

        assert self.path is not None
        files.replace(self.path, newer.dump(found))

    def remove(self) -> bool:
        """Keep none any more; whether there was one.

        :raises OSError: it cannot be removed.
        """
        try:
            if self.path is not None:
                self.path.unlink()
                return True
        except FileNotFoundError:
            pass
        return False


class Knowledge:
    """Puts the layers together.

    :param declared: what the vendors of accounts declare in their lists.
    :param learned: what refusals taught of the models of accounts.
    """

    def __init__(
        self,
        data: NewerData,
        declared: Callable[[Iterable[Account]], Layer],
        learned: Callable[[Iterable[Account]], Layer] = lambda accounts: EMPTY,
    ) -> None:
        self._data = data
        self._declared = declared
        self._learned = learned

    def __call__(self, config: Config) -> Families:
        """What is known under a configuration."""
        kept = self._data.read()
        return config.families.above(
            None if kept is None else kept.in_force(),
            listed=self._declared(config.accounts),
            learned=self._learned(config.accounts),
        )
