"""The model routes: who serves, what the vendor is sent, what the client gets, and every way to fail."""

from __future__ import annotations

import json
import os
import sys
import unittest
from functools import partial

import pytest
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from tests.cases import each
from tests.clocked import within
from tests.resources.harness import ACCOUNT_KEY, AMP_KEY, CLIENT_KEY, CONFIG, World

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AMP = "/api/provider/anthropic/v1/messages"
ROOT = "/v1/messages"


def body(model: str = "claude-local", **members: object) -> bytes:
    return json.dumps({"model": model, "max_tokens": 5, "messages": [], **members}).encode()


ANSWER = b'{"id":"m","type":"message","model":"claude-real","content":[],"big":12345678901234567890}'
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude-real",'
    b'"content":[],"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
)
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"hi"}}\n\n'
)
STOP = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":2}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)
SSE = {"Content-Type": ["text/event-stream"]}
JSON = {"Content-Type": ["application/json"]}


VENDORS_HEADERS = {
    **JSON,
    "anthropic-ratelimit-requests-remaining": ["4"],
    "x-echo": [f"key {ACCOUNT_KEY}"],
    "request-id": ["req_1"],
    "set-cookie": ["a=b"],
    "strict-transport-security": ["max-age=9"],
    "x-accel-redirect": ["/internal"],
    "x-ampproxy-route": ["amp"],
    "access-control-allow-origin": ["*"],
    "content-encoding": ["identity"],
}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("everything", [False, True])
def test_a_vendors_headers(status: int, everything: bool) -> None:
    """With passthrough-headers the client gets what a vendor tells of its answer, but nothing that is its
    connection's, its site's or the gateway's own, and no key.
    """
    world = World(CONFIG + f"passthrough-headers: {str(everything).lower()}\n")
    connection = world.request("POST", ROOT, body=body())
    answer = (
        ANSWER
        if status == 200
        else b'{"type":"error","error":{"type":"invalid_request_error","message":"m"}}'
    )
    world.client.sent[0].respond_whole(status, answer, VENDORS_HEADERS)
    head = connection.answer.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 %d" % status)
    assert b"request-id: req_1" in head
    assert (b"anthropic-ratelimit-requests-remaining: 4" in head) == everything
    assert (b"x-echo: key ***" in head) == everything
    assert b"x-ampproxy-route: local" in head
    for name in (
        b"set-cookie",
        b"strict-",
        b"x-accel",
        b"access-control",
        b"content-encoding",
        b"route: amp",
    ):
        assert name not in head


class Routes(unittest.TestCase):
    """Where a request goes, as header and log tell."""

    def setUp(self) -> None:
        self.world = World()

    def route(self, path: str, model: str) -> str:
        connection = self.world.request("POST", path, body=body(model))
        for sent in self.world.client.sent:
            sent.respond_whole(200, ANSWER, JSON)
        self.world.client.sent.clear()
        self.world.turn()
        head = connection.answer.partition(b"\r\n\r\n")[0]
        (line,) = [line for line in head.split(b"\r\n") if line.startswith(b"X-Ampproxy-Route")]
        return line.partition(b": ")[2].decode()

    def test_kinds(self) -> None:
        """Local first, then mapped, then Amp; at the root only local."""
        self.assertEqual(self.route(AMP, "claude-local"), "local")
        self.assertEqual(self.route(AMP, "claude-wanted"), "mapped")
        self.assertEqual(self.route(AMP, "gpt-unheard"), "amp")
        self.assertEqual(self.route(ROOT, "claude-local"), "local")
        self.assertEqual(self.route(ROOT, "claude-wanted"), "none")
        self.assertEqual(
            [event["kind"] for event in self.world.exchanges], ["local", "mapped", "amp", "local", "none"]
        )

    def test_steps_at_debug(self) -> None:
        """With ``debug: true`` the log shows how a model was routed, in the words that users look for."""
        for debug in (True, False):
            self.world = World(CONFIG + f"debug: {str(debug).lower()}\n")
            self.route(AMP, "claude-wanted")
            self.route(AMP, "gpt-unheard")
            steps = " ".join(event["steps"] for event in self.world.events if "steps" in event)
            self.assertEqual("amp model mapping: request claude-wanted -> claude-local" in steps, debug)
            self.assertEqual("forwarding to ampcode.com (uses amp credits): gpt-unheard" in steps, debug)

    def test_credits_are_a_warning(self) -> None:
        """A fallback is a warning with the YAML that would avoid it."""
        self.route(AMP, "gpt-unheard")
        (event,) = [event for event in self.world.events if "amp credits" in event.get("log_format", "")]
        self.assertEqual(event["log_level"].name, "warn")
        self.assertIn("gpt-unheard", event["remedy"])

    def test_fallback_is_the_clients_request(self) -> None:
        """Amp gets the path, the model and the body as they came, with the owner's key."""
        sent_body = body("gpt-unheard", temperature=0.10)
        self.world.request("POST", AMP + "?beta=true", {"Anthropic-Beta": "context-1m-2025-08-07"}, sent_body)
        (sent,) = self.world.client.sent
        self.assertEqual((sent.url, sent.body), ("https://amp.test" + AMP + "?beta=true", sent_body))
        self.assertEqual(sent.header("x-api-key"), [AMP_KEY])
        self.assertEqual(sent.header("anthropic-beta"), ["context-1m-2025-08-07"])

    def test_cleaned_fallback_has_the_right_length(self) -> None:
        """A request that had to be cleaned is sent whole."""
        blocks = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "y"}]
        self.world.request(
            "POST", AMP, body=body("gpt-unheard", messages=[{"role": "assistant", "content": blocks}])
        )
        (sent,) = self.world.client.sent
        self.assertEqual(sent.producer.length, len(sent.body))
        self.assertNotIn(b"thinking", sent.body)


