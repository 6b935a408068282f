"""A dialect that nobody has heard of takes a folder (``tests/interop/telegram``) and a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ampproxy.config.schema import Account, Secret
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.facts import facts_of
from ampproxy.dialects.registry import DIALECTS, ROWS, Registry, Row
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartStarted,
    Started,
    Usage,
    UsageReport,
)
from ampproxy.model.fold import fold
from ampproxy.model.parts import Text
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.shapes import Origin
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.route import Route, RouteKind, RouteTarget


class Speaks:
    """A provider whose accounts speak one dialect."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def backend_dialect(self, endpoint: Endpoint) -> str:
        return self._dialect

    def packed(self, *_: object, **__: object) -> None:
        """This vendor puts nothing around its dialect."""


Making = Callable[..., Bridge]


#: The new dialect's folder and row, beside those that there are.
ALL = Registry((*ROWS, Row("telegram", "tests.interop.telegram")))


@pytest.fixture
def bridge() -> Making:
    """Makes a bridge between two dialects, of which one or both may be the new one."""

    def make(client: str, backend: str, body: bytes, *, stream: bool = False) -> Bridge:
        origin = Origin(lambda: 0.0, lambda prefix: prefix + "1")
        account = Account(
            label="vendor[0]",
            kind="claude-api-key",
            dialect=backend,
            base_url="http://127.0.0.1",
            api_key=Secret("k"),
        )
        providers: Any = {"vendor[0]": Speaks(backend)}
        maker = BridgeMaker(providers, origin, strict=False, dialects=ALL)
        question = ModelRequest(
            endpoint=Endpoint(client, Operation.GENERATE),
            body=body,
            requested_model="asked",
            stream=stream,
            headers={},
            query=b"",
            route=Route(kind=RouteKind.LOCAL, requested_model="asked", resolved_model="asked"),
            facts=facts_of(ALL[client], body),
        )
        return maker(question, RouteTarget(account, "claude-sonnet-4-5"))

    return make


#: A question of each existing dialect.
ASKED = {
    "anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
    "openai-chat": {"messages": [{"role": "user", "content": "hello"}]},
    "openai-responses": {"input": "hello"},
    "gemini": {"model": "asked", "contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


@pytest.mark.parametrize("client", list(ASKED))
def test_to_the_new_one(bridge: Making, client: str) -> None:
    """Every client is served by a vendor that speaks the new dialect, whole and streamed."""
    body = json.dumps({"model": "asked", **ASKED[client]}).encode()
    whole = bridge(client, "telegram", body)
    assert json.loads(whole.body) == {"model": "claude-sonnet-4-5", "lines": [["user", "hello"]]}
    answer = DIALECTS[client].parse_response(whole.whole(b"good day\nSTOP 3 2\n"))
    assert answer.candidates[0].parts == (Text("good day"),)
    stream = bridge(client, "telegram", body, stream=True).filter()
    out = stream.feed(b"good ") + stream.feed(b"day\nSTOP 3") + stream.feed(b" 2\n") + stream.end()
    parser = DIALECTS[client].stream_parser()
    told = fold(parser.feed(out) + parser.end())
    assert told.candidates[0].parts == (Text("good day"),)
    assert stream.complete


@pytest.mark.parametrize("backend", list(ASKED))
def test_from_the_new_one(bridge: Making, backend: str) -> None:
    """A client of the new dialect is served by every vendor."""
    body = json.dumps({"model": "asked", "lines": [["user", "hello"]]}).encode()
    sent = bridge("telegram", backend, body, stream=True).body
    asked = DIALECTS[backend].parse_request(sent, model="m", stream=True)
    assert [(turn.role, turn.parts) for turn in asked.turns] == [("user", (Text("hello"),))]
    events: list[Event] = [Started(id="x1", model="m"), PartStarted(0, Text("")), Delta(0, "good day")]
    events += [PartClosed(0), UsageReport(Usage(input=3, output=2)), Finished("stop"), Completed()]
    context = AnswerContext("m", 0, lambda prefix: prefix + "1", asked)
    said = DIALECTS[backend].render_response(fold(events), context)
    assert bridge("telegram", backend, body).whole(said) == b"GOOD DAY\nSTOP 3 2\n"
    stream = bridge("telegram", backend, body, stream=True).filter()
    renderer = DIALECTS[backend].stream_renderer(context)
    assert stream.feed(renderer.feed(events)) + stream.end() == b"GOOD DAY\nSTOP 3 2\n"


def test_a_broken_telegram_is_an_error(bridge: Making) -> None:
    """What ends without STOP did not end."""
    body = json.dumps({"model": "asked", **ASKED["anthropic"]}).encode()
    stream = bridge("anthropic", "telegram", body, stream=True).filter()
    stream.feed(b"good day\n")
    with pytest.raises(TruncatedStream):
        stream.end()


TELEGRAM = json.dumps({"model": "asked", "lines": [["user", "hello"]]}).encode()


def test_passes_through(bridge: Making) -> None:
    """A client of the new dialect is served by a vendor of it, byte for byte, whole and streamed; the model's
    name changes where it must, and what the stream told of its cost is known.
    """
    whole = bridge("telegram", "telegram", TELEGRAM)
    assert json.loads(whole.body) == {"model": "claude-sonnet-4-5", "lines": [["user", "hello"]]}
    assert whole.whole(b"good day\nSTOP 3 2\n") == b"good day\nSTOP 3 2\n"
    made = bridge("telegram", "telegram", TELEGRAM, stream=True)
    stream = made.filter()
    pieces = [b"good ", b"day\nSTOP 3", b" 2\n"]
    assert [stream.feed(piece) for piece in pieces] == pieces
    assert stream.end() == b""
    assert stream.complete
    assert made.usage == Usage(input=3, output=2)


def test_passes_no_half_of_an_answer(bridge: Making) -> None:
    """An answer that breaks off is one in the new dialect, too; so is an error in the stream."""
    stream = bridge("telegram", "telegram", TELEGRAM, stream=True).filter()
    stream.feed(b"good day\n")
    with pytest.raises(TruncatedStream):
        stream.end()
    stream = bridge("telegram", "telegram", TELEGRAM, stream=True).filter()
    with pytest.raises(UpstreamFault, match="the wires are down"):
        stream.feed(b"ERROR the wires are down\n")


def test_others_pass_beside_it(bridge: Making) -> None:
    """The dialects that were there pass through as before."""
    body = json.dumps({"model": "asked", **ASKED["anthropic"]}).encode()
    assert json.loads(bridge("anthropic", "anthropic", body).body)["model"] == "claude-sonnet-4-5"
