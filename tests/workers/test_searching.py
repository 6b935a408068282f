"""A client of Responses comes back to another worker than the one that has answered it."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from ampproxy.channel.messages import Has, Message, Seek, encode, from_supervisor, from_worker
from ampproxy.relay import elsewhere
from ampproxy.relay.elsewhere import Given, Keeps, Sought
from ampproxy.relay.remembered import Remembered
from ampproxy.relay.stored import StoredAnswers
from ampproxy.workers import searching
from ampproxy.workers.searching import TIMEOUT, Searches, Seeker
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_references import GO, SHAPES, TEXT, answered, ask, item_of
from tests.resources.test_stored_answers import ON, answer_of, fetch, world_of


class Peer:
    """A worker, as the supervisor reaches it.

    :ivar silent: whether it hangs.
    """

    def __init__(self, searches: Searches, peers: list[Peer], number: int, limits: str) -> None:
        self.searches, self.peers, self.silent, self.serves = searches, peers, False, True
        self.sent: list[Message] = []
        self.world: World = world_of(limits)
        runtime = self.world.generation.runtime
        maker: Any = self.world.generation.exchanges.bridges._origin
        count = iter(range(1000))
        msgspec.structs.force_setattr(maker, "new_id", lambda prefix: f"{prefix}{number}_{next(count)}")
        pins = runtime.pins
        keeps = Keeps(
            runtime.remembered, runtime.stored, time.monotonic, lambda id_: pins.owner(id_) is not None
        )
        self.seeker = Seeker(keeps, self.world.clock, self.to_supervisor)
        msgspec.structs.force_setattr(runtime, "kept_elsewhere", self.seeker)

    def to_supervisor(self, message: Message) -> None:
        self.sent.append(message)
        self.searches.message(self, from_worker(encode(message)), self.peers)

    def send(self, message: Message) -> None:
        if not self.silent:
            self.seeker.message(from_supervisor(encode(message)))

    def turn(self, shape: str, previous: str = "", words: str = "go") -> str:
        """One turn of a conversation here; the id of the answer."""
        more = {"previous_response_id": previous} if previous else {}
        connection = ask(self.world, shape, [{"role": "user", "content": words}], **more)
        answered(self.world, shape, TEXT)
        return str(answer_of(shape, connection)["id"])

    @property
    def texts(self) -> list[str]:
        """What the vendor was sent last."""
        sent = json.loads(self.world.client.sent[-1].body)["messages"]
        return [part["text"] for message in sent for part in message["content"]]


def house(count: int = 3, limits: str = ON) -> list[Peer]:
    """Workers of one supervisor."""
    searches, peers = Searches(), []
    for number in range(count):
        peers.append(Peer(searches, peers, number, limits))
    return peers


@pytest.mark.parametrize("shape", SHAPES)
def test_going_on(shape: str) -> None:
    """The vendor gets the whole conversation, each turn of which was another worker's; what was fetched once
    is not asked for again.
    """
    one, two, three = house()
    first = one.turn(shape)
    second = two.turn(shape, first, "and?")
    third = three.turn(shape, second, "and then?")
    assert three.texts == ["go", TEXT["text"], "and?", TEXT["text"], "and then?"]
    asked = len(three.sent)
    three.turn(shape, third, "so?")
    assert len(three.texts) == 7
    assert len(three.sent) == asked


@pytest.mark.parametrize("shape", SHAPES)
def test_an_item(shape: str) -> None:
    """As the AI SDK refers to one: also where no whole answers are kept."""
    one, two = house(2, limits="")
    connection = ask(one.world, shape, [GO])
    answered(one.world, shape, TEXT)
    item = {"type": "item_reference", "id": item_of(shape, connection)["id"]}
    ask(two.world, shape, [GO, item, {"role": "user", "content": "and?"}])
    assert two.texts == ["go", TEXT["text"], "and?"]


def test_fetching_and_deleting() -> None:
    """At any worker; what was deleted at one is kept by none."""
    one, two, three = house()
    id_ = one.turn("whole")
    assert json.loads(fetch(two.world, id_).body)["id"] == id_
    assert json.loads(fetch(three.world, id_, "DELETE").body)["deleted"] is True
    for worker in (one, two, three):
        assert fetch(worker.world, id_).status == 404


def test_another_client() -> None:
    """Gets nothing of it."""
    one, two = house(2)
    id_ = one.turn("whole")
    assert fetch(two.world, id_, key="another-client-key").status == 404
    assert json.loads(fetch(two.world, id_, key=CLIENT_KEY).body)["id"] == id_


def test_one_that_hangs() -> None:
    """It is waited for in vain for a moment, and not at all where another one has what is sought."""
    one, two, three = house()
    id_ = one.turn("whole")
    three.silent = True
    two.turn("whole", id_, "and?")
    assert two.texts == ["go", TEXT["text"], "and?"]
    connection = ask(two.world, "whole", [GO], previous_response_id="resp_of_no_one")
    assert connection.answer == b""
    two.world.clock.advance(TIMEOUT)
    two.world.turn()
    assert connection.status == 400


def test_one_that_dies() -> None:
    """Who asks is answered without it; who asked and is gone is forgotten."""
    one, two, three = house()
    three.silent = True
    connection = ask(two.world, "whole", [GO], previous_response_id="resp_of_no_one")
    assert connection.answer == b""
    one.searches.gone(three)
    two.world.turn()
    assert connection.status == 400
    ask(three.world, "whole", [GO], previous_response_id="resp_of_no_one")
    two.silent = True
    ask(three.world, "whole", [GO], previous_response_id="resp_of_no_one")
    one.searches.gone(three)
    assert one.searches._searches == {}


def test_one_that_only_begins() -> None:
    """Is not waited for: it has nothing; nor is anyone once there is no supervisor."""
    _, two, three = house()
    three.silent, three.serves = True, False
    for _ in range(2):
        assert ask(two.world, "whole", [GO], previous_response_id="resp_of_no_one").status == 400
        two.seeker.open = False
    assert len(two.sent) == 1


def test_a_client_that_leaves() -> None:
    """Meanwhile: nothing goes on for it."""
    one, two, three = house()
    id_ = one.turn("whole")
    one.silent = three.silent = True
    connection = ask(two.world, "whole", [GO], previous_response_id=id_)
    connection.leave()
    two.world.clock.advance(TIMEOUT)
    two.world.turn()
    assert two.world.client.sent == []
    assert not [event for event in two.world.events if "log_failure" in event]


@pytest.mark.parametrize("id_", ["resp_of_a_vendor", "resp of no one", "resp_\ud800", "r" * 200, ""])
def test_what_cannot_be_ours(id_: str) -> None:
    """Nobody is asked for it: an id that a vendor gave, or none at all."""
    one, _ = house(2)
    one.world.generation.runtime.pins.pin(["resp_of_a_vendor"], "an account")
    ask(one.world, "whole", [GO], previous_response_id=id_)
    assert one.sent == []


def test_a_request_that_is_none() -> None:
    """The one who serves it refuses it."""
    one, _ = house(2)
    for text in (b'{"previous_response_id": 7', b'["item_reference"]', b'{"input": [7, "item_reference"]}'):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {CLIENT_KEY}"}
        connection = one.world.request("POST", "/v1/responses", headers, text, key=None)
        assert connection.status == 400
    assert one.sent == []


def keeps(now: float = 100.0) -> tuple[Keeps, Remembered, StoredAnswers]:
    remembered, stored = Remembered(lambda: now), StoredAnswers(lambda: now)
    limits = world_of().config.limits
    stored.configure(limits)
    return Keeps(remembered, stored, lambda: now, lambda id_: False), remembered, stored


def test_ages_are_kept() -> None:
    """What is fetched is as old as it is where it comes from."""
    here, _, stored = keeps()
    here.take("c", Given((("p", b"x", 30.0),), (("resp_1", "", (b"{}",), b"{}", 40.0),)))
    assert stored.find("c", "resp_1") == ("", (b"{}",), b"{}", 60.0)
    given = here.give("c", Sought(("p",), ("resp_1",)))
    assert given == Given((("p", b"x", 30.0),), (("resp_1", "", (b"{}",), b"{}", 40.0),))


def test_what_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message becomes too large for the channel: the rest is asked for again, or not given at all."""
    monkeypatch.setattr(elsewhere, "MAX_GIVEN", 3000)
    monkeypatch.setattr(searching, "MAX_GIVEN", 3000)
    monkeypatch.setattr(elsewhere, "MAX_ALONE", 4000)
    here, remembered, stored = keeps()
    remembered.put("c", [("p", b"x" * 2000), ("q", b"x" * 2000)])
    for id_, previous, size in (("a", "", 3500), ("b", "a", 1000), ("d", "b", 1000), ("e", "", 5000)):
        stored.put("c", id_, previous, (), b"x" * size)
    assert [part[0] for part in here.give("c", Sought(("p", "q"))).parts] == ["p"]
    assert [answer[0] for answer in here.give("c", Sought((), ("d",))).answers] == ["d", "b"]
    assert [answer[0] for answer in here.give("c", Sought((), ("a",))).answers] == ["a"]
    assert here.give("c", Sought((), ("e",))).answers == ()

    searches, got = Searches(), []

    class Asker:
        serves = True

        def send(self, message: Any) -> None:
            got.append(message)

    others = [Asker(), Asker()]
    asker = Asker()
    searches.message(asker, Seek(1, "c", Sought(("p", "q"))), [asker, *others])
    got.clear()
    for other, name in zip(others, ("p", "q"), strict=True):
        searches.message(other, Has(1, Given(((name, b"x" * 2000, 0.0),))), [])
    assert [part[0] for part in got[0].given.parts] == ["p"]