class Requests(unittest.TestCase):
    """What the vendor is sent."""

    def sent(self, path: str = AMP, headers: dict[str, str] | None = None, **kwargs: object) -> object:
        world = World()
        world.request("POST", path, headers, body(**kwargs))  # type: ignore[arg-type]
        return world.client.sent[0]

    def test_only_the_model_changes(self) -> None:
        """Every other byte of the body is the client's."""
        world = World()
        text = b'{ "big": 12345678901234567890,\n "model" : "claude-wanted", "x":1.10, "messages":[]}'
        world.request("POST", AMP, body=text)
        self.assertEqual(world.client.sent[0].body, text.replace(b"claude-wanted", b"claude-real"))

    def test_credentials(self) -> None:
        """The account's key and nobody else's; our own User-Agent; nothing of Amp's."""
        sent = self.sent(
            headers={
                "Cookie": "a=b",
                "X-Amp-Thread-Id": "T",
                "User-Agent": "node",
                "X-Stainless-Lang": "js",
                "Anthropic-Beta": "context-1m-2025-08-07,other-feature",
            }
        )
        headers = {name.lower(): values for name, values in sent.headers.getAllRawHeaders()}
        self.assertEqual(headers[b"x-api-key"], [ACCOUNT_KEY.encode()])
        self.assertNotIn(b"authorization", headers)
        self.assertNotIn(b"cookie", headers)
        self.assertFalse([name for name in headers if name.startswith((b"x-amp", b"x-stainless"))])
        self.assertTrue(headers[b"user-agent"][0].startswith(b"ampproxy/"))
        self.assertEqual(headers[b"anthropic-beta"], [b"other-feature"])

    def test_client_key_in_the_query_stays(self) -> None:
        """A key in the query does not reach the vendor."""
        sent = self.sent(f"{ROOT}?key={CLIENT_KEY}&beta=true")
        self.assertEqual(sent.url, "http://claude.test/v1/messages?beta=true")


class WholeAnswers(unittest.TestCase):
    def test_the_asked_name(self) -> None:
        """The client sees the name it asked for, and every number as it was."""
        world = World()
        connection = world.request("POST", AMP, body=body("claude-wanted"))
        world.client.sent[0].respond_whole(
            200, ANSWER, {**JSON, "Request-Id": ["r-1"], "Server": ["cloudflare"]}
        )
        self.assertEqual(connection.body, ANSWER.replace(b"claude-real", b"claude-wanted"))
        self.assertIn(b"Request-Id: r-1", connection.answer)
        self.assertNotIn(b"cloudflare", connection.answer)
        (event,) = world.exchanges
        self.assertEqual(
            (event["outcome"], event["status"], event["account"]), ("completed", 200, "claude-api-key[0]")
        )

    def test_large(self) -> None:
        """A large answer goes out as the client reads it."""
        world = World()
        connection = world.request("POST", AMP, body=body())
        large = ANSWER.replace(b'"m"', b'"' + b"m" * 3_000_000 + b'"')
        world.client.sent[0].respond_whole(200, large, JSON)
        self.assertEqual(len(connection.body), len(large) + len("claude-local") - len("claude-real"))
        self.assertEqual(world.exchanges[0]["outcome"], "completed")


