"""Setting a client up: what has to be written where, and writing it so that it can be taken back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ampproxy.desktop.clients import files
from ampproxy.desktop.clients.forms import FORMS, Kind, digest, mark
from ampproxy.desktop.clients.journal import Back, Journal, Manifest, Touched, folders_for

#: Bytes of chance in a client key that is made: as many as in the vendors' own.
_KEY_BYTES = 32


class Refused(Exception):
    """A file is left alone, and with it all others.

    :ivar path: which one.
    :ivar why: without any of its values.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What cannot be read or written inside is refused."""
    try:
        yield
    except (OSError, ValueError) as error:
        words = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
        raise Refused(path, words) from None


@dataclass(frozen=True, slots=True)
class Text:
    """What is put into a file: a name and its text."""

    name: str
    text: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file and what it is to say.

    :param what: the file's part, for people.
    """

    path: Path
    what: str
    texts: tuple[Text, ...]
    kind: Kind = "settings"


@dataclass(frozen=True, slots=True)
class Change:
    """A file that will be changed.

    :param now: its bytes; ``None``: it is not there.
    :param base: its bytes without anything that an earlier setup put there.
    :param after: its bytes when it is done.
    """

    wanted: Wanted
    now: bytes | None
    base: bytes | None
    after: bytes

    def was(self, text: Text) -> str | None:
        """What stands under a name now."""
        return None if self.now is None else FORMS[self.wanted.kind].current(self.now, text.name)


def new_key() -> str:
    """A client key that nobody can guess."""
    return secrets.token_urlsafe(_KEY_BYTES)


def plan(wanted: Iterable[Wanted], journal: Journal) -> list[Change]:
    """What has to be changed; empty if all says what it should already.

    :raises Refused: a file cannot be read, or is damaged: nothing should be written at all.
    """
    with _refusing(journal.folder):
        manifest = journal.load()
    changes = (_change(one, manifest, journal) for one in wanted)
    return [change for change in changes if change.after != change.now]


def _change(wanted: Wanted, manifest: Manifest, journal: Journal) -> Change:
    touched = manifest.find(wanted.path)
    with _refusing(wanted.path):
        now = base = files.content(wanted.path)
        if touched is not None:
            base = journal.back(touched).then
        form, after = FORMS[wanted.kind], b"" if base is None else base
        for text in wanted.texts:
            after = form.put(after, text.name, text.text)
    return Change(wanted, now, base, after)


def apply(changes: list[Change], journal: Journal) -> None:
    """Write it. If a file cannot be written, what has been written is taken back.

    :raises Refused: nothing is changed.
    """
    with _refusing(journal.folder):
        before = journal.load()
        copies = {f"{secrets.token_hex(8)}.copy": change.base for change in changes}
        touched = [_touched(change, name) for change, name in zip(changes, copies, strict=True)]
        kept = [other for other in before.files if other.path not in {one.path for one in touched}]
        made = folders_for((*(change.wanted.path for change in changes), journal.folder / "manifest.json"))
        folders = tuple(dict.fromkeys((*before.folders, *made)))
        journal.keep(
            Manifest((*kept, *touched), folders),
            {name: data for name, data in copies.items() if data is not None},
        )
    try:
        for change in changes:
            _write(change)
    except Refused:
        take_back(journal)
        raise


def _write(change: Change) -> None:
    path = change.wanted.path
    with _refusing(path):
        if files.content(path) != change.now:
            raise Refused(path, _JUST_NOW)
        files.write(path, change.after)


def _touched(change: Change, copy: str) -> Touched:
    return Touched(
        path=str(change.wanted.path),
        kind=change.wanted.kind,
        copy=None if change.base is None else copy,
        written=digest(change.after),
        ours={text.name: mark(text.text) for text in change.wanted.texts},
    )


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking back came to: what became of each file, and which could not be touched, and why."""

    files: tuple[Back, ...]
    failed: tuple[Refused, ...]


def look_back(journal: Journal) -> Undone:
    """What taking back would come to; nothing is written.

    :raises Refused: what was changed is not known.
    """
    with _refusing(journal.folder):
        manifest = journal.load()
    done: list[Back] = []
    failed: list[Refused] = []
    for touched in manifest.files:
        try:
            with _refusing(Path(touched.path)):
                done.append(journal.back(touched))
        except Refused as refused:
            failed.append(refused)
    return Undone(tuple(done), tuple(failed))


def take_back(journal: Journal) -> Undone:
    """Take everything back. What cannot be is remembered, for another try.

    :raises Refused: what was changed is not known, or what is left of it cannot be kept.
    """
    seen = look_back(journal)
    failed = list(seen.failed)
    done = []
    for back in seen.files:
        try:
            _restore(back)
            done.append(back)
        except Refused as refused:
            failed.append(refused)
    _settle(journal, {str(refused.path) for refused in failed})
    return Undone(tuple(done), tuple(failed))


def _restore(back: Back) -> None:
    if back.then == back.now:
        return
    with _refusing(back.path):
        if files.content(back.path) != back.now:
            raise Refused(back.path, _JUST_NOW)
        if back.then is None:
            files.remove(back.path)
        else:
            files.write(back.path, back.then)


_JUST_NOW = "it has just been changed: start again"


def _settle(journal: Journal, left: set[str]) -> None:
    with _refusing(journal.folder):
        manifest = journal.load()
        rest = tuple(touched for touched in manifest.files if touched.path in left)
        if rest:
            journal.keep(msgspec.structs.replace(manifest, files=rest), {})
        else:
            journal.forget(manifest)
