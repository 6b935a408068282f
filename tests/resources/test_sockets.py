"""Responses over a WebSocket: messages are requests, and events are messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs
from twisted.internet.defer import Deferred
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Ping, Pong, TextMessage

from tests.resources.harness import CLIENT_KEY, Sent, World
from tests.resources.test_bent_answers import messages

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - {{api-key: account-key-a, base-url: "http://a.test", models: [{{name: claude-x, alias: claude}}]}}
codex-api-key: [{{api-key: account-key-o, base-url: "http://o.test/v1", models: [{{name: gpt-x}}]}}]
streaming: {{websockets: true}}
limits: {{max-body: 64KiB}}
"""
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "OpenAI-Beta": "responses_websockets=2026-02-06",
}
STREAM = {"Content-Type": ["text/event-stream"]}


class Socket:
    """A client with an open socket."""

    def __init__(self, config: str = CONFIG, path: str = "/v1/responses") -> None:
        self.world = World(config)
        numbers = iter(range(1, 1000))
        runtime = self.world.generation.runtime
        structs.force_setattr(runtime, "new_id", lambda prefix: f"{prefix}{next(numbers)}")
        self.wire = self.world.request("GET", path, UPGRADE)
        self.head, _, rest = self.wire.answer.partition(b"\r\n\r\n")
        self._frames = Frames(ConnectionType.CLIENT)
        self._read = len(self.head) + 4
        self.closed: CloseConnection | None = None
        self.pings = 0
        assert rest == b""

    @property
    def status(self) -> int:
        return self.wire.status

    def say(self, **event: Any) -> Socket:
        return self.send(json.dumps({"type": "response.create", **event}))

    def send(self, text: str) -> Socket:
        self.wire.send(self._frames.send(TextMessage(data=text)))
        self.world.turn()
        return self

    def part(self, text: str) -> Socket:
        self.wire.send(self._frames.send(TextMessage(data=text, message_finished=False)))
        return self

    def close(self) -> None:
        self.wire.send(self._frames.send(CloseConnection(code=1000)))
        self.world.turn()

    @property
    def events(self) -> list[Any]:
        """What came since it was last asked for."""
        data = self.wire.answer[self._read :]
        self._read += len(data)
        self._frames.receive_data(data)
        found, text = [], ""
        for event in self._frames.events():
            if isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    found.append(json.loads(text))
                    text = ""
            elif isinstance(event, CloseConnection):
                self.closed = event
            elif isinstance(event, Ping):
                self.pings += 1
        return found

    @property
    def sent(self) -> Sent:
        """The last request to an account."""
        found: Sent = self.world.client.sent[-1]
        return found

    def answered(self, text: str = "It is sunny.") -> None:
        """The account, of Anthropic, answers."""
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": text}
        out = self.sent.respond(200, STREAM)
        for piece in messages(block, delta, "end_turn"):
            out.data(piece)
        out.done()
        self.world.turn()


def frame(data: bytes, *, opcode: int = 0, last: bool = False) -> bytes:
    """A frame of a client's as it is on the wire: by default, one more of a message."""
    assert len(data) < 126
    return bytes([last << 7 | opcode, 0x80 | len(data)]) + bytes(4) + data


def texts(sent: Sent) -> list[str]:
    return [part["text"] for message in json.loads(sent.body)["messages"] for part in message["content"]]


def native(id_: str, text: str = "yes") -> bytes:
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    response = {"id": id_, "object": "response", "model": "gpt-x", "status": "completed", "output": [item]}
    created = {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}
    done = {"type": "response.completed", "response": response}
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in (created, done))


DELTA = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"It",'
    b'"item_id":"msg_1","output_index":0,"content_index":0}\n\n'
)


@pytest.mark.parametrize(
    "path", ["/v1/responses", "/responses", "/backend-api/codex/responses", "/v1/v1/responses"]
)
def test_opening(path: str) -> None:
    """With the right answer to the key."""
    socket = Socket(path=path)
    assert socket.status == 101
    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in socket.head.lower()