class Streams(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()
        self.connection = self.world.request("POST", AMP, body=body("claude-wanted", stream=True))

    def respond(self) -> object:
        return self.world.client.sent[0].respond(200, SSE)

    def test_whole(self) -> None:
        """Events pass as they come, with the asked name; the log tells the tokens."""
        stream = self.respond()
        stream.data(START + DELTA)
        self.world.turn()
        self.assertIn(b'"model":"claude-wanted"', self.connection.body)
        stream.data(STOP)
        stream.done()
        self.assertTrue(self.connection.ended_cleanly)
        self.assertTrue(self.connection.body.endswith(STOP))
        self.assertIn(" tokens=3+2 ", str(self.world.exchanges[0]["exchange"]))

    def test_vendor_dies(self) -> None:
        """An error event of the dialect, and no clean end."""
        stream = self.respond()
        stream.data(START + DELTA)
        self.world.turn()
        stream.lose(ResponseNeverReceived([Failure(ConnectionLost())]))
        last = self.connection.answer.rpartition(b"event: ")[2]
        self.assertTrue(last.startswith(b"error\n"))
        self.assertIn(b'"type":"error"', last)
        self.assertTrue(self.connection.closed)
        self.assertFalse(self.connection.ended_cleanly)
        self.assertEqual(self.world.exchanges[0]["outcome"], "broken-off")

    def test_vendor_ends_without_its_terminal_event(self) -> None:
        """A tidy end of half an answer is no end."""
        stream = self.respond()
        stream.data(START + DELTA)
        self.world.turn()
        stream.done()
        self.assertIn(b"event: error", self.connection.answer)
        self.assertFalse(self.connection.ended_cleanly)

    def test_vendor_says_nothing_at_all(self) -> None:
        """Before the first byte a failure has an honest status."""
        self.respond().done()
        self.assertEqual(self.connection.status, 502)

    def test_slow_client(self) -> None:
        """A client that does not read stops the upstream's reading."""
        stream = self.respond()
        self.connection.channel.pauseProducing()
        self.assertEqual(stream.state, "paused")

    def test_client_leaves_at_every_event(self) -> None:
        """The upstream is closed in the same turn, wherever the stream is."""
        for count in range(4):
            world = World()
            connection = world.request("POST", AMP, body=body(stream=True))
            if count:
                stream = world.client.sent[0].respond(200, SSE)
                for event in (START, DELTA, DELTA)[: count - 1]:
                    stream.data(event)
                    world.turn()
            connection.leave()
            if count:
                self.assertEqual(stream.state, "stopped")
            else:
                self.assertTrue(world.client.sent[0].cancelled)
            self.assertEqual([event["outcome"] for event in world.exchanges], ["client-left"])

    def test_nothing_is_left_running(self) -> None:
        """No timer survives its exchange."""
        stream = self.respond()
        stream.data(START + STOP)
        stream.done()
        self.connection.leave()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertEqual(self.world.generation.runtime.running.count, 0)


TWO = CONFIG.replace(
    "claude-api-key:",
    "claude-api-key:\n  - {api-key: first-account-key, base-url: http://first.test,"
    " models: [{name: claude-first, alias: claude-local}]}",
)


class Failover(unittest.TestCase):
    """Another account is tried as long as the client has been sent nothing."""

    def setUp(self) -> None:
        self.world = World(TWO)
        self.connection = self.world.request("POST", AMP, body=body(stream=True))

    def test_next_account(self) -> None:
        """After an account's failure the next answers, and the client sees nothing of it."""
        self.world.client.sent[0].respond_whole(429, b'{"error":{"message":"slow down"}}', JSON)
        second = self.world.client.sent[1]
        self.assertEqual(json.loads(second.body)["model"], "claude-real")
        stream = second.respond(200, SSE)
        stream.data(START + STOP)
        stream.done()
        self.assertEqual(self.connection.status, 200)
        (event,) = self.world.exchanges
        self.assertEqual((event["account"], event["outcome"]), ("claude-api-key[1]", "completed"))
        self.assertIn("claude-api-key[0]: 429 slow down", event["attempts"])

    def test_unreachable_account(self) -> None:
        """So after one that cannot be reached."""
        self.world.client.sent[0].answer.errback(ConnectionRefusedError())
        self.assertEqual(len(self.world.client.sent), 2)

    def test_clients_fault(self) -> None:
        """A request that one account calls wrong is not sent to another."""
        self.world.client.sent[0].respond_whole(400, b'{"type":"error","error":{"message":"bad"}}', JSON)
        self.assertEqual(len(self.world.client.sent), 1)
        self.assertEqual(
            (self.connection.status, json.loads(self.connection.body)["error"]["message"]), (400, "bad")
        )

    def test_all_fail(self) -> None:
        """Every attempt is told, with the soonest Retry-After."""
        for index in range(2):
            self.world.client.sent[index].respond_whole(
                529,
                b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}',
                {"Retry-After": ["7"]},
            )
        self.assertEqual(self.connection.status, 529)
        self.assertIn(b"Retry-After: 7", self.connection.answer)

    def test_not_after_the_first_byte(self) -> None:
        """Once the client has read something of the answer, a failure is final."""
        stream = self.world.client.sent[0].respond(200, SSE)
        stream.data(START + DELTA)
        self.world.turn()
        stream.done()
        self.assertEqual(len(self.world.client.sent), 1)
        self.assertIn(b"event: error", self.connection.answer)

    def test_client_leaves_between_two(self) -> None:
        """Nobody is asked for a client that is gone."""
        self.connection.leave()
        self.assertEqual(len(self.world.client.sent), 1)


