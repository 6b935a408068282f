"""Keys of Amp's own as what clients present: who is let in, when Amp is asked, and what goes where."""

from __future__ import annotations

import json
import unittest
from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError

from ampproxy.relay.amp_users import (
    BAD_FOR,
    GOOD_FOR,
    GRACE,
    MAX_KEYS,
    NEW_A_MINUTE,
    NEW_FROM_ELSEWHERE,
    PAUSE,
    PAUSE_NEW,
    TIMEOUT,
)
from tests.resources.harness import ACCOUNT_KEY, AMP_KEY, CLIENT_KEY, CONFIG, Connection, World
from tests.resources.test_tunnel import UPGRADE, Upstream

KEY = "sgamp_user_01ANNA_canary-anna"
OTHER = "sgamp_user_01BEN_canary-ben"
#: What a sign-in with OAuth leaves, and one of a model vendor's.
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzAxIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
VENDORS_JWT = JWT.replace(
    "eyJzdWIiOiJ1c2VyXzAxIn0", "eyJpc3MiOiJodHRwczovL2F1dGgub3BlbmFpLmNvbSIsInN1YiI6IjEifQ"
)
ON = CONFIG.replace("ampcode:", "ampcode:\n  accept-amp-keys: true")
NAMED = ON.replace("ampcode:", "ampcode:\n  allowed-amp-users: [Anna@example.org]")
OPEN = ON.replace("api-keys:", "ignored:", 1).replace(
    '  upstream-api-keys:\n    - upstream-api-key: second-amp-key\n      api-keys: ["second-client-key"]\n',
    "",
)
ANNA = {"id": "u-anna", "email": "anna@example.org", "features": []}
MODEL = "/api/provider/anthropic/v1/messages"
QUESTION = b'{"model":"claude-local","max_tokens":5,"messages":[]}'


class Users(World):
    """A gateway that accepts Amp's keys, and Amp."""

    def __init__(self, config: str = ON) -> None:
        super().__init__(config)

    @property
    def asked(self) -> list[Any]:
        """What Amp was asked about keys."""
        return [sent for sent in self.client.sent if sent.url.endswith("/api/internal?getUserInfo")]

    def says(self, what: Any = ANNA, code: int = 200, at: int = -1) -> None:
        """Amp answers: with a user, or with something else."""
        told = {"ok": True, "result": what} if isinstance(what, dict) and "id" in what else what
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.asked[at].respond_whole(code, body, {"Content-Type": ["application/json"]})

    def other(self) -> list[Any]:
        """All other requests that went out."""
        return [sent for sent in self.client.sent if sent not in self.asked]


