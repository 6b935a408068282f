"""What workers share by the supervisor: over the messages of their channels."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.channel.messages import encode, from_supervisor, from_worker
from ampproxy.state.entries import Entry
from ampproxy.state.shared import Lease
from ampproxy.state.view import View
from ampproxy.workers.sharing import ChannelLink, HubOfWorkers


class Topic:
    """Remembers what others publish."""

    def __init__(self) -> None:
        self.known: dict[str, bytes | None] = {}

    def apply(self, entry: Entry) -> None:
        self.known[entry.key] = entry.value

    def age(self, key: str) -> float | None:
        return None

    def entries(self) -> list[Entry]:
        return []


class Worker:
    """One, joined to the hub by messages that arrive at once."""

    def __init__(self, hub: HubOfWorkers, clock: Clock) -> None:
        self.hub, self.topic = hub, Topic()
        self.view = view(clock)
        self.view.subscribe("pin", self.topic)
        self.link = ChannelLink(self.view, self.to_hub)
        self.view.use(self.link)
        hub.welcome(self)

    def to_hub(self, message: Any) -> None:
        self.hub.message(self, from_worker(encode(message)))  # type: ignore[arg-type]

    def send(self, message: Any) -> None:
        self.link.message(from_supervisor(encode(message)))


def view(clock: Clock) -> View:
    return View("the supervisor", clock, lambda: 0.0, Logger(observer=lambda event: None))


def make(count: int) -> tuple[HubOfWorkers, list[Worker], View, Topic]:
    clock = Clock()
    hub, own, topic = HubOfWorkers(clock.seconds), view(clock), Topic()
    own.subscribe("pin", topic)
    hub.join(own)
    return hub, [Worker(hub, clock) for _ in range(count)], own, topic


def test_all_know() -> None:
    """What one publishes the others know, and the supervisor; what that publishes all workers do."""
    _, (one, two), own, topic = make(2)
    one.view.publish("pin", "k", b"v", 60.0)
    assert (one.topic.known, two.topic.known, topic.known) == ({}, {"k": b"v"}, {"k": b"v"})
    own.publish("pin", "l", None, 60.0)
    assert one.topic.known == {"l": None}
    assert two.topic.known == {"k": b"v", "l": None}
    assert topic.known == {"k": b"v"}


def test_a_new_worker_knows() -> None:
    """One that begins gets all that is known, however much it is; one that has ended gets nothing more."""
    hub, (one,), own, _ = make(1)
    for number in range(1200):
        own.publish("pin", str(number), b"v", 60.0)
    late = Worker(hub, Clock())
    assert len(late.topic.known) == 1200
    assert late.view.report().connected
    hub.left(one)
    late.view.publish("pin", "new", b"v", 60.0)
    assert "new" not in one.topic.known


def test_one_winner() -> None:
    """Of a claim; and one holder of a lock, with a higher number than the one before."""
    _, (one, two), own, _ = make(2)
    found: list[object] = []
    one.view.claim("pin", "k", b"first", 60.0).addCallback(found.append)
    two.view.claim("pin", "k", b"second", 60.0).addCallback(found.append)
    own.claim("pin", "k", b"third", 60.0).addCallback(found.append)
    assert found == [b"first"] * 3
    leases: list[Any] = []
    one.view.lock("refresh", 60.0).addCallback(leases.append)
    two.view.lock("refresh", 60.0).addCallback(leases.append)
    assert leases[1] is None
    one.view.unlock(leases[0])
    own.lock("refresh", 60.0).addCallback(leases.append)
    assert leases[2] > leases[0]
    assert isinstance(leases[2], Lease)
    own.unlock(leases[2])
    two.view.lock("refresh", 60.0).addCallback(leases.append)
    assert leases[3].number > leases[2].number