def test_an_answer_and_the_next() -> None:
    """Events of a translated answer; the next message goes on from it with its new items alone."""
    socket = Socket().say(model="claude", input=[{"role": "user", "content": "go"}], store=False)
    assert texts(socket.sent) == ["go"]
    socket.answered()
    events = socket.events
    assert [event["type"] for event in events][:2] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "It is sunny."
    id_ = events[-1]["response"]["id"]
    socket.say(
        model="claude", input=[{"role": "user", "content": "and?"}], previous_response_id=id_, store=False
    )
    assert texts(socket.sent) == ["go", "It is sunny.", "and?"]
    socket.answered("Rain.")
    assert socket.events[-1]["response"]["output"][0]["content"][0]["text"] == "Rain."
    lines = [str(event["exchange"]) for event in socket.world.exchanges]
    assert [("POST /v1/responses claude -> claude-x" in line) for line in lines] == [True, True]


def test_an_account_of_the_same_dialect() -> None:
    """Its events pass, with those that it left out; a conversation that it does not store is sent whole."""
    socket = Socket().say(model="gpt-x", input="go", store=False)
    assert socket.sent.url == "http://o.test/v1/responses"
    body = json.loads(socket.sent.body)
    assert (body["stream"], "type" in body) == (True, False)
    out = socket.sent.respond(200, STREAM)
    for at in range(0, len(native("resp_1")), 11):
        out.data(native("resp_1")[at : at + 11])
    out.done()
    socket.world.turn()
    kinds = ["created", "output_item.added", "output_item.done", "completed"]
    assert [event["type"] for event in socket.events] == [f"response.{kind}" for kind in kinds]
    socket.say(model="gpt-x", input="and?", previous_response_id="resp_1", store=False)
    body = json.loads(socket.sent.body)
    contents = [item["content"] for item in body["input"]]
    assert [one if isinstance(one, str) else one[0]["text"] for one in contents] == ["go", "yes", "and?"]
    assert "previous_response_id" not in body


def test_events_come_as_they_are_made() -> None:
    """And a client that does not read holds the account."""
    socket = Socket().say(model="gpt-x", input="go")
    out = socket.sent.respond(200, STREAM)
    out.data(native("resp_1").partition(b"\n\n")[0] + b"\n\n" + DELTA)
    kinds = ["created", "output_item.added", "content_part.added", "output_text.delta"]
    assert [event["type"] for event in socket.events] == [f"response.{kind}" for kind in kinds]
    socket.wire.transport.producer.pauseProducing()
    assert out.state == "paused"


def test_streams_of_one_connection() -> None:
    """Messages wait for the answer before theirs; events repeat the stream that they belong to."""
    socket = (
        Socket().say(model="gpt-x", input="one", stream_id="a").say(model="gpt-x", input="two", stream_id="b")
    )
    assert len(socket.world.client.sent) == 1
    socket.sent.respond_whole(200, native("resp_1"), STREAM)
    socket.world.turn()
    assert {event["stream_id"] for event in socket.events} == {"a"}
    assert len(socket.world.client.sent) == 2
    socket.sent.respond_whole(200, native("resp_2"), STREAM)
    socket.world.turn()
    assert {event["stream_id"] for event in socket.events} == {"b"}


def test_warming_up() -> None:
    """Codex says beforehand what it will go on from: no model is asked."""
    socket = Socket().say(model="claude", input=[{"role": "user", "content": "go"}], generate=False)
    assert socket.world.client.sent == []
    created, completed = socket.events
    assert (created["type"], completed["type"]) == ("response.created", "response.completed")
    assert completed["response"]["output"] == []
    id_ = completed["response"]["id"]
    socket.say(model="claude", input=[{"role": "user", "content": "now"}], previous_response_id=id_)
    assert texts(socket.sent) == ["go", "now"]