def test_reused_connection_that_was_dead() -> None:
    """A kept connection that the vendor had closed is tried once more, at the same account."""
    world = World()
    world.request("POST", AMP, body=body())
    world.client.sent[0].answer.errback(ResponseNeverReceived([Failure(ConnectionLost())]))
    assert len(world.client.sent) == 2
    world.client.sent[1].answer.errback(ResponseNeverReceived([Failure(ConnectionLost())]))
    assert len(world.client.sent) == 2


def test_vendor_that_repeats_the_key() -> None:
    """An account's key does not reach the client, nor the log, when the vendor repeats it."""
    world = World()
    connection = world.request("POST", AMP, body=body())
    world.client.sent[0].respond_whole(
        401, json.dumps({"type": "error", "error": {"message": f"bad key {ACCOUNT_KEY}"}}).encode(), JSON
    )
    assert connection.status == 502
    assert ACCOUNT_KEY.encode() not in connection.answer
    assert ACCOUNT_KEY not in repr(world.events)


@pytest.mark.parametrize(
    ("path", "payload", "status", "words"),
    [
        (ROOT, b"{", 400, "not valid JSON"),
        (ROOT, b"[]", 400, "not an object"),
        (ROOT, b"{}", 400, "names no model"),
        (ROOT, b'{"model": 7}', 400, "names no model"),
        (ROOT, b'{"model":"nobody"}', 404, "nobody"),
        ("/v1beta/models/nobody:generateContent", b"{}", 404, "nobody"),
    ],
)
def test_refusals_help(path: str, payload: bytes, status: int, words: str) -> None:
    """What cannot be served says why, in the dialect of the route."""
    connection = World().request("POST", path, body=payload)
    assert connection.status == status
    assert words in json.loads(connection.body)["error"]["message"]


def test_wrong_method() -> None:
    """405 with Allow."""
    connection = World().request("GET", ROOT)
    assert connection.status == 405
    assert b"Allow: POST" in connection.answer


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate without its header"])
def test_compressed_request(coding: str) -> None:
    """A compressed body is understood."""
    import gzip
    import zlib

    squeezed = gzip.compress(body()) if coding == "gzip" else zlib.compress(body())
    if coding.endswith("header"):
        # Two bytes before, and a checksum behind.
        squeezed = squeezed[2:-4]
    world = World()
    world.request("POST", ROOT, {"Content-Encoding": coding.partition(" ")[0]}, squeezed)
    assert json.loads(world.client.sent[0].body)["model"] == "claude-real"


