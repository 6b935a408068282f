"""What several processes know together, over connections that are slow, lost and silent."""

from __future__ import annotations

from twisted.logger import formatEvent

from ampproxy.state import view as view_module
from ampproxy.state.entries import Entry
from ampproxy.state.hub import Hub
from ampproxy.state.shared import ALONE, Away, Lease
from tests.state.bus import TRAVEL, Bus


class Book:
    """A topic that keeps values as they are."""

    def __init__(self, view, clock, kind="cooldown"):
        self.view, self.clock, self.kind = view, clock, kind
        self.values, self.at, self.until = {}, {}, {}
        view.subscribe(kind, self)

    def set(self, key, value, ttl=600.0):
        """Learn something here, and publish it."""
        self._put(key, value, 0.0, ttl)
        self.view.publish(self.kind, key, value, ttl)

    def _put(self, key, value, age, ttl):
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        self.at[key] = self.clock.seconds() - age
        self.until[key] = self.clock.seconds() + ttl

    def apply(self, entry):
        self._put(entry.key, entry.value, entry.age, entry.ttl)

    def age(self, key):
        return self.clock.seconds() - self.at[key] if key in self.values else None

    def entries(self):
        now = self.clock.seconds()
        for key, value in list(self.values.items()):
            yield Entry(self.kind, key, value, self.until[key] - now, now - self.at[key])


def books(bus, count=2):
    return [Book(bus.view(), bus.clock) for _ in range(count)]


def fired(deferred):
    found = []
    deferred.addBoth(found.append)
    return found


def test_what_one_learns_all_know():
    """Within the time of two messages; an end is known as well."""
    bus = Bus()
    one, two, three = books(bus, 3)
    one.set("a", b"1")
    bus.clock.pump([TRAVEL, TRAVEL])
    assert two.values == three.values == {"a": b"1"}
    two.set("a", None)
    bus.settle()
    assert one.values == two.values == three.values == {}


def test_all_end_up_with_the_same():
    """Whoever publishes when: what is on its way is younger than what arrives meanwhile."""
    bus = Bus()
    one, two = books(bus)
    one.set("a", b"1")
    two.set("a", b"2")
    one.set("b", b"1")
    bus.clock.advance(TRAVEL / 2)
    one.set("a", b"3")
    two.set("b", b"2")
    two.set("b", b"4")
    bus.settle()
    assert one.values == two.values
    assert {entry.key: entry.value for entry in bus.hub.entries(bus.clock.seconds())} == one.values


def test_own_entry_does_not_flicker():
    """What comes back of one's own does not undo what happened since."""
    bus = Bus()
    one, two = books(bus)
    one.set("a", b"1")
    bus.clock.advance(TRAVEL)
    one.set("a", None)
    for _ in range(5):
        bus.clock.advance(TRAVEL)
        assert one.values == {}
    assert two.values == {}


def test_a_view_that_comes_later_knows_all():
    """What the hub has is there before it is asked for, with its age and the rest of its time."""
    bus = Bus()
    one, _ = books(bus)
    one.set("a", b"1", ttl=100.0)
    bus.settle()
    bus.clock.advance(60.0)
    late = bus.view(open=False)
    book = Book(late, bus.clock)
    late.wire.open()
    assert book.values == {"a": b"1"}
    assert book.age("a") > 59.0
    assert 39.0 < book.until["a"] - bus.clock.seconds() <= 40.1


def test_what_is_learned_while_away_is_exchanged():
    """Both directions, the younger of each key; what has ended meanwhile stays ended."""
    bus = Bus()
    one, two = books(bus)
    one.set("old", b"1")
    one.set("ended", b"1")
    bus.settle()
    one.view.wire.cut()
    bus.clock.advance(1.0)
    one.set("mine", b"1")
    one.set("old", b"mine is older")
    bus.clock.advance(1.0)
    two.set("ended", None)
    two.set("young", b"yours is older")
    two.set("old", b"yours is younger")
    two.set("yours", b"2")
    bus.settle()
    bus.clock.advance(1.0)
    one.set("young", b"mine is younger")
    assert "mine" not in two.values
    one.view.wire.open()
    bus.settle()
    known = {"old": b"yours is younger", "young": b"mine is younger", "mine": b"1", "yours": b"2"}
    assert one.values == two.values == known


