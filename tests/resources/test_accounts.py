"""Several accounts behind one gateway: who serves when some fail, what clients are told, what owners see."""

from __future__ import annotations

import json
import unittest
from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError

from ampproxy.config.load import parse
from tests.resources.harness import AMP_KEY, CLIENT_KEY, World

AMP = "/api/provider/anthropic/v1/messages"
ANSWER = b'{"id":"m","type":"message","model":"claude-real","content":[]}'
JSON = {"Content-Type": ["application/json"]}
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"m",'
    b'"content":[],"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
)
STOP = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":1}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def config(names: str = "abc", more: str = "") -> str:
    accounts = "".join(
        f"  - {{api-key: canary-key-of-{name}, base-url: 'http://{name}.test', models: [{{name: m}}]}}\n"
        for name in names
    )
    return f'api-keys: ["{CLIENT_KEY}"]\nclaude-api-key:\n{accounts}{more}'


def body(model: str = "m", **members: object) -> bytes:
    return json.dumps({"model": model, "max_tokens": 5, "messages": [], **members}).encode()


def error(message: str, kind: str = "api_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


class Several(World):
    """A gateway with several accounts, each of which answers as it was told: (status, body, headers)."""

    def __init__(self, names: str = "abc", more: str = "", **kwargs: Any) -> None:
        super().__init__(config(names, more), **kwargs)
        self.behaviour: dict[str, tuple[int, bytes, dict[str, list[str]]]] = {}
        self.asked: list[str] = []

    def ask(self, thread: str | None = None, **kwargs: Any) -> Any:
        """One request; the accounts answer at once."""
        headers = {"X-Amp-Thread-Id": thread} if thread else None
        connection = self.request("POST", AMP, headers, body(**kwargs))
        self.play()
        return connection

    def play(self) -> None:
        """Answer whatever was asked."""
        while self.client.sent:
            sent = self.client.sent.pop(0)
            if sent.cancelled:
                continue
            name = sent.url.split("/")[2].removesuffix(".test")
            self.asked.append(name)
            status, answer, headers = self.behaviour.get(name, (200, ANSWER, {}))
            sent.respond_whole(status, answer, {**JSON, **headers})
        self.turn()

    def lines(self) -> list[str]:
        from twisted.logger import formatEvent

        return [formatEvent(event) for event in self.events if event.get("log_kind") != "exchange"]


LIMITED = (
    429,
    error("Number of requests has exceeded your limit", "rate_limit_error"),
    {"Retry-After": ["3600"]},
)
BROKEN = (500, error("Internal server error"), {})


def test_one_limited_one_broken_one_well() -> None:
    """Every request succeeds, the bad accounts are not hammered, and the limited one is used again after a
    try that succeeds, without a restart; the log says each of these.
    """
    world = Several()
    world.behaviour = {"a": LIMITED, "b": BROKEN}
    statuses = set()
    for _ in range(600):
        world.clock.advance(5)
        statuses.add(world.ask().status)
        if world.clock.seconds() >= 2400:
            world.behaviour.pop("a", None)
    assert statuses == {200}
    assert world.asked.count("b") <= 8, "its rest grows with each failure"
    limited = [line for line in world.lines() if line.startswith("claude-api-key[0] is rate limited")]
    assert len(limited) == 2
    assert "429: Number of requests has exceeded your limit" in limited[0]
    assert "(30 min), failure 1 in a row; its vendor asks for 1 h" in limited[0]
    assert "claude-api-key[0] is tried again for m after its cooldown" in world.lines()
    assert "claude-api-key[0] serves m again" not in world.lines(), "the second rest is not over"
    for _ in range(200):
        world.clock.advance(5)
        assert world.ask().status == 200
    assert "claude-api-key[0] serves m again" in world.lines()
    assert world.asked[-30:].count("a") > 10


def test_threads_stay() -> None:
    """20 threads of 30 turns over 4 accounts: each stays; when its account fails it moves once and stays."""
    world = Several("abcd")
    homes: dict[str, list[str]] = {f"T-{number}": [] for number in range(20)}
    for turn in range(30):
        world.behaviour = {"c": LIMITED} if 10 <= turn < 20 else {}
        for thread, visited in homes.items():
            world.clock.advance(7)
            assert world.ask(thread).status == 200
            visited.append(world.asked[-1])
    for visited in homes.values():
        after = visited[10:] if visited[0] == "c" else visited
        assert len(set(after)) == 1
        assert after[0] != "c"


def test_streams_move_before_the_first_byte() -> None:
    """An account that accepts a stream and says nothing in it has failed; the next one answers."""
    world = Several("ab")
    connection = world.request("POST", AMP, body=body(stream=True))
    world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]}).done()
    stream = world.client.sent[1].respond(200, {"Content-Type": ["text/event-stream"]})
    stream.data(START + STOP)
    stream.done()
    assert connection.status == 200
    world.client.sent.clear()
    for _ in range(3):
        world.ask()
    assert world.asked == ["b"] * 3