@pytest.mark.parametrize(
    ("event", "status", "words"),
    [
        ({"model": "nothing-like-it", "input": "go"}, 404, "nothing-like-it"),
        ({"model": "claude", "input": "go", "previous_response_id": "resp_9"}, 400, "previous_response_id"),
        ({"type": "response.steer", "input": "go"}, 400, "response.create"),
    ],
)
def test_errors_of_a_request(event: dict[str, Any], status: int, words: str) -> None:
    """Are messages, with their status; the connection stays."""
    socket = Socket().say(**{"stream_id": "a", **event})
    (error,) = socket.events
    assert (error["type"], error["status"], error["stream_id"]) == ("error", status, "a")
    assert words in error["error"]["message"]
    socket.say(model="gpt-x", input="go")
    assert socket.sent.url == "http://o.test/v1/responses"


def test_a_message_that_is_no_json() -> None:
    """Likewise."""
    (error,) = Socket().send("{").events
    assert (error["type"], error["status"]) == ("error", 400)


def test_an_error_of_the_account() -> None:
    """With how long to wait."""
    socket = Socket().say(model="gpt-x", input="go")
    error = {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}}
    headers = {"Content-Type": ["application/json"], "Retry-After": ["7"]}
    socket.sent.respond_whole(429, json.dumps(error).encode(), headers)
    socket.world.turn()
    (event,) = socket.events
    assert (event["status"], event["error"]["code"]) == (429, "rate_limit_exceeded")
    assert event["error"]["headers"]["retry-after"] == "7"


def test_an_answer_that_breaks_off() -> None:
    """Ends in an error, never in silence; the next message is served."""
    socket = Socket().say(model="gpt-x", input="go")
    out = socket.sent.respond(200, STREAM)
    out.data(native("resp_1").partition(b"\n\n")[0] + b"\n\n")
    out.lose()
    socket.world.turn()
    assert socket.events[-1]["type"] in ("error", "response.failed")
    assert socket.closed is None
    socket.say(model="gpt-x", input="go")
    assert len(socket.world.client.sent) == 2


def test_a_client_that_leaves() -> None:
    """What is made for it is ended at once."""
    socket = Socket().say(model="gpt-x", input="go")
    out = socket.sent.respond(200, STREAM)
    socket.wire.leave()
    assert out.state == "stopped"
    assert "client-left" in str(socket.world.exchanges[0]["exchange"])


def test_closing() -> None:
    """The client's close is answered, and the log has one line for the connection."""
    socket = Socket()
    socket.close()
    assert socket.events == []
    assert socket.closed is not None
    assert socket.wire.closed
    socket.wire.leave()
    (event,) = socket.world.exchanges
    assert (event["exchange"].status, event["exchange"].outcome.value) == (101, "completed")


def test_pings() -> None:
    """Are answered; and while a model thinks, the client gets some."""
    socket = Socket()
    socket.wire.send(socket._frames.send(Ping(payload=b"x")))
    socket._frames.receive_data(socket.wire.answer[socket._read :])
    assert [event for event in socket._frames.events() if isinstance(event, Pong)]
    socket._read = len(socket.wire.answer)
    socket.say(model="gpt-x", input="go")
    out = socket.sent.respond(200, STREAM)
    out.data(native("resp_1").partition(b"\n\n")[0] + b"\n\n")
    socket.world.clock.pump([5.0] * 10)
    assert socket.events[0]["type"] == "response.created"
    assert socket.pings


def test_what_is_too_large() -> None:
    """A message has the limit of a body."""
    socket = Socket().send("x" * 70_000)
    assert socket.events == []
    assert socket.closed is not None
    assert socket.closed.code == 1009
    assert socket.wire.closed


def test_what_is_no_frame() -> None:
    """Closes the connection."""
    socket = Socket()
    socket.wire.send(b"\xff\xff\xff\xff")
    assert socket.events == []
    assert socket.closed is not None
    assert socket.closed.code == 1002


def test_too_many_messages() -> None:
    """Cannot be piled up."""
    socket = Socket()
    for _ in range(20):
        socket.say(model="gpt-x", input="go")
    assert len(socket.world.client.sent) == 1
    assert socket.events == []
    assert socket.closed is not None
    assert socket.closed.code == 1008


