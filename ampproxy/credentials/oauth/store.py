"""The folder of login files: read, locked across processes, and replaced whole or not at all.

A file is replaced by a new one beside it that is on the disk before it takes the name, so that whatever
happens in between, the name holds the old content or the new. Other programs write the same
folder without our locks; therefore a file is compared with what was read right before it is replaced.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ampproxy.config import files
from ampproxy.credentials.oauth.failures import BadFile
from ampproxy.credentials.oauth.formats import Document, Login, dump, is_older, kind_of, parse, with_tokens
from ampproxy.credentials.oauth.protocol import Tokens

#: A login file is some kilobytes; nobody's mistake should fill the memory.
MAX_FILE = 1024 * 1024
#: What a file grows at most when its tokens are replaced, as far as the rehearsal cares.
_ROOM = 16 * 1024
_NAME = re.compile(r"(?!\.)[^/\0]{1,250}\.json")


class Disk:
    """The operating system's part, one method a call, so that a test can fail each of them."""

    def read(self, path: Path) -> bytes:
        """A file's content; raises ``OSError`` where it is no file, too."""
        return files.read(path, MAX_FILE)

    def create(self, path: Path) -> int:
        """A new file that only its owner can read, open for writing; fails if it exists."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, file: int, data: bytes) -> int:
        """Write some of it; how much."""
        return os.write(file, data)

    def sync(self, file: int) -> None:
        """Wait until it is on the disk."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Close it."""
        os.close(file)

    def replace(self, source: Path, target: Path) -> None:
        """Give it the name, at once."""
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        """Remove it."""
        os.unlink(path)

    def sync_folder(self, path: Path) -> None:
        """Wait until the folder's names are on the disk."""
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Lock:
    """Held by one process at a time, and by one holder in it. The system drops it when a process dies."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file

    def release(self) -> None:
        """Let others have it; a second time does nothing."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Store:
    """``auth-dir``.

    :param folder: made with mode 0700 at the first write if it is not there.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.folder = folder
        self._disk = disk or Disk()

    def names(self) -> list[str]:
        """The login files' names, in order; none if the folder is not there.

        :raises OSError: the folder cannot be read.
        """
        try:
            return sorted(name for name in os.listdir(self.folder) if _NAME.fullmatch(name))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> Login | None:
        """A login; ``None``: the file is not there, or belongs to a vendor that we do not serve.

        :raises BadFile: it is no login's, or cannot be read.
        """
        data = self._content(name)
        return None if data is None else parse(name, data)

    def unserved(self, name: str) -> str:
        """The kind of a login that belongs to a vendor that we do not serve; empty: it is none such."""
        try:
            data = self._content(name)
            return "" if data is None or parse(name, data) is not None else kind_of(name, data)
        except BadFile:
            return ""

    def _content(self, name: str) -> bytes | None:
        """A file's content; ``None``: it is not there.

        :raises BadFile: it cannot be read, or is no login's by its size.
        """
        try:
            data = self._disk.read(self._path(name))
        except FileNotFoundError:
            return None
        except files.TooLarge:
            raise BadFile(f"{name} is too large for a login") from None
        except OSError as error:
            raise BadFile(f"{name} cannot be read: {error.strerror}") from None
        return data

    def lock(self, name: str, *, make: bool = True) -> Lock | None:
        """The lock of one login; ``None``: somebody else has it.

        Its own file, for the login's is replaced again and again; that file is left where it is.

        :param make: make the folder if it is not there. One that was removed under a running service, or is
            a disk that is not mounted just now, is not for it to make.
        :raises OSError: there can be no lock.
        """
        if make:
            self._ensure_folder()
        path = self.folder / f".{name}.lock"
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_file(path, file):
                    return Lock(file)
            except BlockingIOError:
                os.close(file)
                return None
            except BaseException:
                os.close(file)
                raise
            # Removed by a logout between our opening and our locking it.
            os.close(file)

    def rehearse(self, name: str) -> None:
        """Do all that a replacement needs but the replacing. Whoever holds the lock calls this before
        a refresh token is spent: a full disk should be met while the old token is still good.

        :raises OSError: a replacement would fail.
        """
        path = self._path(name)
        beside = self._write_beside(path, b" " * (path.stat().st_size + _ROOM))
        self._disk.unlink(beside)

    def update(self, login: Login, tokens: Tokens, now: float) -> Login | None:
        """Put new tokens into the file. Whoever holds the lock calls this.

        What else has changed in it since it was read stays changed; if its tokens have been replaced by
        ones that end later, those are left and ours are dropped.

        :returns: the login as the file has it now; ``None``: the file is gone, the user has logged out.
        :raises OSError: the tokens could not be written; the file is as it was.
        """

        def change(current: Login) -> Document | None:
            if not is_older(current, tokens, login.refresh_token):
                return None
            return with_tokens(current, tokens, now)

        return self._change(login, change)

    def add(self, name: str, document: Document) -> Login:
        """Write a new login, or a user's next one into the same file: what is not of the login itself
        (priority, proxy, notes) stays. Whoever holds the lock calls this.

        :raises OSError: it could not be written.
        :raises BadFile: the document is no login.
        """
        self._ensure_folder()
        try:
            current = self.read(name)
        except BadFile:
            current = None
        merged = document if current is None else {**current.document, **document}
        merged.pop("disabled", None)
        login = parse(name, dump(merged))
        if login is None:
            raise BadFile(f"{name} is of a kind that is not served")
        self._replace(self._path(name), dump(merged))
        return login

    def remove(self, name: str) -> bool:
        """Remove a login; whether it was there. Whoever holds the lock calls this.

        :raises OSError: it cannot be removed.
        """
        try:
            self._disk.unlink(self._path(name))
        except FileNotFoundError:
            return False
        (self.folder / f".{name}.lock").unlink(missing_ok=True)
        self._disk.sync_folder(self.folder)
        return True

    def exposed(self) -> str:
        """A complaint about a folder that others can look into, or empty."""
        try:
            mode = stat.S_IMODE(self.folder.stat().st_mode)
        except OSError:
            return ""
        if not mode & 0o077:
            return ""
        return f"{self.folder} can be read by others (mode {mode:04o}): chmod 700 {self.folder}"

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BadFile(f"{name!r} is not the name of a login file")
        return self.folder / name

    def _ensure_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)

    def _change(self, login: Login, change: Callable[[Login], Document | None]) -> Login | None:
        """Replace a file's content by what ``change`` makes of it, starting anew if it changes meanwhile.

        A file that somebody has broken meanwhile counts as ``login``, which it was.
        """
        path = self._path(login.name)
        while True:
            current = self._present(login)
            if current is None:
                return None
            document = change(current)
            if document is None:
                return current
            data = dump(document)
            beside = self._write_beside(path, data)
            # Between this look and the rename nothing is waited for.
            if self._present(login) == current:
                self._rename(beside, path)
                return parse(login.name, data)
            self._disk.unlink(beside)

    def _present(self, login: Login) -> Login | None:
        try:
            return self.read(login.name)
        except BadFile:
            return login

    def _replace(self, path: Path, data: bytes) -> None:
        self._rename(self._write_beside(path, data), path)

    def _rename(self, beside: Path, path: Path) -> None:
        target = path.resolve() if path.is_symlink() else path
        self._disk.replace(beside, target)
        self._disk.sync_folder(target.parent)

    def _write_beside(self, path: Path, data: bytes) -> Path:
        """A new file beside the one that it is to replace, on the disk."""
        target = path.resolve() if path.is_symlink() else path
        self._sweep(target)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        file = self._disk.create(beside)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._disk.write(file, bytes(rest)) :]
            self._disk.sync(file)
        except BaseException:
            self._disk.close(file)
            self._disk.unlink(beside)
            raise
        self._disk.close(file)
        return beside

    def _sweep(self, target: Path) -> None:
        """Remove what a process that was killed left behind; we hold the lock, so it is nobody's."""
        prefix = f".{target.name}."
        for name in os.listdir(target.parent):
            if name.startswith(prefix) and name.endswith(".tmp"):
                self._disk.unlink(target.parent / name)


def _is_file(path: Path, file: int) -> bool:
    try:
        named, held = os.stat(path, follow_symlinks=False), os.fstat(file)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
