"""The last changes of a configuration file by commands, each of which can be taken back byte by byte.

A folder of ours holds a copy of the file as it was before each change, and a list of them. Copies hold what
the file held, secrets among it: they are for their owner alone.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.forms import digest

_LIST = "changes.json"
#: So many changes can be taken back, the newest.
MAX_CHANGES = 20


class Change(msgspec.Struct, frozen=True):
    """One change.

    :param path: the file.
    :param what: what was done, for people.
    :param copy: the name of its copy in the folder.
    :param written: the digest of what was written.
    """

    path: str
    what: str
    copy: str
    written: str


class CannotUndo(Exception):
    """A change cannot be taken back; the message has the reason."""


class Changes:
    """The folder.

    :param folder: made with mode 0700 when something is kept first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: Path, before: bytes, after: bytes, what: str) -> None:
        """Change a file, and keep what takes that back.

        :raises OSError: it cannot be written, or kept: then it is as it was.
        :raises CannotUndo: the file has been changed in the meantime, or the list is damaged.
        """
        known = self._load()
        change = Change(str(path), what, f"{secrets.token_hex(8)}.copy", digest(after))
        files.write(self.folder / change.copy, before)
        self._keep((*known, change)[-MAX_CHANGES:])
        if files.content(path) != before:
            self._keep(known)
            raise CannotUndo(f"{path} has just been changed: start again")
        files.write(path, after)

    def last(self, path: Path) -> Change:
        """The last change of a file.

        :raises CannotUndo: there is none.
        """
        change = next((one for one in reversed(self._load()) if one.path == str(path)), None)
        if change is None:
            raise CannotUndo(f"nothing was changed in {path} by this command ({self.folder})")
        return change

    def take_back(self, change: Change) -> None:
        """Give the file the bytes that it had before a change.

        :raises CannotUndo: something else has been changed since.
        :raises OSError: it cannot be read or written.
        """
        path, copy = Path(change.path), self.folder / change.copy
        before, now = files.content(copy), files.content(path)
        if before is None:
            raise CannotUndo(f"the copy {copy} is gone")
        if now is None or digest(now) != change.written:
            raise CannotUndo(f"{path} has been changed since: revert it by hand (its copy is {copy})")
        files.write(path, before)
        self._keep(tuple(one for one in self._load() if one != change))

    def _load(self) -> tuple[Change, ...]:
        data = files.content(self.folder / _LIST)
        if data is None:
            return ()
        try:
            return msgspec.json.decode(data, type=tuple[Change, ...])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise CannotUndo(f"{self.folder / _LIST} is damaged: move it away") from None

    def _keep(self, changes: tuple[Change, ...]) -> None:
        files.write(self.folder / _LIST, msgspec.json.format(msgspec.json.encode(changes), indent=1) + b"\n")
        kept = {change.copy for change in changes}
        for path in self.folder.glob("*.copy"):
            if path.name not in kept:
                path.unlink()