class AllFail(unittest.TestCase):
    """What the client is told when nobody serves."""

    def test_every_attempt_is_told(self) -> None:
        """One error in the client's dialect: each account, its reason, when it is back, what to do."""
        world = Several()
        world.behaviour = {
            "a": LIMITED,
            "b": (401, error("invalid x-api-key", "authentication_error"), {}),
            "c": BROKEN,
        }
        connection = world.ask()
        self.assertEqual(connection.status, 503)
        told = json.loads(connection.body)
        self.assertEqual(told["error"]["type"], "overloaded_error")
        head, *lines = told["error"]["message"].split("\n")
        self.assertEqual(head, "No account could serve m: 3 of 3 tried and failed. Try again in 1 s.")
        self.assertEqual(
            lines,
            [
                "- claude-api-key[0] is rate limited (429: Number of requests has exceeded your limit);"
                " it is tried again in 30 min.",
                "- claude-api-key[1] has a key that its vendor rejects (401: invalid x-api-key);"
                " it is tried again in 30 min. To do: put a valid key into the configuration.",
                "- claude-api-key[2] failed (500: Internal server error); it is tried again in 60 s.",
            ],
        )
        self.assertIn(b"Retry-After: 1\r\n", connection.answer)

    def test_everybody_rests(self) -> None:
        """Where all are known to rest nobody is asked, and the client is told when to come back."""
        world = Several("ab")
        world.behaviour = {"a": LIMITED, "b": (429, LIMITED[1], {"Retry-After": ["600"]})}
        self.assertEqual(world.ask().status, 429)
        world.asked.clear()
        world.clock.advance(100)
        connection = world.ask()
        self.assertEqual((connection.status, world.asked), (429, []))
        message = json.loads(connection.body)["error"]["message"]
        self.assertTrue(
            message.startswith(
                "No account could serve m: 0 of 2 tried and failed, 2 cooling down. Try again in 8 min."
            )
        )
        self.assertIn(b"Retry-After: 500\r\n", connection.answer)

    def test_only_one_was_asked(self) -> None:
        """The only account's own words pass as they are."""
        world = Several("a")
        words = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"},"odd":1.0}'
        world.behaviour = {"a": (429, words, {})}
        connection = world.ask()
        self.assertEqual((connection.status, connection.body), (429, words))
        self.assertIn(b"Retry-After: 1\r\n", connection.answer)

    def test_the_clients_own_fault(self) -> None:
        """A wrong request is not tried elsewhere, and nobody rests for it."""
        world = Several("ab")
        world.behaviour = dict.fromkeys(
            "ab", (400, error("max_tokens: too big", "invalid_request_error"), {})
        )
        self.assertEqual(world.ask().status, 400)
        self.assertEqual(world.asked, ["a"])
        world.behaviour = {}
        self.assertEqual([world.ask().status for _ in range(2)], [200, 200])
        self.assertEqual(world.asked, ["a", "b", "a"])

    def test_a_model_that_one_account_lacks(self) -> None:
        """The exception: an account that has not got the model says 400, and another may have it."""
        world = Several("ab")
        words = error("The model 'm' is not available on your plan", "invalid_request_error")
        world.behaviour = {"a": (400, words, {})}
        self.assertEqual({world.ask().status for _ in range(4)}, {200})
        self.assertEqual(world.asked, ["a", "b", "b", "b", "b"])

    def test_unreachable(self) -> None:
        """An account that cannot be reached is told so, and rests as a whole."""
        world = Several("ab")
        connection = world.request("POST", AMP, body=body())
        for _ in range(2):
            world.client.sent.pop(0).answer.errback(ConnectionRefusedError())
        self.assertEqual(connection.status, 502)
        self.assertIn("cannot be reached", json.loads(connection.body)["error"]["message"])

    def test_no_more_than_so_many(self) -> None:
        """max-retry-credentials bounds who is asked; the next request asks others."""
        world = Several("abc", "max-retry-credentials: 1\n")
        world.behaviour = dict.fromkeys("ab", BROKEN)
        self.assertEqual([world.ask().status for _ in range(3)], [500, 500, 200])


