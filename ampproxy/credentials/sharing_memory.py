"""What accounts have taught, and what they alone keep, among processes (see :mod:`ampproxy.state`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b

import msgspec

from ampproxy.credentials.lessons import Identity, Kept, Lessons
from ampproxy.credentials.pins import Pins
from ampproxy.state.entries import Entry
from ampproxy.state.shared import Shared

LESSON = "lesson"
#: The kinds of pins: of things, and of proofs.
PINS = ("pin", "proof")
#: Seconds for which it is known that a lesson has ended.
FORGOTTEN_SECONDS = 7 * 86400.0
#: After this part of its time a pin that is still seen is published again.
_AGAIN = 0.25
#: Of so many pins it is known when they were published last.
_MAX_PUBLISHED_PINS = 20_000
_encode = msgspec.msgpack.Encoder().encode
_kept = msgspec.msgpack.Decoder(Kept).decode
#: What another version may have written.
_BAD = (msgspec.MsgspecError, ValueError, RecursionError)


def share_lessons(lessons: Lessons, shared: Shared, wall: Callable[[], float]) -> None:
    """Have all processes know what accounts have taught one of them.

    :param wall: seconds since the epoch.
    """
    if shared.active:
        topic = LessonTopic(lessons, shared, wall)
        shared.subscribe(LESSON, topic)
        lessons.share(topic.publish)


def share_pins(pins: Pins, shared: Shared, wall: Callable[[], float]) -> None:
    """Have all processes know which account keeps what its vendor stored.

    :param wall: seconds since the epoch.
    """
    if not shared.active:
        return
    topics = [PinTopic(pins, kind, shared, wall) for kind in range(len(PINS))]
    for name, topic in zip(PINS, topics, strict=True):
        shared.subscribe(name, topic)
    pins.share(lambda kind, digest, owner: topics[kind].publish(digest, owner))


class LessonTopic:
    """Lessons, known by a digest of whom they are about, where in a request, and what is done there."""

    def __init__(self, lessons: Lessons, shared: Shared, wall: Callable[[], float]) -> None:
        self._lessons = lessons
        self._shared = shared
        self._wall = wall
        self._identities: dict[str, Identity] | None = None

    def publish(self, kept: Kept | None, identity: Identity) -> None:
        """A lesson is proven; without it: it has ended."""
        if kept is None:
            self._shared.publish(LESSON, self._key(identity), None, FORGOTTEN_SECONDS)
            return
        entry = self._entry(kept)
        self._shared.publish(LESSON, entry.key, entry.value, entry.ttl)

    def apply(self, entry: Entry) -> None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        if entry.value is None:
            identity = self._known().get(entry.key)
            if identity is not None:
                self._lessons.unlearn(identity)
            return
        try:
            kept = _kept(entry.value)
        except _BAD:
            return
        # By our own clock, whatever the other one shows.
        kept.learned_at = self._wall() - entry.age
        self._key(kept.identity)
        self._lessons.believe(kept)

    def age(self, key: str) -> float | None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        identity = self._known().get(key)
        kept = None if identity is None else self._lessons.find(identity)
        return None if kept is None else max(0.0, self._wall() - kept.learned_at)

    def entries(self) -> Iterator[Entry]:
        """See :class:`~ampproxy.state.shared.Topic`."""
        return map(self._entry, self._lessons.proven())

    def _entry(self, kept: Kept) -> Entry:
        # The same for all processes, so that it need not be sent again.
        value = msgspec.structs.replace(kept, used=0, learned_at=0.0)
        left = max(0.0, self._lessons.ends(kept) - self._wall())
        return Entry(
            LESSON, self._key(kept.identity), _encode(value), left, max(0.0, self._wall() - kept.learned_at)
        )

    def _known(self) -> dict[str, Identity]:
        if self._identities is None:
            self._identities = {}
            for kept in self._lessons.proven():
                self._key(kept.identity)
        return self._identities

    def _key(self, identity: Identity) -> str:
        digest = blake2b(_encode(identity), digest_size=16).hexdigest()
        self._known()[digest] = identity
        return digest


class PinTopic:
    """Pins of a kind, known by their digests, with the names of their accounts."""

    def __init__(self, pins: Pins, kind: int, shared: Shared, wall: Callable[[], float]) -> None:
        self._pins = pins
        self._kind = kind
        self._shared = shared
        self._wall = wall
        self._published: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.age = partial(pins.age, kind)

    def publish(self, digest: str, owner: str) -> None:
        """It is seen whose a thing is: the others are to know, but not each time anew."""
        known, at = self._published.get(digest, ("", 0.0))
        now = self._wall()
        if known == owner and abs(now - at) < self._pins.ttl * _AGAIN:
            return
        self._published[digest] = owner, now
        self._published.move_to_end(digest)
        if len(self._published) > _MAX_PUBLISHED_PINS:
            self._published.popitem(last=False)
        self._shared.publish(PINS[self._kind], digest, owner.encode(), self._pins.ttl)

    def apply(self, entry: Entry) -> None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        if entry.value is not None:
            owner = entry.value.decode("utf-8", "replace")
            self._pins.learn(self._kind, entry.key, owner, entry.age)

    def entries(self) -> Iterator[Entry]:
        """See :class:`~ampproxy.state.shared.Topic`."""
        for digest, owner, age in self._pins.fresh(self._kind):
            yield Entry(PINS[self._kind], digest, owner.encode(), self._pins.ttl - age, age)