def test_a_close_ends_what_is_made() -> None:
    """The account is not asked on for a client that has closed."""
    socket = Socket().say(model="gpt-x", input="go")
    out = socket.sent.respond(200, STREAM)
    out.data(native("resp_1").partition(b"\n\n")[0] + b"\n\n" + DELTA)
    socket.close()
    assert out.state == "stopped"
    assert socket.wire.closed
    assert socket.wire.transport.producer is None


def test_what_is_held() -> None:
    """Counts among all bodies, and is given back; without room for it, the conversation is forgotten."""
    socket = Socket()
    held = socket.world.generation.runtime.held
    assert held.total == 0
    socket.say(model="claude", input=[{"role": "user", "content": "x" * 5000}], generate=False)
    assert held.total > 5000
    socket.wire.leave()
    assert held.total == 0
    socket = Socket(CONFIG.replace("max-body: 64KiB", "max-body: 64KiB, max-held: 3KiB"))
    socket.say(model="claude", input=[{"role": "user", "content": "x" * 5000}], generate=False)
    (_, completed) = socket.events
    socket.say(model="claude", input="go", previous_response_id=completed["response"]["id"])
    (error,) = socket.events
    assert error["status"] == 400


def test_what_is_held_of_a_message_that_is_not_whole() -> None:
    """Counts, too, and where there is no room for it the client is sent away."""
    socket = Socket()
    held = socket.world.generation.runtime.held
    socket.part("x" * 5000)
    assert held.total == 5000
    socket.part("x" * 5000)
    assert held.total == 10_000
    socket.wire.leave()
    assert held.total == 0
    socket = Socket(CONFIG.replace("max-body: 64KiB", "max-body: 64KiB, max-held: 3KiB"))
    socket.part("x" * 5000)
    assert socket.events == []
    assert socket.closed is not None
    assert socket.closed.code == 1013
    assert "max-held" in str(socket.closed.reason)
    assert socket.world.generation.runtime.held.total == 0


def test_a_message_in_many_frames() -> None:
    """Takes no more memory than its text, and is read a few frames at a time."""
    socket = Socket()
    transport = socket.wire.transport
    socket.part('{"type": "response.create", "model": "gpt-x", ')
    whole = b"".join(frame(b" ") for _ in range(6000)) + frame(b'"input": "go"}', last=True)
    socket.wire.send(whole)
    assert transport.producerState == "paused"
    frames = socket.wire.channel._taken._frames
    assert 0 < frames.size < 1000
    assert len(frames._pieces) == 1
    # Read before the pause.
    socket.wire.send(frame(b"", opcode=9, last=True))
    assert not socket.world.client.sent
    socket.world.turn()
    assert transport.producerState == "producing"
    assert socket.sent.url == "http://o.test/v1/responses"
    assert frames.size == 0


def test_what_comes_after_the_end() -> None:
    """Is not looked at, and puts nothing off: the client has a while to close, whatever it sends."""
    socket = Socket().send("x" * 70_000)
    for _ in range(3):
        socket.world.clock.advance(2.0)
        socket.wire.send(frame(b"x", opcode=9, last=True))
    assert socket.wire.aborted


def test_a_client_that_does_not_read() -> None:
    """Is not read, so that it cannot ask for what it does not take; and is not waited for without end."""
    socket = Socket(CONFIG.replace("max-body: 64KiB", "max-body: 64KiB, answer-timeout: 8s"))
    socket.say(model="gpt-x", input="go")
    out = socket.sent.respond(200, STREAM)
    out.data(native("resp_1").partition(b"\n\n")[0] + b"\n\n")
    transport = socket.wire.transport
    assert transport.streaming
    transport.producer.pauseProducing()
    assert (out.state, transport.producerState) == ("paused", "paused")
    transport.producer.resumeProducing()
    assert (out.state, transport.producerState) == ("producing", "producing")
    transport.producer.pauseProducing()
    socket.world.clock.pump([1.0] * 6)
    assert not socket.wire.closed
    socket.world.clock.pump([1.0] * 6)
    assert out.state == "stopped"
    assert socket.wire.aborted
    socket.wire.leave()
    assert "limits.answer-timeout" in socket.world.exchanges[-1]["exchange"].why