class Waiting(unittest.TestCase):
    """request-retry and max-retry-interval."""

    more = "request-retry: 2\nmax-retry-interval: 30\n"

    def test_waits_for_the_first(self) -> None:
        """A short rest is waited for, and the client sees only the answer."""
        world = Several("a", self.more)
        world.behaviour = {"a": (429, LIMITED[1], {"Retry-After": ["20"]})}
        connection = world.ask()
        self.assertEqual(connection.answer, b"")
        world.behaviour = {}
        world.clock.advance(19)
        self.assertEqual(world.client.sent, [])
        world.clock.advance(1)
        world.play()
        self.assertEqual((connection.status, world.asked), (200, ["a", "a"]))

    def test_not_for_long(self) -> None:
        """A rest that is longer than the interval is not waited for."""
        world = Several("a", self.more)
        world.behaviour = {"a": LIMITED}
        self.assertEqual(world.ask().status, 429)

    def test_not_for_long_in_all(self) -> None:
        """Several short rests are not waited for longer than one long one would be."""
        world = Several("a", "request-retry: 10\nmax-retry-interval: 30\n")
        world.behaviour = {"a": (429, LIMITED[1], {"Retry-After": ["13"]})}
        connection = world.ask()
        waited = 0
        while not connection.answer and waited < 200:
            world.clock.advance(1)
            waited += 1
            world.play()
        self.assertEqual((connection.status, world.asked), (429, ["a", "a", "a"]))
        self.assertEqual(waited, 26)

    def test_not_for_ever(self) -> None:
        """After so many rounds it is told that nobody serves, and nothing is left running."""
        world = Several("ab", self.more)
        world.behaviour = dict.fromkeys("ab", BROKEN)
        connection = world.ask()
        for _ in range(40):
            world.clock.advance(1)
            world.play()
        self.assertEqual(connection.status, 500)
        self.assertLessEqual(len(world.asked), 6)
        connection.leave()
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_the_client_leaves_meanwhile(self) -> None:
        """Nobody is asked for a client that left while it waited."""
        world = Several("a", self.more)
        world.behaviour = {"a": (429, LIMITED[1], {"Retry-After": ["20"]})}
        world.ask().leave()
        self.assertEqual(world.clock.getDelayedCalls(), [])
        self.assertEqual(world.exchanges[-1]["outcome"], "client-left")
        self.assertEqual(world.generation.runtime.running.count, 0)


def test_a_try_that_its_client_leaves() -> None:
    """When the client of the trying request leaves, the account is tried by the next."""
    world = Several("a")
    world.behaviour = {"a": LIMITED}
    world.ask()
    world.behaviour = {}
    world.clock.advance(1800)
    trying = world.request("POST", AMP, body=body())
    assert len(world.client.sent) == 1
    assert world.request("POST", AMP, body=body()).status == 429
    trying.leave()
    world.client.sent.clear()
    assert world.ask().status == 200


