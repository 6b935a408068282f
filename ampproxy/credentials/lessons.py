"""What the refusals of accounts have taught: remembered by account, model and kind of call.

A lesson is kept once it has proven right: the request that was repeated with it was not refused for the same
again. It ends by its age, when the vendor refuses what it led to, when there are too many, or by order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ampproxy.config.schema import Learning
from ampproxy.credentials.kept import InThread, KeptFile
from ampproxy.model.lesson import Lesson, Place

#: The file's name in the folder of what is kept.
NAME = "lessons.json"
#: The largest file that is read. Bytes.
_MAX_FILE_BYTES = 8 * 1024 * 1024
#: So many are remembered of one account, model and call, whatever the settings say.
_MOST_OF_ONE = 32


class Key(NamedTuple):
    """Whom a lesson is about.

    :ivar account: its name that depends on no place in the configuration
        (:func:`ampproxy.credentials.names.account_name`).
    :ivar model: the vendor's name of it.
    :ivar call: the dialect and the kind of call, and what else decides about the members that are taken.
    """

    account: str
    model: str
    call: str


#: What another lesson takes the place of: whom it is about, the place in a request, and what is done there.
Identity: TypeAlias = "tuple[Key, Place, str]"


class Kept(msgspec.Struct, omit_defaults=True):
    """A lesson as it is remembered.

    :param learned_at: seconds since the epoch.
    :param used: how many requests it has changed.
    """

    account: str
    model: str
    call: str
    lesson: Lesson
    learned_at: float
    used: int = 0

    @property
    def key(self) -> Key:
        """Whom it is about."""
        return Key(self.account, self.model, self.call)

    @property
    def identity(self) -> Identity:
        """What another lesson takes the place of."""
        return self.key, self.lesson.place, self.lesson.act


class _File(msgspec.Struct):
    lessons: tuple[Kept, ...] = ()


_decode = msgspec.json.Decoder(_File).decode


class Lessons:
    """All lessons. Changed in the reactor's thread only, and read in others too.

    :param folder: where they are kept; ``None``: they are forgotten with the process.
    :param wall: seconds since the epoch.
    :ivar learned: how many were learned since the start, by account.
    :ivar empty: whether it is known that there are none.
    """

    def __init__(
        self,
        folder: Path | None = None,
        wall: Callable[[], float] = lambda: 0.0,
        *,
        clock: IReactorTime | None = None,
        log: Logger | None = None,
        in_thread: InThread = maybeDeferred,
    ) -> None:
        self._wall = wall
        self._file = KeptFile(
            folder, NAME, _MAX_FILE_BYTES, self._content, clock=clock, log=log, in_thread=in_thread
        )
        self._book: dict[Key, dict[Identity, Kept]] | None = None
        self.empty = False
        self._unproven: set[Identity] = set()
        #: When what was forgotten was forgotten, so that another process's file does not bring it back.
        self._gone: dict[Identity, float] = {}
        self._settings = Learning()
        self._publish: Callable[[Kept | None, Identity], None] = lambda kept, identity: None
        self.learned: Counter[str] = Counter()

    def configure(self, settings: Learning) -> None:
        """Keep by these settings from now on."""
        self._settings = settings

    def share(self, publish: Callable[[Kept | None, Identity], None]) -> None:
        """Have other processes know what is proven here.

        :param publish: is given each lesson that is; without one, what has ended.
        """
        self._publish = publish

    def of(self, key: Key) -> tuple[Lesson, ...]:
        """What is known of an account, in the order in which it was learned."""
        return tuple(kept.lesson for kept in self._fresh(key))

    def used(self, key: Key, lessons: Iterable[Lesson]) -> None:
        """These have changed a request."""
        book = self._known().get(key, {})
        for lesson in lessons:
            if (kept := book.get((key, lesson.place, lesson.act))) is not None:
                kept.used += 1

    def learn(self, key: Key, lessons: Iterable[Lesson]) -> None:
        """Believe these until they are proven, or not."""
        book = self._known().setdefault(key, {})
        self.empty = False
        for lesson in lessons:
            kept = Kept(*key, lesson, self._wall())
            old = book.get(kept.identity)
            if old is not None and old.lesson.act == "not":
                # Another value is refused as well.
                words = tuple(dict.fromkeys((*old.lesson.words, *lesson.words)))[:16]
                kept.lesson = msgspec.structs.replace(lesson, words=words)
            if kept.identity in book or len(book) < _MOST_OF_ONE:
                book[kept.identity] = kept
                self._unproven.add(kept.identity)

    def prove(self, key: Key, lessons: Iterable[Lesson]) -> None:
        """The request that was repeated with them went right: keep them."""
        book = self._known().get(key, {})
        for lesson in lessons:
            identity = key, lesson.place, lesson.act
            if identity in book and identity in self._unproven:
                self._unproven.discard(identity)
                self._gone.pop(identity, None)
                self.learned[key.account] += 1
                self._publish(book[identity], identity)
        self._prune()
        self._file.changed()

    def believe(self, kept: Kept) -> None:
        """Another process has proven this."""
        self._known().setdefault(kept.key, {})[kept.identity] = kept
        self.empty = False
        self._unproven.discard(kept.identity)
        self._gone.pop(kept.identity, None)
        self._prune()
        self._file.changed()

    def unlearn(self, identity: Identity) -> None:
        """Another process has found this to be wrong, or was ordered to forget it."""
        self._forget_one(identity)
        self._file.changed()

    def proven(self) -> list[Kept]:
        """All that has been proven and is not too old."""
        return [kept for kept in self._all() if kept.identity not in self._unproven]

    def find(self, identity: Identity) -> Kept | None:
        """A lesson that has been proven."""
        if identity in self._unproven:
            return None
        return self._known().get(identity[0], {}).get(identity)

    def disprove(self, key: Key, lessons: Iterable[Lesson]) -> None:
        """They did not help, or do not any more: forget them."""
        for lesson in lessons:
            self._drop((key, lesson.place, lesson.act))
        self._file.changed()

    def forget(self, accounts: Iterable[str] | None = None, model: str = "") -> int:
        """Forget what was learned, and have the file forget it at once; says how many lessons that were.

        :param accounts: by name; ``None``: all of them.
        :param model: empty: all of them.
        """
        chosen = None if accounts is None else set(accounts)
        gone = [
            kept.identity
            for kept in self._all()
            if (chosen is None or kept.account in chosen) and model in ("", kept.model)
        ]
        for identity in gone:
            self._drop(identity)
        if gone:
            self._file.write()
        return len(gone)

    @property
    def trouble(self) -> str:
        """Why the file could not be written last; empty: it could."""
        return self._file.trouble

    def listed(self, account: str) -> list[Kept]:
        """What is known of an account and has been proven, the oldest first."""
        return sorted(
            (kept for kept in self._all() if kept.account == account and kept.identity not in self._unproven),
            key=lambda kept: kept.learned_at,
        )

    def ends(self, kept: Kept) -> float:
        """When a lesson ends; seconds since the epoch."""
        return kept.learned_at + self._settings.max_age

    def close(self) -> None:
        """Write what is not written yet."""
        self._file.flush()

    def _known(self) -> dict[Key, dict[Identity, Kept]]:
        if self._book is None:
            self._book = {}
            for kept in _read(self._file.read()):
                self._book.setdefault(kept.key, {})[kept.identity] = kept
            self._prune()
        return self._book

    def _fresh(self, key: Key) -> Iterator[Kept]:
        oldest = self._wall() - self._settings.max_age
        for kept in tuple(self._known().get(key, {}).values()):
            if kept.learned_at >= oldest:
                yield kept

    def _all(self) -> list[Kept]:
        oldest = self._wall() - self._settings.max_age
        return [
            kept
            for book in tuple(self._known().values())
            for kept in tuple(book.values())
            if kept.learned_at >= oldest
        ]

    def _drop(self, identity: Identity) -> None:
        if self.find(identity) is not None:
            self._publish(None, identity)
        self._forget_one(identity)

    def _forget_one(self, identity: Identity) -> None:
        book = self._known().get(identity[0], {})
        self._unproven.discard(identity)
        if book.pop(identity, None) is not None:
            self._gone[identity] = self._wall()
        if not book:
            self._known().pop(identity[0], None)
            self.empty = not self._known()

    def _prune(self) -> None:
        """Leave those that are too old, and of too many those that were learned first."""
        kept = sorted(self._all(), key=lambda one: one.learned_at)[-self._settings.max_lessons :]
        fresh: dict[Key, dict[Identity, Kept]] = {}
        for one in kept:
            fresh.setdefault(one.key, {})[one.identity] = one
        # At once: the file may just be written in another thread.
        self._book = fresh
        self.empty = not fresh
        if len(self._gone) > self._settings.max_lessons:
            self._gone.clear()

    def _content(self, stored: bytes | None) -> bytes:
        """The file's new content: ours, and what another process has learned meanwhile."""
        gone = dict(self._gone)
        merged = {
            kept.identity: kept for kept in _read(stored) if kept.learned_at > gone.get(kept.identity, 0.0)
        }
        merged.update((kept.identity, kept) for kept in self._all() if kept.identity not in self._unproven)
        latest = sorted(merged.values(), key=lambda kept: kept.learned_at)[-self._settings.max_lessons :]
        return msgspec.json.encode(_File(tuple(latest)))


def _read(content: bytes | None) -> tuple[Kept, ...]:
    """What a file holds; nothing if it cannot be read."""
    try:
        return () if content is None else _decode(content).lessons
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()
