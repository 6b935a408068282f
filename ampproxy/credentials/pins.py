"""Which account keeps what its vendor stored: responses, conversations, files, containers, threads; and which
issued which proofs of thinking.

Only digests of ids and proofs are kept, so the file tells nobody what to ask for.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path

import msgspec
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ampproxy.config.schema import Account, Routing
from ampproxy.credentials.health import Cooldown
from ampproxy.credentials.kept import InThread, KeptFile
from ampproxy.credentials.pool import Pool, Selection
from ampproxy.credentials.selector import AccountSelector, Candidate
from ampproxy.routing.route import RouteTarget

#: The file's name in the folder of what is kept.
NAME = "pins.json"
#: The largest file that is read. Bytes.
_MAX_FILE_BYTES = 64 * 1024 * 1024
#: Seconds between a change and the writing of the file.
_PAUSE = 30.0
#: Before the account that is known not to be the owner.
_NOT = "!"


class _Pin(msgspec.Struct, array_like=True):
    """A thing by its digest, whose it is, and when that was last seen (seconds since the epoch)."""

    digest: str
    owner: str
    seen_at: float


class _File(msgspec.Struct):
    things: tuple[_Pin, ...] = ()
    proofs: tuple[_Pin, ...] = ()


_decode = msgspec.json.Decoder(_File).decode
_Book = OrderedDict[str, _Pin]


class Pins:
    """Whose what is. Used in the reactor's thread only, but for the writing.

    :param folder: where it is kept; ``None``: it is forgotten with the process.
    :param wall: seconds since the epoch.
    :ivar empty: whether it is known that nothing is known of anything.
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
            folder,
            NAME,
            _MAX_FILE_BYTES,
            self._content,
            clock=clock,
            log=log,
            in_thread=in_thread,
            pause=_PAUSE,
        )
        self._settings = Routing()
        self._publish: Callable[[int, str, str], None] = lambda kind, digest, owner: None
        self._books: tuple[_Book, _Book] | None = None
        self.empty = False

    def configure(self, settings: Routing) -> None:
        """Keep by these settings from now on."""
        self._settings = settings

    def share(self, publish: Callable[[int, str, str], None]) -> None:
        """Have other processes know whose what is.

        :param publish: is given, whenever that is seen, 0 for a thing and 1 for a proof, its digest, and the
            owner.
        """
        self._publish = publish

    @property
    def ttl(self) -> float:
        """Seconds for which it is known whose a thing is."""
        return self._settings.pin_ttl

    def learn(self, kind: int, digest: str, owner: str, age: float) -> None:
        """Another process knows whose this is."""
        if self._settings.max_pins:
            self._keep(self._known()[kind], _Pin(digest, owner, self._wall() - age))
            self._file.changed()

    def age(self, kind: int, digest: str) -> float | None:
        """Seconds since it was last seen whose a thing is; ``None``: nothing is known of it."""
        pin = self._known()[kind].get(digest)
        return None if pin is None else max(0.0, self._wall() - pin.seen_at)

    def fresh(self, kind: int) -> list[tuple[str, str, float]]:
        """All of a kind: the digest, the owner, and seconds since it was last seen."""
        now = self._wall()
        return [
            (pin.digest, pin.owner, max(0.0, now - pin.seen_at))
            for pin in tuple(self._known()[kind].values())
            if pin.seen_at >= now - self._settings.pin_ttl
        ]

    @property
    def things(self) -> int:
        """Of how many things it is known whose they are."""
        return len((self._books or self._known())[0])

    @property
    def proofs(self) -> int:
        """Of how many proofs."""
        return len((self._books or self._known())[1])

    def owner(self, thing: str) -> str | None:
        """The name of the account that keeps a thing; ``None``: nobody knows."""
        pin = self._fresh(self._known()[0], thing)
        return None if pin is None else pin.owner

    def pin(self, things: Iterable[str], account: str) -> None:
        """This account keeps these."""
        self._put(self._known()[0], things, account)

    def is_foreign(self, proof: str, account: str) -> bool:
        """Whether a proof is known to be another account's."""
        pin = self._fresh(self._known()[1], proof)
        if pin is None:
            return False
        return pin.owner == _NOT + account or (not pin.owner.startswith(_NOT) and pin.owner != account)

    def knows_proof(self, proof: str) -> bool:
        """Whether anything is known of a proof."""
        return self._fresh(self._known()[1], proof) is not None

    def pin_proofs(self, proofs: Iterable[str], owner: str) -> None:
        """These proofs, as far as nobody knows better, are of this account."""
        book = self._known()[1]
        self._put(book, [proof for proof in proofs if self._fresh(book, proof) is None], owner)

    def refuse_proofs(self, proofs: Iterable[str], account: str) -> None:
        """This account does not take these proofs, as far as they are not known to be its own."""
        book = self._known()[1]
        self._put(
            book,
            [proof for proof in proofs if (pin := self._fresh(book, proof)) is None or pin.owner != account],
            _NOT + account,
        )

    def close(self) -> None:
        """Write what is not written yet."""
        self._file.flush()

    def _known(self) -> tuple[_Book, _Book]:
        if self._books is None:
            kept = _read(self._file.read())
            self._books = (
                OrderedDict((pin.digest, pin) for pin in kept.things),
                OrderedDict((pin.digest, pin) for pin in kept.proofs),
            )
            self.empty = not any(self._books)
        return self._books

    def _fresh(self, book: _Book, text: str) -> _Pin | None:
        pin = book.get(_digest(text)) if book else None
        return pin if pin is not None and pin.seen_at >= self._wall() - self._settings.pin_ttl else None

    def _put(self, book: _Book, texts: Iterable[str], owner: str) -> None:
        now, kind = self._wall(), 0 if book is self._known()[0] else 1
        put = False
        for text in texts:
            digest = _digest(text)
            self._keep(book, _Pin(digest, owner, now))
            self._publish(kind, digest, owner)
            put = True
        if put:
            self._file.changed()

    def _keep(self, book: _Book, pin: _Pin) -> None:
        self.empty = False
        book[pin.digest] = pin
        book.move_to_end(pin.digest)
        while len(book) > self._settings.max_pins:
            book.popitem(last=False)

    def _content(self, stored: bytes | None) -> bytes:
        """The file's new content: ours, and what another process has seen meanwhile."""
        kept, ours = _read(stored), self._known()
        return msgspec.json.encode(
            _File(
                self._merged(kept.things, tuple(ours[0].values())),
                self._merged(kept.proofs, tuple(ours[1].values())),
            )
        )

    def _merged(self, stored: tuple[_Pin, ...], ours: tuple[_Pin, ...]) -> tuple[_Pin, ...]:
        most, oldest = self._settings.max_pins, self._wall() - self._settings.pin_ttl
        found = {pin.digest: pin for pin in sorted((*stored, *ours), key=lambda pin: pin.seen_at)}
        fresh = [pin for pin in found.values() if pin.seen_at >= oldest]
        return tuple(sorted(fresh, key=lambda pin: pin.seen_at)[-most:]) if most else ()