class Fallback(unittest.TestCase):
    """What becomes of a model whose accounts all rest."""

    def world(self, wanted: bool) -> Several:
        more = (
            "openai-compatibility:\n"
            "  - {name: other, base-url: 'http://other.test/v1', models: [{name: spare}]}\n"
            f"ampcode: {{upstream-url: 'http://amp.test', upstream-api-key: {AMP_KEY},"
            f" fallback-when-exhausted: {str(wanted).lower()}, model-mappings: [{{from: m, to: spare}}]}}\n"
        )
        world = Several("a", more)
        world.behaviour = {"a": LIMITED, "other": LIMITED}
        return world

    def test_not_unless_wanted(self) -> None:
        """Amp's credits are not spent for a rest, unless the owner says so."""
        world = self.world(False)
        self.assertEqual([world.ask().status for _ in range(2)], [429, 429])
        self.assertEqual(world.asked, ["a"])

    def test_mapping_then_amp(self) -> None:
        """The mapping serves, and when its accounts rest too, Amp; the header and the log tell."""
        world = self.world(True)
        said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
        chat = {"id": "c", "object": "chat.completion", "model": "spare", "choices": [said]}
        world.behaviour["other"] = (200, json.dumps(chat).encode(), {})
        connection = world.ask()
        self.assertEqual((connection.status, world.asked), (200, ["a", "other"]))
        self.assertIn(b"X-Ampproxy-Route: mapped", connection.answer)
        world.behaviour["other"] = LIMITED
        world.behaviour["amp"] = (200, b'{"from":"amp"}', {})
        connection = world.ask()
        self.assertEqual(world.asked, ["a", "other", "other", "amp"])
        self.assertEqual((connection.status, connection.body), (200, b'{"from":"amp"}'))
        self.assertIn(b"X-Ampproxy-Route: amp", connection.answer)
        self.assertTrue([line for line in world.lines() if "uses amp credits" in line])
        self.assertEqual(world.exchanges[-1]["kind"], "amp")
        world.clock.advance(1800)
        world.behaviour = {}
        self.assertIn(b"X-Ampproxy-Route: local", world.ask().answer)

    def test_the_clients_fault_does_not_fall_back(self) -> None:
        """A wrong request is wrong everywhere."""
        world = self.world(True)
        world.behaviour["a"] = (400, error("bad", "invalid_request_error"), {})
        self.assertEqual((world.ask().status, world.asked), (400, ["a"]))


def test_a_reload_forgets_nothing() -> None:
    """With a new configuration the accounts that were resting still rest, wherever they stand in the file."""
    from ampproxy.generation import Generation
    from ampproxy.resources.root import Root

    world = Several("ab")
    world.behaviour = {"a": LIMITED}
    world.ask()
    text = config("cba")
    reloaded = parse(
        text, name="t", environ={}, home=world.generation.runtime.home, read_secret=lambda path: ""
    )
    world.generation = Generation(reloaded, world.generation.runtime)
    world.site.resource = Root(world.generation)
    world.asked.clear()
    for _ in range(6):
        assert world.ask().status == 200
    assert sorted(set(world.asked)) == ["b", "c"]