@each("parts", [1, 2, 3])
def test_gzip_of_several_members(parts: int) -> None:
    """Clients that write as they go end several, each of which is inflated."""
    import gzip

    size = len(body()) // parts + 1
    pieces = [body()[at : at + size] for at in range(0, len(body()), size)]
    world = World()
    world.request("POST", ROOT, {"Content-Encoding": "gzip"}, b"".join(map(gzip.compress, pieces)))
    assert json.loads(world.client.sent[0].body)["model"] == "claude-real"
    many = gzip.compress(b"") * 400_000
    connection = within(5, partial(World().request, "POST", ROOT, {"Content-Encoding": "gzip"}, many))
    assert (connection.status, b"gzip body" in connection.body) == (400, True)


def test_a_charset_in_place_of_a_coding() -> None:
    """Is none."""
    world = World()
    world.request("POST", ROOT, {"Content-Encoding": "UTF-8"}, body())
    assert json.loads(world.client.sent[0].body)["model"] == "claude-real"


def test_zstd_request() -> None:
    """What Codex compresses is understood on every Python, in one frame or several."""
    for squeezed in (zstd.compress(body()), zstd.compress(body()[:9]) + zstd.compress(body()[9:])):
        world = World()
        world.request("POST", ROOT, {"Content-Encoding": "zstd"}, squeezed)
        assert json.loads(world.client.sent[0].body)["model"] == "claude-real"


def test_zstd_faults() -> None:
    """A broken body, half a one, one of countless frames, and one that wants a huge window are the client's
    faults; one that grows past the limit is too large.
    """
    wide = zstd.compress(b" " * 20_000_000, options={zstd.CompressionParameter.window_log: 27})
    whole = zstd.compress(body())
    many = zstd.compress(b"") * 400_000
    for broken in (b"no zstd", whole[:-3], whole + b"x", many, wide):
        sent = partial(World().request, "POST", ROOT, {"Content-Encoding": "zstd"}, broken)
        connection = within(5, sent)
        assert connection.status == 400
        assert b"zstd body" in connection.body
    bomb = zstd.compress(b" " * 2_000_000)
    world = World(CONFIG + "limits: {max-body: 1MiB}\n")
    assert world.request("POST", ROOT, {"Content-Encoding": "zstd"}, bomb).status == 413


def test_a_pattern_that_takes_too_long() -> None:
    """The client is told which mapping it is, the owner is warned of the same line each time, and Amp is not
    asked.
    """
    world = World(CONFIG.replace("{from: claude-wanted,", "{from: '(a+)+b', regex: true,"))
    for length in (300, 400):
        connection = world.request("POST", AMP, body=body("a" * length))
        assert connection.status == 404
        assert "takes too long to decide" in json.loads(connection.body)["error"]["message"]
    assert world.client.sent == []
    warnings = [event for event in world.events if event.get("pattern") == "(a+)+b"]
    assert len(warnings) == 2
    assert warnings[0]["line"] == warnings[1]["line"] > 0
    assert "a" * 20 not in str([formatEvent(event) for event in warnings])


def test_compressed_bomb() -> None:
    """What inflates past the limit is refused."""
    import gzip

    world = World(CONFIG + "limits: {max-body: 1MiB}\n")
    connection = world.request("POST", ROOT, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 2_000_000))
    assert connection.status == 413