class Admission(unittest.TestCase):
    def setUp(self) -> None:
        self.world = Users()

    def ask(self, path: str = "/api/user", key: str | None = KEY, **kwargs: Any) -> Connection:
        return self.world.request(kwargs.pop("method", "GET"), path, key=key, **kwargs)

    def test_let_in_by_amps_word(self) -> None:
        """Amp is asked whose the key is; only then the request goes on, with that key."""
        connection = self.ask()
        (asked,) = self.world.asked
        self.assertEqual((asked.method, asked.body), ("POST", b'{"method":"getUserInfo","params":{}}'))
        self.assertEqual(asked.header("authorization"), [f"Bearer {KEY}"])
        self.assertEqual((connection.answer, self.world.other()), (b"", []))
        self.world.says()
        (sent,) = self.world.other()
        self.assertEqual(sent.header("authorization") + sent.header("x-api-key"), [f"Bearer {KEY}", KEY])
        sent.respond_whole(200, b"{}")
        self.world.turn()
        self.assertEqual(connection.status, 200)
        self.assertEqual(self.world.exchanges[0]["client"], "amp:anna@example.org")

    def test_signed_in_with_oauth(self) -> None:
        """A JWT is checked as every key of Amp's is; one of a model vendor's is not shown to Amp."""
        connection = self.ask("/api/internal?recordCLISignIn", JWT, method="POST", body=b"{}")
        self.world.says()
        (sent,) = self.world.other()
        self.assertEqual(sent.header("authorization") + sent.header("x-api-key"), [f"Bearer {JWT}", JWT])
        sent.respond_whole(200, b"{}")
        self.world.turn()
        self.assertEqual(connection.status, 200)
        self.assertEqual(self.ask("/api/user", VENDORS_JWT).status, 401)
        self.assertEqual(len(self.world.asked), 1)

    def test_not_accepted(self) -> None:
        """Where Amp's keys do not count, who presents one learns which setting decides that."""
        world = World()
        for key in (KEY, JWT):
            connection = world.request("GET", "/api/user", key=key)
            self.assertEqual(connection.status, 401)
            self.assertIn(b"ampcode.accept-amp-keys", connection.body)
            self.assertNotIn(key.encode(), connection.body)
        self.assertNotIn(b"accept-amp-keys", world.request("GET", "/api/user", key="sk-other").body)
        self.assertEqual(world.client.sent, [])

    def test_asked_once(self) -> None:
        """Requests at the same time share one question; later ones need none, until some time has passed."""
        for _ in range(5):
            self.ask()
        self.assertEqual(len(self.world.asked), 1)
        self.world.says()
        self.assertEqual(len(self.world.other()), 5)
        self.ask()
        self.world.clock.advance(GOOD_FOR - 1)
        self.ask()
        self.assertEqual((len(self.world.asked), len(self.world.other())), (1, 7))
        self.world.clock.advance(1)
        self.ask()
        self.assertEqual((len(self.world.asked), len(self.world.other())), (2, 7))
        self.world.says()
        self.assertEqual(len(self.world.other()), 8)

    def test_models(self) -> None:
        """The user's models are served by the local accounts, and the key goes to none of them."""
        for path in (MODEL, f"{MODEL}?key={KEY}", "/v1/messages"):
            self.ask(path, method="POST", body=QUESTION)
            if len(self.world.asked) == 1 and not self.world.other():
                self.world.says()
        for sent in self.world.other():
            self.assertTrue(sent.url.startswith("http://claude.test/v1/messages"))
            self.assertNotIn(KEY, sent.url + str(list(sent.headers.getAllRawHeaders())))
            self.assertEqual(sent.header("x-api-key"), [ACCOUNT_KEY])
        self.assertEqual(len(self.world.other()), 3)

    def test_fallback(self) -> None:
        """A model that only Amp serves costs the user's credits, not the owner's."""
        self.ask(MODEL, method="POST", body=QUESTION.replace(b"claude-local", b"claude-elsewhere"))
        self.world.says()
        (sent,) = self.world.other()
        self.assertEqual((sent.url, sent.header("x-api-key")), (f"https://amp.test{MODEL}", [KEY]))

    def test_the_key_in_the_query(self) -> None:
        """A key in the query goes on in the headers only."""
        self.ask(f"/api/user?a=1&key={KEY}", key=None)
        self.world.says()
        (sent,) = self.world.other()
        self.assertEqual(sent.url, "https://amp.test/api/user?a=1")
        self.assertEqual(sent.header("x-api-key"), [KEY])

    def test_sockets(self) -> None:
        """A socket waits for Amp's word as well; what the client says meanwhile is not lost."""
        upstream = Upstream(self.world)
        connection = self.world.request("GET", "/api/socket", UPGRADE, key=KEY).send(b"early")
        self.assertEqual(upstream.urls, [])
        self.world.says()
        self.assertEqual(upstream.asked["authorization"], f"Bearer {KEY}")
        upstream.wires[0].clear()
        upstream.say(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(upstream.wires[0].value(), b"early")
        self.assertEqual(connection.status, 101)

    def test_configured_keys_go_first(self) -> None:
        """A client key of the gateway's is one, whatever comes beside it, and Amp is not asked."""
        self.ask(key=CLIENT_KEY, headers={"X-Api-Key": KEY})
        self.assertEqual(self.world.asked, [])
        self.assertEqual(self.world.other()[0].header("x-api-key"), [AMP_KEY])

    def test_actors_and_pages(self) -> None:
        """The actors' keyless paths stay so; a page is anybody's, and with a good key the user's."""
        self.ask("/actors/metadata")
        self.assertEqual(self.world.other()[-1].header("authorization"), [])
        self.assertEqual(self.world.asked, [])
        self.ask("/threads/T-1")
        self.world.says()
        self.assertEqual(self.world.other()[-1].header("x-api-key"), [KEY])
        self.ask("/threads/T-1", key=OTHER)
        self.world.says(b"{}", 401)
        self.assertEqual(self.world.other()[-1].header("x-api-key"), [])

    def test_own_routes(self) -> None:
        """What the gateway tells of itself is for its owner."""
        self.assertEqual(self.ask("/ampproxy/accounts").status, 401)
        self.assertEqual(self.world.asked, [])

    def test_nothing_secret_is_told(self) -> None:
        """No line of the log and no error has the key."""
        self.ask()
        self.world.says()
        refused = self.ask(key=OTHER)
        self.world.says(b"", 401)
        told = json.dumps(
            [{**event, "log_logger": 0, "log_source": 0} for event in self.world.events], default=str
        )
        for key in (KEY, OTHER):
            self.assertNotIn(key, told + refused.answer.decode())


class Refusals(unittest.TestCase):
    def setUp(self) -> None:
        self.world = Users()

    def ask(self, key: str = KEY, world: Users | None = None, **kwargs: Any) -> Connection:
        return (world or self.world).request("GET", "/api/user", key=key, **kwargs)

    def test_off(self) -> None:
        """Without the setting, or without an Amp upstream, such a key is like any other: 401."""
        for config in (CONFIG, ON.replace("upstream-url: https://amp.test", 'upstream-url: ""')):
            world = Users(config)
            self.assertEqual(world.request("POST", "/v1/messages", key=KEY, body=b"{}").status, 401)
            self.assertEqual(world.client.sent, [])

    def test_not_amps(self) -> None:
        """What does not look like a key of Amp's is not asked about."""
        for key in ("wrong", "sk-ant-1", "sgamp_", "sgamp_x y", "sgamp_" + "x" * 600, "sgamp_ümläut"):
            self.assertEqual(self.ask(key).status, 401, key)
        self.assertEqual(self.world.client.sent, [])

    def test_unknown_to_amp(self) -> None:
        """401 in the dialect of the route, and for a minute Amp is not asked again."""
        for answer, code in ((b"", 401), ({"ok": False, "error": {"code": "auth-required"}}, 200)):
            self.setUp()
            connection = self.world.request("POST", MODEL, key=KEY, body=QUESTION)
            self.world.says(answer, code)
            self.assertEqual(connection.status, 401)
            self.assertEqual(json.loads(connection.body)["error"]["type"], "authentication_error")
            self.assertIn(b"amp login", connection.body)
            self.assertEqual(self.ask().status, 401)
            self.assertEqual(len(self.world.asked), 1)
            self.world.clock.advance(BAD_FOR)
            self.ask()
            self.assertEqual(len(self.world.asked), 2)
            self.assertEqual(self.world.other(), [])

    def test_amp_cannot_be_asked(self) -> None:
        """An error that says so, and no entry; after some seconds the next request tries again."""
        for fail in (
            lambda: self.world.asked[-1].answer.errback(ConnectionRefusedError()),
            lambda: self.world.clock.advance(TIMEOUT),
            lambda: self.world.says(b"", 500),
            lambda: self.world.says(b"", 403),
            lambda: self.world.says(b"", 302),
            lambda: self.world.says(b"not JSON"),
            lambda: self.world.says({"ok": True}),
            lambda: self.world.says({"ok": True, "result": {"id": ""}}),
            lambda: self.world.says({"ok": False, "error": {"code": "other"}}),
        ):
            self.setUp()
            connection = self.ask()
            fail()
            self.assertEqual(connection.status, 502)
            self.assertIn(b"could not be checked with Amp", connection.body)
            self.assertEqual(self.ask().status, 502)
            self.assertEqual((len(self.world.asked), self.world.other()), (1, []))
            self.world.clock.advance(PAUSE_NEW)
            self.ask()
            self.assertEqual(len(self.world.asked), 2)

    def test_amp_goes_away(self) -> None:
        """A user who was known goes on being served while Amp is away, but not for ever."""
        self.ask()
        self.world.says()
        self.world.clock.advance(GOOD_FOR)
        self.ask()
        self.world.says(b"", 503)
        self.assertEqual(len(self.world.other()), 2)
        self.ask()
        self.assertEqual((len(self.world.asked), len(self.world.other())), (2, 3))
        self.world.clock.advance(PAUSE)
        self.ask()
        self.world.says(b"", 401)
        self.assertEqual((len(self.world.asked), len(self.world.other())), (3, 3))
        self.setUp()
        self.ask()
        self.world.says()
        self.world.clock.advance(GOOD_FOR + GRACE)
        connection = self.ask()
        self.world.says(b"", 503)
        self.assertEqual(connection.status, 502)

    def test_only_named_users(self) -> None:
        """With a list, in any case, others are refused by name: 403, also those who shared a question."""
        world = Users(NAMED)
        self.ask(world=world)
        world.says({**ANNA, "email": "ANNA@example.org"})
        self.assertEqual(len(world.other()), 1)
        connections = [self.ask(OTHER, world), self.ask(OTHER, world)]
        world.says({"id": "u-ben", "email": "ben@example.org"})
        connections.append(self.ask(OTHER, world))
        for connection in connections:
            self.assertEqual(connection.status, 403)
            self.assertIn(b"ben@example.org", connection.body)
            self.assertIn(b"ampcode.allowed-amp-users", connection.body)
        self.assertEqual((len(world.asked), len(world.other())), (2, 1))
        self.assertEqual(
            Users(NAMED.replace("Anna@example.org", "u-anna")).config.ampcode.allowed_amp_users, ("u-anna",)
        )

    def test_elsewhere(self) -> None:
        """Anybody in the world can have a key of Amp's: from elsewhere only users that are named count."""
        anywhere = "ampcode:\n  restrict-management-to-localhost: false"
        world = Users(ON.replace("ampcode:", anywhere))
        for path in ("/api/user", "/v1/models"):
            connection = world.request("GET", path, key=KEY, peer="10.0.0.7")
            self.assertEqual(connection.status, 403)
            self.assertIn(b"allowed-amp-users", connection.body)
        self.assertEqual(world.client.sent, [])
        world = Users(NAMED.replace("ampcode:", anywhere))
        world.request("GET", "/api/user", key=KEY, peer="10.0.0.7")
        world.says()
        self.assertEqual(len(world.other()), 1)

    def test_many_new_keys(self) -> None:
        """Whoever tries keys does not make us try Amp's patience: 429. Users that are known do not notice."""
        self.ask()
        self.world.says()
        for number in range(NEW_A_MINUTE + 10):
            connection = self.ask(f"sgamp_guessed{number:04d}")
        self.assertEqual(connection.status, 429)
        self.assertEqual(len(self.world.asked), NEW_A_MINUTE)
        self.ask()
        self.assertEqual(len(self.world.other()), 2)
        self.world.clock.advance(60)
        self.ask("sgamp_guessed9999")
        self.assertEqual(len(self.world.asked), NEW_A_MINUTE + 1)

    def test_each_peer_has_a_budget(self) -> None:
        """Who tries keys from elsewhere shuts neither this machine out nor others; all of them together have
        a budget, too.
        """
        anywhere = "ampcode:\n  restrict-management-to-localhost: false"
        self.world = Users(NAMED.replace("ampcode:", anywhere))
        for number in range(NEW_A_MINUTE + 5):
            last = self.ask(key=f"sgamp_guessed{number:04d}", peer="10.0.0.7")
        self.assertEqual(last.status, 429)
        self.assertIn(b"Retry-After: 60", last.answer)
        self.assertEqual(len(self.world.asked), NEW_A_MINUTE)
        self.ask(key="sgamp_another_of_them", peer="10.0.0.8")
        self.ask()
        self.assertEqual(len(self.world.asked), NEW_A_MINUTE + 2)
        for number in range(NEW_FROM_ELSEWHERE + 50):
            last = self.ask(key=f"sgamp_from_many{number:04d}", peer=f"10.0.1.{number}")
        self.assertEqual(last.status, 429)
        self.assertEqual(len(self.world.asked), NEW_FROM_ELSEWHERE + 1)
        self.ask(key="sgamp_from_this_machine")
        self.assertEqual(len(self.world.asked), NEW_FROM_ELSEWHERE + 2)
        users: Any = self.world.generation.amp_users
        self.assertLessEqual(len(users._budget._spent), NEW_FROM_ELSEWHERE + 1)

    def test_peers(self) -> None:
        """Behind a proxy on this machine the client is the last that it names; of IPv6 the network counts."""
        anywhere = "ampcode:\n  restrict-management-to-localhost: false"
        for peers in (
            [{"headers": {"X-Forwarded-For": f"192.0.2.{number}, 203.0.113.9"}} for number in range(25)],
            [{"headers": {"X-Real-Ip": f"[2001:db8::{number:x}]:99"}} for number in range(25)],
            [{"peer": f"2001:db8::{number:x}"} for number in range(25)],
            [{"headers": {"Forwarded": f"for=_{number}"}} for number in range(25)],
        ):
            self.world = Users(NAMED.replace("ampcode:", anywhere))
            for number, peer in enumerate(peers):
                last = self.ask(key=f"sgamp_guessed{number:04d}", **peer)
            self.assertEqual(last.status, 429)
            self.assertEqual(len(self.world.asked), NEW_A_MINUTE)

    def test_bounded(self) -> None:
        """Keys that are tried fill no memory."""
        for number in range(MAX_KEYS + 40):
            self.ask(f"sgamp_guessed{number:04d}")
            self.world.says(b"", 401)
            self.world.clock.advance(3.1)
        users: Any = self.world.generation.amp_users
        self.assertLessEqual(len(users._bad), MAX_KEYS)
        self.assertEqual(users._asking, {})


class Open(unittest.TestCase):
    """A gateway that asks nobody for a key."""

    def test_an_amp_key_says_who_it_is(self) -> None:
        """A key of Amp's is used for its user; one that is none is not taken for nobody's."""
        world = Users(OPEN)
        world.request("GET", "/api/user", key=None)
        self.assertEqual(world.other()[-1].header("x-api-key"), [AMP_KEY])
        world.request("GET", f"/api/user?key={KEY}", key=None)
        world.says()
        self.assertEqual(
            (world.other()[-1].header("x-api-key"), world.other()[-1].url[-5:]), ([KEY], "/user")
        )
        connection = world.request("GET", "/api/user", key=OTHER)
        world.says(b"", 401)
        self.assertEqual(connection.status, 401)


class Bodies(unittest.TestCase):
    """The client waits with its body until it is known whether it is let in."""

    def setUp(self) -> None:
        self.world = Users()
        self.head = f"POST /api/attachments HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"

    def begin(self, body: bytes, more: str = "Content-Length: 300000", path: str = "") -> Connection:
        head = self.head.replace("/api/attachments", path) if path else self.head
        return self.world.connect().send(f"{head}{more}\r\n\r\n".encode() + body)

    def test_paused(self) -> None:
        """Nothing more is read until then; then all of it goes on, in order."""
        connection = self.begin(b"a" * 1000)
        self.assertEqual(connection.transport.producerState, "paused")
        self.world.says()
        self.assertEqual(connection.transport.producerState, "producing")
        connection.send(b"b" * 299_000)
        (sent,) = self.world.other()
        self.assertEqual(sent.body, b"a" * 1000 + b"b" * 299_000)
        self.assertTrue(sent.body_done)

    def test_gathered(self) -> None:
        """Also where it is looked at as a whole."""
        self.begin(QUESTION[:10], f"Content-Length: {len(QUESTION)}", "/v1/messages")
        self.world.says()
        self.assertEqual(self.world.other(), [])
        connection = self.begin(QUESTION[:10], f"Content-Length: {len(QUESTION)}", "/v1/messages")
        connection.send(QUESTION[10:])
        (sent,) = self.world.other()
        self.assertIn(b"claude-real", sent.body)

    def test_whole_at_once(self) -> None:
        """A body that came with the headers is not lost."""
        for more, body in (
            ("Content-Length: 5", b"hello"),
            ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ):
            self.setUp()
            connection = self.begin(body, more)
            self.world.says()
            (sent,) = self.world.other()
            self.assertEqual((sent.body, sent.body_done), (b"hello", True))
            sent.respond_whole(200, b"x")
            self.world.turn()
            self.assertEqual(connection.status, 200)
            connection.transport.clear()
            connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(connection.status, 200)

    def test_too_large(self) -> None:
        """A body over the limit is refused then, too."""
        for more in ("Content-Length: 99999999999", "Transfer-Encoding: chunked"):
            self.world = Users(ON + "limits: {max-body: 100}\n")
            connection = self.begin(b"c8\r\n" + b"x" * 200 + b"\r\n", more, "/v1/messages")
            self.world.says()
            self.assertEqual(connection.status, 413)

    def test_refused_upload_is_readable(self) -> None:
        """A client that is refused in mid-upload may finish it, reads the answer, and is then closed."""
        connection = self.begin(b"12345", "Content-Length: 10")
        self.world.says(b"", 401)
        self.assertEqual(connection.status, 401)
        self.assertEqual(connection.transport.producerState, "producing")
        self.assertFalse(connection.closed)
        connection.send(b"67890")
        self.assertTrue(connection.closed)
        self.assertEqual(connection.answer.count(b"HTTP/1.1"), 1)

    def test_refused_with_its_body(self) -> None:
        """One that has sent everything keeps its connection."""
        connection = self.begin(b"12345", "Content-Length: 5")
        self.world.says(b"", 401)
        self.assertEqual(connection.status, 401)
        connection.transport.clear()
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(connection.status, 200)

    def test_the_client_leaves(self) -> None:
        """Nothing is asked for on behalf of a client that is gone; others who wait are served."""
        connection = self.begin(b"12345", "Content-Length: 5")
        self.world.request("GET", "/api/user", key=KEY)
        connection.leave()
        self.world.says()
        (sent,) = self.world.other()
        self.assertEqual(sent.url, "https://amp.test/api/user")
        self.setUp()
        self.begin(b"1", "Content-Length: 5").leave()
        self.world.says(b"", 401)
        self.assertEqual(self.world.other(), [])

    def test_the_next_request_waits(self) -> None:
        """Requests that follow on the same connection are answered after it."""
        connection = self.world.connect()
        get = f"GET /api/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        connection.send((get % "one" + get % "two").encode())
        self.world.says()
        self.assertEqual([sent.url[-3:] for sent in self.world.other()], ["one"])
        self.world.other()[0].respond_whole(200, b"1")
        self.world.turn()
        self.assertEqual([sent.url[-3:] for sent in self.world.other()], ["one", "two"])


@pytest.mark.parametrize(
    ("email", "label"),
    [("anna@example.org", "amp:anna@example.org"), ("", "amp:u-1"), ("a b\x1b[1m@x" + "y" * 200, None)],
)
def test_label(email: str, label: str | None) -> None:
    """What Amp says of a user cannot disturb the log."""
    world = Users()
    world.request("GET", "/api/user", key=KEY)
    world.says({"id": "u-1", "email": email})
    world.other()[0].respond_whole(200, b"")
    world.turn()
    told = world.exchanges[0]["client"]
    assert told == (label or told)
    assert told.isascii()
    assert told.isprintable()
    assert " " not in told
    assert len(told) < 120
