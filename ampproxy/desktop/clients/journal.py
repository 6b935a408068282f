"""What setup has changed, so that all of it can be taken back: a folder of ours with a copy of each file as
it was before, and a list of them.

The list and the copies are on the disk before a file is touched. A file that is found as it was left gets
its copy back, byte by byte; of one that somebody has changed since, only what is ours is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.forms import FORMS, Kind, digest
from ampproxy.wire.jsonc import is_bare

_LIST = "manifest.json"
_VERSION = 1


class Touched(msgspec.Struct, frozen=True):
    """A file that was changed.

    :param copy: the name of its copy in the folder; ``None``: it did not exist.
    :param written: the digest of what was written.
    :param ours: what was put there: name -> the digest of its text.
    """

    path: str
    kind: Kind
    copy: str | None
    written: str
    ours: dict[str, str]


class Manifest(msgspec.Struct, frozen=True):
    """All that was changed. ``folders`` are those that were made, outermost first."""

    files: tuple[Touched, ...] = ()
    folders: tuple[str, ...] = ()
    version: int = _VERSION

    def find(self, path: Path) -> Touched | None:
        """What was done to a file."""
        return next((touched for touched in self.files if touched.path == str(path)), None)


@dataclass(frozen=True, slots=True)
class Back:
    """What a file becomes when it is taken back.

    :param now: as it is.
    :param then: as it will be; ``None``: gone.
    :param how: for people.
    :param left: the names that somebody has changed since, and which therefore stay.
    """

    path: Path
    now: bytes | None
    then: bytes | None
    how: str
    left: tuple[str, ...] = ()


class Journal:
    """The folder.

    :param folder: made with mode 0700 when something is kept first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> Manifest:
        """What has been changed and not yet been taken back.

        :raises OSError: it cannot be read.
        :raises ValueError: it was written by another version, or is damaged.
        """
        data = files.content(self.folder / _LIST)
        if data is None:
            return Manifest()
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError(f"{self.folder / _LIST} is damaged") from None
        if manifest.version != _VERSION:
            raise ValueError(f"{self.folder / _LIST} was written by another version of ampproxy")
        return manifest

    def copy(self, touched: Touched) -> bytes | None:
        """A file as it was; ``None``: it did not exist.

        :raises OSError: the copy cannot be read.
        """
        if touched.copy is None:
            return None
        data = files.content(self.folder / touched.copy)
        if data is None:
            raise OSError(0, f"its copy {self.folder / touched.copy} is gone")
        return data

    def keep(self, manifest: Manifest, copies: dict[str, bytes]) -> None:
        """Put a list and new copies on the disk, and remove copies that are on no list.

        :raises OSError: they cannot be written.
        """
        for name, data in copies.items():
            files.write(self.folder / name, data)
        files.write(self.folder / _LIST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        listed = {touched.copy for touched in manifest.files}
        for path in self.folder.glob("*.copy"):
            if path.name not in listed:
                path.unlink()

    def forget(self, manifest: Manifest) -> None:
        """All has been taken back: remove the folder, and the folders that were made, if nothing is in them.

        :raises OSError: something cannot be removed.
        """
        for path in (*self.folder.glob("*.copy"), self.folder / _LIST):
            path.unlink(missing_ok=True)
        for folder in sorted({*manifest.folders, str(self.folder)}, key=len, reverse=True):
            files.remove_if_empty(Path(folder))

    def back(self, touched: Touched) -> Back:
        """What taking a file back would make of it; nothing is written.

        :raises OSError: the file or its copy cannot be read.
        :raises ValueError: it is damaged, so that nothing can be taken out of it.
        """
        path = Path(touched.path)
        now, then = files.content(path), self.copy(touched)
        if now == then:
            return Back(path, now, now, "is as it was")
        if now is None:
            return Back(path, None, None, "is gone")
        if digest(now) == touched.written:
            return Back(path, now, then, "as it was before" if then is not None else "removed")
        return _changed_since(touched, path, now, then)


def _changed_since(touched: Touched, path: Path, now: bytes, then: bytes | None) -> Back:
    form = FORMS[touched.kind]
    data, left = now, []
    for name, marked in touched.ours.items():
        if form.ours(data, name, marked):
            data = form.back(data, name, marked, then)
        elif form.current(data, name) is not None and touched.kind != "config":
            left.append(name)
    if then is None and touched.kind != "config" and is_bare(data):
        return Back(path, now, None, "removed: nothing else was in it", tuple(left))
    return Back(path, now, data, "modified since; removing only what setup added", tuple(left))


def folders_for(paths: Iterable[Path]) -> tuple[str, ...]:
    """The folders that would be made for some files, outermost first."""
    return tuple(dict.fromkeys(str(folder) for path in paths for folder in files.missing_folders(path)))