def test_a_hub_that_forgot_is_given_what_is_known():
    """A hub that was started anew knows nothing: what the views know they give it, and each other."""
    bus = Bus()
    one, two = books(bus)
    one.set("a", b"1")
    bus.settle()
    for wire in bus.wires:
        wire.cut()
    bus.hub = Hub()
    two.view.wire.open()
    bus.settle()
    late = Book(bus.view(open=False), bus.clock)
    late.view.wire.open()
    one.view.wire.open()
    assert late.values == one.values == two.values == {"a": b"1"}


def test_the_same_is_not_sent_again():
    """When a hundred views come back at once, what all of them know stays where it is."""
    bus = Bus()
    one, two = books(bus)
    one.set("a", b"1")
    bus.settle()
    one.view.wire.cut()
    one.view.wire.open()
    applied = []
    two.apply = applied.append
    bus.settle()
    assert applied == []
    assert one.view.wire.sent[-1].key == "a"


def test_much_is_exchanged_in_slices():
    """The reactor is not held up by a hundred thousand entries."""
    bus = Bus()
    one = Book(bus.view(open=False), bus.clock)
    for number in range(2 * view_module.SLICE_ENTRIES + 1):
        one.values[str(number)], one.at[str(number)], one.until[str(number)] = b"1", 0.0, 9000.0
    one.view.wire.open()
    assert len(one.view.wire.sent) == view_module.SLICE_ENTRIES
    bus.settle()
    assert len(one.view.wire.sent) == 2 * view_module.SLICE_ENTRIES + 1


def test_what_waits_is_bounded(monkeypatch):
    """The latest of each key, and no more than so many."""
    monkeypatch.setattr(view_module, "MAX_WAITING_ENTRIES", 3)
    bus = Bus()
    view = bus.view(open=False)
    for key in ("a", "b", "a", "c", "d"):
        view.publish("cooldown", key, b"1", 60.0)
    view.publish("cooldown", "d", b"2", 1.0)
    assert view.report().waiting == 3
    bus.clock.advance(2.0)
    view.wire.open()
    assert [entry.key for entry in view.wire.sent] == ["a", "c"]


def test_a_claim_has_one_winner():
    """Whoever comes first; the others take its value, and know it from then on without asking."""
    bus = Bus()
    one, two, three = books(bus, 3)
    claims = [
        fired(book.view.claim("cooldown", "thread", value, 60.0))
        for book, value in ((one, b"1"), (two, b"2"), (three, b"3"))
    ]
    bus.settle()
    assert claims == [[b"1"]] * 3
    assert two.values == three.values == {"thread": b"1"}


def test_a_claim_of_what_has_ended():
    """What is over, or was ended, can be claimed anew."""
    bus = Bus()
    one, two = books(bus)
    fired(one.view.claim("cooldown", "thread", b"1", 60.0))
    bus.settle()
    bus.clock.advance(61.0)
    claim = fired(two.view.claim("cooldown", "thread", b"2", 60.0))
    bus.settle()
    assert claim == [b"2"]
    one.set("thread", None)
    bus.settle()
    claim = fired(two.view.claim("cooldown", "thread", b"3", 60.0))
    bus.settle()
    assert claim == [b"3"]


def test_a_claim_never_waits_long():
    """Without an answer one's own value counts after the time limit, without a connection at once."""
    bus = Bus()
    view = bus.view(timeout=0.5)
    view.wire.silent = True
    claim = fired(view.claim("cooldown", "thread", b"1", 60.0))
    bus.clock.advance(0.4)
    assert claim == []
    bus.clock.advance(0.2)
    assert claim == [b"1"]
    view.wire.cut()
    assert fired(view.claim("cooldown", "thread", b"1", 60.0)) == [b"1"]


