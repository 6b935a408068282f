"""Requests as they happen: to who takes them, at no cost in memory."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.dashboard.feed import INTERVAL, KEEPALIVE, MOST_ENDED
from tests.dashboard.owner import SCRIPT, OwnersWorld, json_of
from tests.resources.harness import CONFIG, Connection

ASK = b'{"model": "claude-wanted", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}'
ANSWER = (
    b'{"id": "m", "type": "message", "role": "assistant", "model": "claude-real", "content": [],'
    b' "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 3}}'
)


def watch(world: OwnersWorld, token: str = "") -> Connection:
    headers = {**SCRIPT, "X-Ampproxy-Page": token or world.token()}
    return world.get("live", headers)


def ask(world: OwnersWorld) -> Connection:
    headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
    return world.request("POST", "/api/provider/anthropic/v1/messages", headers, ASK)


def finish(world: OwnersWorld) -> None:
    world.client.sent[-1].respond_whole(200, ANSWER, {"Content-Type": ["application/json"]})
    world.turn()


def events(connection: Connection) -> list[tuple[str, Any]]:
    """The whole events that have come, without comments."""
    found = []
    pieces = connection.answer.partition(b"\r\n\r\n")[2]
    text = b""
    while pieces:
        size, _, rest = pieces.partition(b"\r\n")
        length = int(size, 16)
        text, pieces = text + rest[:length], rest[length + 2 :]
        if not length:
            break
    for event in text.split(b"\n\n"):
        lines = dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line[1:])
        if b"event" in lines:
            found.append((lines[b"event"].decode(), msgspec.json.decode(lines[b"data"])))
    return found


def of(name: str, connection: Connection) -> list[Any]:
    return [value for event, value in events(connection) if event == name]


def test_a_request_on_its_way() -> None:
    """It is seen while it is under way, and when it has ended: with its route, its cost and why."""
    world = OwnersWorld()
    page = watch(world)
    world.clock.advance(INTERVAL)
    assert [value["count"] for value in of("running", page)] == [0]
    assert [one["state"] for one in of("accounts", page)[0]] == ["untried"]
    ask(world)
    world.clock.advance(INTERVAL)
    ((row,),) = [value["rows"] for value in of("running", page)][1:]
    assert (row["asked"], row["route"], row["outcome"]) == ("claude-wanted", "mapped", "")
    assert row["reasons"]
    finish(world)
    world.clock.advance(INTERVAL)
    assert of("running", page)[-1] == {"rows": [], "count": 0}
    ((ended,),) = [value["rows"] for value in of("ended", page)]
    assert (ended["served"], ended["account"], ended["status"]) == ("claude-real", "claude-api-key[0]", 200)
    assert (ended["input"], ended["output"]) == (5, 3)
    assert json_of(world.call("requests"))["ended"][0]["id"] == ended["id"]


def test_accounts_that_change() -> None:
    """An account that cools down, and recovers, is an event; time that goes by is none."""
    world = OwnersWorld(CONFIG + "disable-cooling: false\n")
    page = watch(world)
    world.clock.advance(INTERVAL)
    ask(world)
    world.client.sent[-1].respond_whole(
        429, b'{"error": {"type": "rate_limit_error"}}', {"Retry-After": ["20"]}
    )
    world.turn()
    for _ in range(40):
        world.wall += INTERVAL
        world.clock.advance(INTERVAL)
    states = [accounts[0]["state"] for accounts in of("accounts", page)]
    assert states == ["untried", "resting"]


def test_costs_nothing_where_no_page_watches() -> None:
    """No timer runs, and what is remembered is bounded."""
    world = OwnersWorld(CONFIG + "page: {recent: 3}\n")
    page = watch(world)
    world.clock.advance(INTERVAL)
    page.leave()
    assert world.dashboard.desk.feed.watching == 0
    assert timers(world) == []
    for _ in range(5):
        world.request("GET", "/v1/nothing")
    assert len(json_of(world.call("requests"))["ended"]) == 3
    assert timers(world) == []


def timers(world: OwnersWorld) -> list[Any]:
    return [call for call in world.clock.getDelayedCalls() if "Feed" in str(call.func)]


def test_slow_page() -> None:
    """A page that does not read is sent nothing; when it reads again, the newest, and how many it missed."""
    world = OwnersWorld()
    page = watch(world)
    world.clock.advance(INTERVAL)
    producer = page.transport.producer
    producer.pauseProducing()
    before = len(page.answer)
    for _ in range(300):
        world.request("GET", "/v1/nothing")
        world.clock.advance(INTERVAL)
    assert len(page.answer) == before
    producer.resumeProducing()
    world.clock.advance(INTERVAL)
    (news,) = of("ended", page)
    assert (len(news["rows"]), news["missed"]) == (MOST_ENDED, 300 - MOST_ENDED)


def test_many_at_once() -> None:
    """Each page is sent what it has not seen, and no more at a time than it shows."""
    world = OwnersWorld()
    first = watch(world)
    world.request("GET", "/v1/one")
    second = watch(world)
    world.request("GET", "/v1/two")
    world.clock.advance(INTERVAL)
    assert [row["path"] for row in of("ended", first)[0]["rows"]] == ["/v1/two", "/v1/one"]
    assert [row["path"] for row in of("ended", second)[0]["rows"]] == ["/v1/two"]


def test_alive() -> None:
    """Where nothing happens a comment keeps the connection."""
    world = OwnersWorld()
    page = watch(world)
    world.clock.pump([INTERVAL] * 8)
    before = page.answer
    world.clock.pump([INTERVAL] * int(KEEPALIVE / INTERVAL + 1))
    assert page.answer[len(before) :].count(b": still here\n\n") == 1


def test_too_many_watch() -> None:
    """The setting bounds them, and the refusal names it."""
    world = OwnersWorld(CONFIG + "page: {max-watching: 2}\n")
    token = world.token()
    pages = [watch(world, token) for _ in range(3)]
    assert [page.status for page in pages] == [200, 200, 429]
    assert "page.max-watching" in json_of(pages[2])["error"]
    pages[0].leave()
    assert watch(world, token).status == 200


def test_ends_with_its_right() -> None:
    """Another configuration lets it in anew, or not; a session's stream ends with the session."""
    world = OwnersWorld()
    page = watch(world)
    world.clock.advance(INTERVAL)
    assert not page.ended_cleanly
    world.use(CONFIG)
    world.clock.advance(INTERVAL)
    assert page.ended_cleanly
    world.dashboard.desk.feed.watch(Stub(), world.wall + 1)
    stub = Stub()
    world.dashboard.desk.feed.watch(stub, world.wall + 1)
    world.clock.advance(INTERVAL)
    assert not stub.finished
    world.wall += 2
    world.clock.advance(INTERVAL)
    assert stub.finished


def test_ends_with_the_service() -> None:
    """A page sees that its stream has ended, and asks anew."""
    world = OwnersWorld()
    pages = [watch(world, world.token()) for _ in range(2)]
    world.dashboard.stop()
    assert [page.ended_cleanly for page in pages] == [True, True]
    assert timers(world) == []


class Stub:
    """A request of the page, as the feed sees it."""

    gone = outdated = finished = False

    def write(self, data: bytes) -> None:
        pass

    def finish(self) -> None:
        self.finished = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass

    def notifyFinish(self) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred()
