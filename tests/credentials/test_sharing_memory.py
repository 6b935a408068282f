"""What accounts taught one process, and what they alone keep, known to all."""

from __future__ import annotations

from ampproxy.config.schema import Learning, Routing
from ampproxy.credentials.lessons import Key, Lessons
from ampproxy.credentials.pins import Pins
from ampproxy.credentials.sharing_memory import share_lessons, share_pins
from ampproxy.model.lesson import Lesson
from ampproxy.state.hub import Hub
from tests.state.bus import Bus

WHO = Key("claude-api-key#1f9a03c2", "claude-x", "messages")
DROP = Lesson(("temperature",), "leave-out")
BEND = Lesson(("effort",), "not", ("max",))


class Process:
    """Lessons and pins of one process."""

    def __init__(self, bus, folder=None, *, open=True, off=0.0):
        self.bus, self.view = bus, bus.view(open=False)

        def wall():
            return bus.clock.seconds() + 1e9 + off

        self.lessons, self.pins = Lessons(folder, wall), Pins(folder, wall)
        self.lessons.configure(Learning(max_age=1000.0))
        self.pins.configure(Routing(pin_ttl=1000.0, max_pins=50))
        share_lessons(self.lessons, self.view, wall)
        share_pins(self.pins, self.view, wall)
        if open:
            self.view.wire.open()

    def prove(self, *lessons, who=WHO):
        self.lessons.learn(who, lessons)
        self.lessons.prove(who, lessons)


def processes(count=2):
    bus = Bus()
    return bus, *[Process(bus) for _ in range(count)]


def test_a_proven_lesson_is_known_to_all():
    """At once, and to those that start later; what is not proven stays where it is."""
    bus, one, two = processes()
    one.lessons.learn(WHO, [DROP])
    bus.settle()
    assert two.lessons.of(WHO) == ()
    one.lessons.prove(WHO, [DROP])
    bus.settle()
    assert two.lessons.of(WHO) == (DROP,)
    assert [kept.lesson for kept in two.lessons.listed(WHO.account)] == [DROP]
    assert Process(bus).lessons.of(WHO) == (DROP,)
    assert two.lessons.learned == {}


def test_what_is_wrong_or_forgotten_ends_for_all():
    """A lesson that did not help, and what the owner had forgotten."""
    bus, one, two, three = processes(3)
    one.prove(DROP)
    two.prove(BEND)
    bus.settle()
    three.lessons.disprove(WHO, [DROP])
    bus.settle()
    assert one.lessons.of(WHO) == two.lessons.of(WHO) == (BEND,)
    assert one.lessons.forget([WHO.account]) == 1
    bus.settle()
    assert two.lessons.of(WHO) == three.lessons.of(WHO) == ()
    assert Process(bus).lessons.of(WHO) == ()


def test_a_lesson_ends_at_the_same_time_for_all():
    """By its age, whatever the clocks of the machines show."""
    bus, one = processes(1)
    two = Process(bus, off=-500_000.0)
    one.prove(DROP)
    bus.settle()
    bus.clock.advance(600)
    three = Process(bus, off=70_000.0)
    bus.settle()
    assert two.lessons.of(WHO) == three.lessons.of(WHO) == (DROP,)
    bus.clock.advance(401)
    assert one.lessons.of(WHO) == two.lessons.of(WHO) == three.lessons.of(WHO) == ()


def test_lessons_of_a_file_are_shared(tmp_path):
    """What a process kept from before the others know when it connects; nothing goes back and forth."""
    bus = Bus()
    before = Process(bus, tmp_path)
    before.prove(DROP)
    before.lessons.close()
    before.lessons._file.write()
    before.view.wire.cut()
    bus.hub = Hub()
    one = Process(bus)
    again = Process(bus, tmp_path)
    bus.settle()
    assert again.lessons.of(WHO) == one.lessons.of(WHO) == (DROP,)
    sent = len(one.view.wire.sent) + len(again.view.wire.sent)
    one.view.wire.cut()
    one.view.wire.open()
    bus.settle()
    assert len(one.view.wire.sent) + len(again.view.wire.sent) == sent + 1
    assert again.lessons.of(WHO) == (DROP,)


def test_what_cannot_be_read_is_passed_over():
    """Another version may write lessons differently."""
    bus, one, two = processes()
    for value in (b"\xc1", b"", b"\x80"):
        two.view.publish("lesson", "a", value, 60.0)
        two.view.publish("pin", "a", value, 60.0)
    two.view.publish("lesson", "b", None, 60.0)
    bus.settle()
    assert one.lessons.of(WHO) == ()


def test_pins_are_known_to_all():
    """What a vendor stored is asked for where it is, whichever process gets the request."""
    bus, one, two = processes()
    one.pins.pin(["resp_1"], "account-a")
    one.pins.pin_proofs(["proof"], "account-b")
    bus.settle()
    for each in (two, Process(bus)):
        assert each.pins.owner("resp_1") == "account-a"
        assert each.pins.is_foreign("proof", "account-a")
        assert not each.pins.is_foreign("proof", "account-b")
    assert "resp_1" not in repr([*bus.hub.entries(bus.clock.seconds())])
    two.pins.refuse_proofs(["other"], "account-a")
    bus.settle()
    assert one.pins.is_foreign("other", "account-a")
    bus.clock.advance(1001)
    assert one.pins.owner("resp_1") is two.pins.owner("resp_1") is None


def test_a_pin_that_is_seen_again_is_not_sent_again():
    """Not before a quarter of its time is over."""
    bus, one, two = processes()
    for _ in range(10):
        one.pins.pin(["conv_1"], "account-a")
        bus.clock.advance(50)
    assert len(one.view.wire.sent) == 2
    bus.settle()
    bus.clock.advance(700)
    assert two.pins.owner("conv_1") == "account-a"


def test_pins_are_bounded():
    """Of too many from elsewhere the oldest go."""
    bus, one, two = processes()
    for number in range(80):
        one.pins.pin([f"resp_{number}"], "account-a")
    bus.settle()
    assert two.pins.things == 50
    assert two.pins.owner("resp_79") == "account-a"
    assert two.pins.owner("resp_1") is None


def test_alone():
    """Without others nothing is subscribed to."""
    from ampproxy.state.shared import ALONE

    lessons, pins = Lessons(), Pins()
    share_lessons(lessons, ALONE, lambda: 0.0)
    share_pins(pins, ALONE, lambda: 0.0)
    lessons.learn(WHO, [DROP])
    lessons.prove(WHO, [DROP])
    pins.pin(["resp_1"], "a")
    assert pins.owner("resp_1") == "a"