def test_an_answer_to_a_client_that_reads_slowly() -> None:
    """Begins paused."""
    socket = Socket()
    socket.wire.transport.producer.pauseProducing()
    socket.say(model="gpt-x", input="go")
    assert not socket.world.client.sent
    socket.wire.transport.producer.resumeProducing()
    socket.world.turn()
    out = socket.sent.respond(200, STREAM)
    assert out.state == "producing"


def test_a_large_message() -> None:
    """Is read in a thread; those behind it wait."""
    items = [{"role": "user", "content": f"{number}"} for number in range(4000)]
    socket = Socket(CONFIG.replace("64KiB", "1MiB"))
    workers = socket.world.generation.runtime.workers
    jobs: list[Any] = []

    def run(work: Any, size: int) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        jobs.append((work, done))
        return done

    workers.run = run  # type: ignore[method-assign]
    socket.say(model="claude", input=items, generate=False).say(model="gpt-x", input="go")
    assert socket.events == []
    (work, done) = jobs.pop()
    done.callback(work())
    socket.world.turn()
    assert [event["type"] for event in socket.events] == ["response.created", "response.completed"]
    assert socket.sent.url == "http://o.test/v1/responses"


def test_a_silent_client() -> None:
    """Is let go of; and so is one that waits while the gateway ends."""
    socket = Socket(CONFIG + "timeouts: {tunnel-idle: 12s}\n")
    socket.world.clock.pump([5.0] * 2)
    assert socket.events == []
    assert socket.closed is None
    socket.world.clock.pump([2.0])
    assert socket.events == []
    assert socket.closed is not None
    assert socket.closed.code == 1001
    socket = Socket()
    socket.world.site.lifecycle.ending = True
    socket.world.clock.pump([5.0])
    assert socket.events == []
    assert socket.closed is not None
    assert socket.closed.code == 1012


def test_rights_of_clients() -> None:
    """Count for each message; a key that is revoked ends its connections."""
    named = f'[{{key: "{CLIENT_KEY}", name: ci, models: [gpt-x]}}]'
    socket = Socket(CONFIG.replace(f'["{CLIENT_KEY}"]', named)).say(model="claude", input="go")
    (error,) = socket.events
    assert (error["status"], error["error"]["code"]) == (403, "model_not_allowed")
    socket.say(model="gpt-x", input="go")
    assert socket.world.use(CONFIG.replace(CLIENT_KEY, "another-key-0123456789")) > 0
    socket.world.turn()
    assert socket.sent.cancelled
    assert socket.wire.closed


@pytest.mark.parametrize("entry", ["routes: [amp]", "expires: 2001-01-01"])
def test_who_may_open_one(entry: str) -> None:
    """Only who may ask models."""
    named = f'[{{key: "{CLIENT_KEY}", name: ci, {entry}}}]'
    connection = World(CONFIG.replace(f'["{CLIENT_KEY}"]', named)).request("GET", "/v1/responses", UPGRADE)
    assert connection.status in (401, 403)
    assert World(CONFIG).request("GET", "/v1/responses", UPGRADE, key=None).status == 401


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/responses", {**UPGRADE, "Sec-WebSocket-Version": "8"}, 426),
        ("/v1/responses", {}, 405),
        ("/v1/responses/compact", UPGRADE, 426),
        ("/v1/chat/completions", UPGRADE, 405),
    ],
)
def test_what_is_no_socket_of_responses(path: str, headers: dict[str, str], status: int) -> None:
    """Is refused as before."""
    assert World(CONFIG).request("GET", path, headers).status == status


def test_where_they_are_off() -> None:
    """As by default: 426 at once."""
    off = CONFIG.replace("websockets: true", "websockets: false")
    assert World(off).request("GET", "/v1/responses", UPGRADE).status == 426