class Shown(unittest.TestCase):
    """``GET /ampproxy/accounts``."""

    def get(self, world: World, **kwargs: Any) -> Any:
        return world.request("GET", "/ampproxy/accounts", **kwargs)

    def test_states(self) -> None:
        """Who serves, who rests and why, and what is left of limits; no key of anybody."""
        world = Several()
        limits = {
            "Anthropic-RateLimit-Requests-Limit": ["50"],
            "Anthropic-RateLimit-Requests-Remaining": ["49"],
            "Anthropic-RateLimit-Requests-Reset": ["2023-11-14T22:14:20Z"],
        }
        world.behaviour = {
            "a": LIMITED,
            "b": (401, error("invalid x-api-key canary-key-of-b", "authentication_error"), {}),
            "c": (200, ANSWER, limits),
        }
        world.ask()
        connection = self.get(world)
        self.assertEqual(connection.status, 200)
        self.assertNotIn(b"canary", connection.body)
        a, b, c = json.loads(connection.body)["accounts"]
        self.assertEqual([a["state"], b["state"], c["state"]], ["resting", "key refused", "ready"])
        (rest,) = a["rests"]
        self.assertIsNone(rest["call"])
        self.assertEqual((rest["model"], rest["reason"], rest["seconds"]), ("m", "is rate limited", 1800))
        self.assertEqual((rest["vendor_says"], rest["until"]), (3600, 1_700_000_000 + 1800))
        self.assertIsNone(b["rests"][0]["model"])
        self.assertEqual(c["models"], ["m"])
        self.assertEqual(
            c["windows"],
            [
                {
                    "name": "requests",
                    "limit": 50,
                    "remaining": 49,
                    "resets_at": 1_700_000_060,
                    "told_at": 1_700_000_000,
                }
            ],
        )
        self.assertNotIn("canary", repr(world.events))
        # Its time is over, though nobody has asked for that model since.
        world.clock.advance(1801)
        a, b, c = json.loads(self.get(world).body)["accounts"]
        self.assertEqual([a["state"], b["state"], c["state"]], ["untried", "key refused", "ready"])
        self.assertEqual([rest["seconds"] for rest in a["rests"]], [0])

    def test_who_may_see(self) -> None:
        """This machine only, with a client key, and nothing but GET."""
        world = Several()
        self.assertEqual(self.get(world, key=None).status, 401)
        self.assertEqual(self.get(world, peer="10.0.0.9").status, 403)
        self.assertEqual(self.get(world, headers={"Origin": "https://evil.test"}).status, 403)
        self.assertEqual(world.request("POST", "/ampproxy/accounts", body=b"{}").status, 405)
        self.assertEqual(world.request("GET", "/ampproxy/other").status, 404)
        self.assertEqual(world.request("GET", "/ampproxy").status, 404)
        self.assertEqual(world.request("GET", "/ampproxy/accounts/1").status, 404)


@pytest.mark.parametrize("stream", [False, True])
def test_translated_failures(stream: bool) -> None:
    """An account that speaks another dialect fails over as well, and the error is in the client's."""
    world = World(
        f"api-keys: [{CLIENT_KEY}]\nopenai-compatibility:\n"
        "  - {name: x, base-url: 'http://x.test/v1', models: [{name: m}],"
        " api-key-entries: [{api-key: kkkkkk1}, {api-key: kkkkkk2}]}\n"
    )
    asked = body(messages=[{"role": "user", "content": "hi"}], stream=stream)
    connection = world.request("POST", AMP, body=asked)
    for _ in range(2):
        world.client.sent.pop(0).respond_whole(
            429, b'{"error":{"message":"Please try again in 20s.","type":"requests"}}', JSON
        )
    assert connection.status == 429
    told = json.loads(connection.body)
    assert told["error"]["type"] == "rate_limit_error"
    assert "openai-compatibility/x[1] is rate limited" in told["error"]["message"]
    assert b"Retry-After: 20\r\n" in connection.answer


def test_a_key_in_the_first_event() -> None:
    """An error that comes as the first event of a stream is a failure like any other: it fails over, and a
    key that the vendor repeats in it is shown to nobody.
    """
    world = World(
        f"api-keys: [{CLIENT_KEY}]\nopenai-compatibility:\n"
        "  - {name: x, base-url: 'http://x.test/v1', models: [{name: m}],"
        " api-key-entries: [{api-key: canary-x1}, {api-key: canary-x2}]}\n"
    )
    asked = body(messages=[{"role": "user", "content": "hi"}], stream=True)
    connection = world.request("POST", AMP, body=asked)
    for number in (1, 2):
        stream = world.client.sent.pop(0).respond(200, {"Content-Type": ["text/event-stream"]})
        event = {"error": {"message": f"bad key canary-x{number}", "code": "invalid_api_key"}}
        stream.data(b"data: " + json.dumps(event).encode() + b"\n\n")
        world.turn()
    assert connection.status == 502
    assert b"has a key that its vendor rejects" in connection.body
    assert b"canary" not in connection.answer
    assert "canary" not in repr(world.events)
    assert "canary" not in world.request("GET", "/ampproxy/accounts").body.decode()