@pytest.mark.parametrize("root", [ROOT, "/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_many_codings(root: str) -> None:
    """Two codings are undone, more are refused unread: each would have the limit to itself."""
    import gzip

    world, squeezed = World(), gzip.compress(gzip.compress(body()))
    headers = {"Content-Encoding": "gzip, identity, gzip"}
    if root == ROOT:
        world.request("POST", root, headers, squeezed)
        assert json.loads(world.client.sent[0].body)["model"] == "claude-real"
    many = {"Content-Encoding": ",".join(["gzip"] * 10_000)}
    connection = within(1, partial(World().request, "POST", root, many, squeezed))
    assert connection.status == 415
    assert b"10000 nested codings" in connection.body
    assert "error" in json.loads(connection.body)


def test_codings_share_the_limit() -> None:
    """What the layers of a body make together counts, not each for itself; the setting is named."""
    import gzip

    world = World(CONFIG + "limits: {max-body: 1MiB}\n")
    # Six hundred thousand bytes that do not shrink, and as many again when the outer layer is gone.
    inner = gzip.compress(json.dumps({"model": "x", "y": os.urandom(300_000).hex()}).encode(), 0)
    headers = {"Content-Encoding": "gzip, gzip"}
    connection = world.request("POST", ROOT, headers, gzip.compress(inner))
    assert connection.status == 413
    assert b"1048576 bytes (setting: limits.max-body)" in connection.body


def test_unknown_coding() -> None:
    """415, naming what is understood."""
    connection = World().request("POST", ROOT, {"Content-Encoding": "br"}, b"x")
    assert connection.status == 415
    assert b"gzip" in connection.body


def test_model_lists() -> None:
    """Each dialect lists the local models in its own form."""
    world = World()
    openai = json.loads(world.request("GET", "/v1/models").body)
    anthropic = json.loads(world.request("GET", "/v1/models", {"anthropic-version": "2023-06-01"}).body)
    gemini = json.loads(world.request("GET", "/v1beta/models").body)
    assert [model["id"] for model in openai["data"]] == ["claude-local"]
    assert [model["type"] for model in anthropic["data"]] == ["model"]
    assert [model["name"] for model in gemini["models"]] == ["models/claude-local"]
    assert json.loads(world.request("GET", "/v1/models/claude-local").body)["id"] == "claude-local"
    assert world.request("GET", "/v1/models/nobody").status == 404


def test_count_tokens_of_a_vendor() -> None:
    """The vendor counts where it can."""
    world = World()
    connection = world.request("POST", "/v1/messages/count_tokens", body=body())
    world.client.sent[0].respond_whole(200, b'{"input_tokens":7}', JSON)
    assert json.loads(connection.body) == {"input_tokens": 7}


def test_count_tokens_by_estimate() -> None:
    """Where no vendor counts, the answer says that it is an estimate."""
    world = World(
        f"api-keys: [{CLIENT_KEY}]\n"
        "openai-compatibility: [{name: local, base-url: 'http://x.test/v1', models: [{name: m}]}]\n"
    )
    asked = body("m", messages=[{"role": "user", "content": "word " * 700}])
    connection = world.request("POST", "/v1/messages/count_tokens", body=asked)
    assert b"X-Ampproxy-Estimate: tokens" in connection.answer
    assert 600 < json.loads(connection.body)["input_tokens"] < 1400
    assert world.client.sent == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", 404), ("/v1", 404), ("/v1/", 404), ("/v1beta", 404), ("/ampproxy", 404), ("/ampproxy/x", 404),
     ("/api", "/api"), ("/api/", "/api/"), ("/api/provider", "/api/provider"),
     ("/api/provider/", "/api/provider/"), ("/api/provider/x", "/api/provider/x")],
)  # fmt: skip
def test_paths_that_lead_to_others(path: str, expected: int | str) -> None:
    """A path that is only the beginning of ours is unknown, or Amp's; it is never a defect."""
    world = World()
    connection = world.request("GET", path)
    if isinstance(expected, int):
        assert connection.status == expected
    else:
        assert world.client.sent[0].url == "https://amp.test" + expected


def test_stream_that_begins_with_an_error() -> None:
    """A 200 whose first event is an error is a failure: another account answers, or an honest status does."""
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    world = World(TWO)
    connection = world.request("POST", AMP, body=body(stream=True))
    stream = world.client.sent[0].respond(200, SSE)
    stream.data(error)
    world.turn()
    assert len(world.client.sent) == 2
    stream = world.client.sent[1].respond(200, SSE)
    stream.data(START + STOP)
    stream.done()
    assert connection.status == 200
    assert b"busy" not in connection.answer
    world = World()
    connection = world.request("POST", AMP, body=body(stream=True))
    world.client.sent[0].respond(200, SSE).data(error)
    world.turn()
    assert connection.status in (503, 529)
    assert b"busy" in connection.body