def _read(content: bytes | None) -> _File:
    """What a file holds; nothing if it cannot be read."""
    try:
        return _File() if content is None else _decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _File()


def _digest(text: str) -> str:
    raw = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return base64.b64encode(raw).decode()


class PinnedSelection(Selection):
    """A request's way to the one account that keeps what it refers to."""

    __slots__ = ("_only",)

    def __init__(
        self, pool: Pool, selector: AccountSelector, model: str, key: str | None, only: Candidate
    ) -> None:
        super().__init__(pool, selector, model, key, 0)
        self._only = only
        self.count = 1

    def wait(self, now: float) -> float | None:
        """See :meth:`Selection.wait`: of this account alone."""
        return max(0.0, min(self._only.available_at(now), self._only.available_early_at(now)) - now)

    def cooling(self) -> list[tuple[Account, Cooldown]]:
        """See :meth:`Selection.cooling`: of this account alone."""
        return [pair for pair in super().cooling() if pair[0] is self._only.account]

    def _another_account(self, now: float) -> RouteTarget | None:
        candidate = self._only
        if candidate in self._tried:
            return None
        if candidate.available_at(now) > now:
            # No other account can help, as where there is only one.
            if candidate.available_early_at(now) > now:
                return None
            self._early = True
        self._candidate = candidate
        self._tried.append(candidate)
        return candidate.offer(now, early=self._early)