def test_a_claim_right_after_the_start():
    """It waits until it is known whether the hub is there, so that it finds what is known there."""
    bus = Bus()
    (one,) = books(bus, 1)
    fired(one.view.claim("cooldown", "thread", b"1", 60.0))
    bus.settle()
    late, alone, slow = (bus.view(open=False, timeout=0.5) for _ in range(3))
    claims = [fired(view.claim("cooldown", "thread", b"own", 60.0)) for view in (late, alone, slow)]
    bus.clock.advance(0.1)
    assert claims == [[], [], []]
    late.wire.open()
    alone.wire.cut()
    bus.settle()
    assert claims == [[b"1"], [b"own"], []]
    bus.clock.advance(0.5)
    assert claims[2] == [b"own"]
    left = alone.claim("cooldown", "other", b"own", 60.0)
    early = bus.view(open=False).claim("cooldown", "other", b"own", 60.0)
    found = fired(early)
    early.cancel()
    bus.wires[-1].open()
    assert fired(left) == [b"own"]
    assert "CancelledError" in repr(found)


def test_locks_are_numbered():
    """One holder at a time, each with a higher number; a holder that is gone is outlived."""
    bus = Bus()
    one, two = (bus.view(), bus.view())
    first = fired(one.lock("login", 60.0))
    bus.settle()
    second = fired(two.lock("login", 60.0))
    bus.settle()
    assert second == [None]
    bus.clock.advance(60.0)
    third = fired(two.lock("login", 60.0))
    bus.settle()
    assert third[0].number > first[0].number
    one.unlock(first[0])
    bus.settle()
    fourth = fired(one.lock("login", 60.0))
    bus.settle()
    assert fourth == [None]
    two.unlock(third[0])
    bus.settle()
    fifth = fired(one.lock("login", 60.0))
    bus.settle()
    assert fifth[0].number > third[0].number


def test_no_lock_without_a_connection():
    """Nor without an answer: who asks must know that nothing is held."""
    bus = Bus()
    view = bus.view(open=False, timeout=0.5)
    assert fired(view.lock("login", 60.0))[0].check(Away)
    view.wire.open()
    view.wire.silent = True
    late = fired(view.lock("login", 60.0))
    bus.clock.advance(0.6)
    assert late[0].check(Away)
    assert str(late[0].value) == "no answer in time"


def test_away_is_logged_once_and_reported():
    """Once when it goes, once when it is back; the report has how long, and why."""
    bus = Bus()
    view = bus.view()
    assert view.report().connected
    view.wire.cut("connection refused")
    view.wire.cut("connection refused")
    bus.clock.advance(30.0)
    report = view.report()
    assert (report.connected, report.why) == (False, "connection refused")
    assert report.away_since == bus.clock.seconds() - 30.0
    view.wire.open()
    assert [formatEvent(event).partition(":")[0] for event in bus.events] == [
        "The state is shared by a hub in memory",
        "The state cannot be shared by a hub in memory",
        "The state is shared again by a hub in memory",
    ]
    assert view.report().away_since == 0.0


def test_unknown_kinds_are_passed_over():
    """Another version may share more."""
    bus = Bus()
    one, _ = books(bus)
    bus.view().publish("later", "a", b"1", 60.0)
    bus.settle()
    Book(bus.view(), bus.clock)
    assert one.values == {}


def test_alone():
    """One process: its own value counts, its own lock is held, and there is nothing to report."""
    assert not ALONE.active
    assert fired(ALONE.claim("cooldown", "a", b"1", 60.0)) == [b"1"]
    (lease,) = fired(ALONE.lock("login", 60.0))
    assert isinstance(lease, Lease)
    ALONE.unlock(lease)
    ALONE.publish("cooldown", "a", b"1", 60.0)
    assert ALONE.report().by == ""
