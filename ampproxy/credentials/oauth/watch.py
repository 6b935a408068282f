"""What has changed in the folder of logins since the last look. Without a clock of its own."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ampproxy.model.base import Value

#: Seconds between two looks: what disappears counts as gone when two looks in a row miss it (programs
#: that replace a file by removing it first should not log anybody out), and that within 2 s.
INTERVAL = 0.9
#: A file that was written so short a time before a look may have been written again since without its
#: times telling: some file systems count in seconds.
_COARSE = 2.0


def holds_logins(folder: Path) -> bool:
    """Whether a folder may hold logins: it has a file that looks like one, or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return any(_is_login(entry.name) for entry in entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _is_login(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


class Changes(Value, frozen=True):
    """Names of login files."""

    appeared: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.appeared or self.changed or self.vanished)


class Watcher(msgspec.Struct):
    """Compares the folder with what it was at the last look.

    :param folder: need not exist.
    """

    folder: Path
    _seen: dict[str, tuple[int, ...]] = msgspec.field(default_factory=dict)
    _missing: set[str] = msgspec.field(default_factory=set)
    _young: set[str] = msgspec.field(default_factory=set)

    def look(self, now: float) -> Changes:
        """What has changed.

        :param now: seconds since the epoch.
        :raises OSError: the folder cannot be read; nothing counts as changed.
        """
        seen_now, young = self._scan(now)
        appeared = [name for name in seen_now if name not in self._seen]
        changed = [
            name
            for name, stamp in seen_now.items()
            if name in self._seen and (self._seen[name] != stamp or name in self._young)
        ]
        missing = {name for name in self._seen if name not in seen_now}
        vanished = missing & self._missing
        self._missing = missing - vanished
        self._seen = {**{name: self._seen[name] for name in self._missing}, **seen_now}
        self._young = young
        return Changes(tuple(sorted(appeared)), tuple(sorted(changed)), tuple(sorted(vanished)))

    def _scan(self, now: float) -> tuple[dict[str, tuple[int, ...]], set[str]]:
        seen_now: dict[str, tuple[int, ...]] = {}
        young: set[str] = set()
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return seen_now, young
        with entries:
            for entry in entries:
                if not _is_login(entry.name):
                    continue
                try:
                    found = entry.stat()
                except OSError:
                    continue
                seen_now[entry.name] = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if abs(now - found.st_mtime) < _COARSE:
                    young.add(entry.name)
        return seen_now, young
