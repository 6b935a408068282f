"""What a translation could not say: how it is counted, shown and refused."""

from __future__ import annotations

import json
import re
import unittest
from pathlib import Path

import pytest

from ampproxy.config.schema import Account
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.loss import Loss
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.losses import HINTS, MAX_HEADER, counted, header_value, listed, refusing, summary
from ampproxy.relay.shapes import Origin
from ampproxy.relay.translate import TranslateBridge
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.wire.redact import Secret
from tests.facts import facts
from tests.resources.harness import CONFIG, Connection, World

AMP = Path(__file__).parent.parent / "vectors" / "amp"
MODELS = {
    ANTHROPIC: "claude-opus-4-6",
    CHAT: "gpt-5.1",
    RESPONSES: "gpt-5.1",
    GEMINI: "gemini-3-pro-preview",
}

#: A request such as Amp's clients send, and the dialect of an account -> what strict translation
#: refuses it for. All else of every request is carried, or is a hint.
TRUE_LOSSES: dict[str, dict[str, set[str]]] = {
    # Thinking in the history has a proof that only its vendor reads.
    "anthropic": {CHAT: {"foreign_proof"}, RESPONSES: {"foreign_proof"}, GEMINI: {"foreign_proof"}},
    "anthropic-adaptive": {CHAT: set(), RESPONSES: set(), GEMINI: set()},
    # These models of OpenAI refuse every temperature; Gemini calls as many tools at once as it likes.
    "anthropic-title": {CHAT: {"temperature"}, RESPONSES: {"temperature"}, GEMINI: {"parallel"}},
    "openai-chat": {ANTHROPIC: set(), RESPONSES: set(), GEMINI: set()},
    # Thinking without any proof is taken back by nobody else, and Claude must then not think at all.
    "openai-chat-fireworks": {
        ANTHROPIC: {"unsigned_thinking", "thinking"},
        RESPONSES: {"reasoning"},
        GEMINI: set(),
    },
    "openai-responses": {
        ANTHROPIC: {"foreign_proof", "thinking"},
        CHAT: {"foreign_proof"},
        GEMINI: {"foreign_proof"},
    },
    "gemini": {
        ANTHROPIC: {"unsigned_thinking", "foreign_proof", "seed"},
        CHAT: {"reasoning", "foreign_proof"},
        RESPONSES: {"reasoning", "foreign_proof", "seed"},
    },
    # The least level of thinking that these models have is a higher one: it is the nearest.
    "gemini-read-thread": {ANTHROPIC: set(), CHAT: set(), RESPONSES: set()},
    "openai-completions": {
        ANTHROPIC: {"stop"},
        CHAT: {"temperature", "stop"},
        RESPONSES: {"temperature", "stop"},
        GEMINI: set(),
    },
}


def dialect_of(name: str) -> str:
    """The dialect of a vector by the beginning of its name."""
    return max((dialect for dialect in DIALECTS if name.startswith(dialect)), key=len)


def bridge(name: str, spoken: str, *, strict: bool) -> TranslateBridge:
    """As the service makes it for an account that speaks ``spoken``."""
    client = dialect_of(name)
    endpoint = Endpoint(client, Operation.GENERATE, "gemini-3-pro" if client == GEMINI else None, None, True)
    account = Account(
        label="a", kind="claude-api-key", dialect=spoken, base_url="http://127.0.0.1", api_key=Secret("k")
    )
    body = (AMP / f"{name}.json").read_bytes()
    question = ModelRequest(
        endpoint=endpoint,
        body=body,
        facts=facts(client, body),
        requested_model="asked",
        stream=True,
        headers={},
        query=b"",
        route=Route(kind=RouteKind.LOCAL, requested_model="asked"),
    )
    origin = Origin(lambda: 0.0, lambda prefix: prefix)
    offer = RouteTarget(account, MODELS[spoken])
    return TranslateBridge(question, offer, DIALECTS[client], DIALECTS[spoken], origin, strict=strict)


PAIRS = [(name, spoken) for name, targets in TRUE_LOSSES.items() for spoken in targets]


@pytest.mark.parametrize(("name", "spoken"), PAIRS)
def test_strict(name: str, spoken: str) -> None:
    """Requests such as Amp sends are refused in strict mode for what is truly lost, and for nothing else."""
    true = TRUE_LOSSES[name][spoken]
    losses = bridge(name, spoken, strict=False).losses
    assert {loss.kind for loss in refusing(losses)} == true, listed(losses)
    assert {loss.kind for loss in losses} - true <= HINTS
    if not true:
        assert bridge(name, spoken, strict=True).body
        return
    with pytest.raises(ClientFault) as refused:
        bridge(name, spoken, strict=True)
    assert refused.value.error.status == 400
    assert refused.value.error.code == "translation_loss"
    assert set(re.findall(r"\((\w+)\)(?:;|$)", str(refused.value))) == true


def test_every_vector_goes_to_every_other_dialect() -> None:
    """The table above leaves no request and no account's dialect out."""
    assert {path.stem for path in AMP.glob("*.json")} == set(TRUE_LOSSES)
    for name, targets in TRUE_LOSSES.items():
        assert set(targets) == set(MODELS) - {dialect_of(name)}


LOSSES = (
    Loss("cache_control", "system[0]", "No marks."),
    Loss("top_k", "sampling.top_k", "No such member."),
    Loss("cache_control", "turns[3].parts[1]", "No marks."),
)


def test_counts() -> None:
    """Kinds with their counts, for a log."""
    assert counted(LOSSES) == {"cache_control": 2, "top_k": 1}
    assert summary(LOSSES) == "cache_control:2,top_k:1"
    assert summary(()) == ""


def test_columns() -> None:
    """One line for each loss, in columns; what a client wrote cannot add a line."""
    first, second, _ = listed(LOSSES)
    assert first == "cache_control  system[0]          No marks."
    assert second == "top_k          sampling.top_k     No such member."
    (line,) = listed([Loss("extras", "extras.a\nb\x1b[31m", "w")])
    assert line == "extras  extras.a\\x0ab\\x1b[31m  w"


def test_header() -> None:
    """``kind;path, ...``; words of a client can neither break it nor make it endless."""
    assert header_value(LOSSES) == (
        b"cache_control;system[0], top_k;sampling.top_k, cache_control;turns[3].parts[1]"
    )
    assert header_value(()) == b"none"
    assert header_value([Loss("extras", "extras.a\r\nSet-Cookie: b, c;\u00e9", "")]) == (
        b"extras;extras.a__Set-Cookie:_b__c___"
    )
    many = header_value([Loss("cache_control", f"turns[{n}].parts[0]", "") for n in range(1000)])
    assert MAX_HEADER - 100 < len(many) <= MAX_HEADER
    assert many.endswith(b"parts[0], ...")
    assert len(header_value([Loss("extras", "x" * 10_000, "")])) <= MAX_HEADER


# -------------------------------------------------------------------------------------- end to end

ACCOUNT = """
openai-compatibility:
  - name: local
    base-url: http://chat.test/v1
    api-key-entries: [{api-key: chat-account-key}]
    models: [{name: chat-real, alias: chat-local}]
"""
SSE = {"Content-Type": ["text/event-stream"]}
START = b'data: {"id":"c","model":"chat-real","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
#: Annotations that another dialect cannot say.
NOTES = b'data: {"id":"c","choices":[{"index":0,"delta":{"annotations":[{"type":"x"}]}}]}\n\n'
END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = json.dumps(
    {
        "id": "c",
        "model": "chat-real",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "annotations": [{"type": "x"}]},
                "finish_reason": "stop",
            }
        ],
    }
).encode()


class EndToEnd(unittest.TestCase):
    """A request through the gateway that an account cannot be told whole."""

    def ask(
        self, setting: str = "", headers: dict[str, str] | None = None, **members: object
    ) -> tuple[World, Connection]:
        world = World(CONFIG + ACCOUNT + setting)
        body = {
            "model": "chat-local",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "hi"}],
            **members,
        }
        connection = world.request("POST", "/v1/messages", headers, json.dumps(body).encode())
        return world, connection

    def answered(self, world: World) -> None:
        (sent,) = world.client.sent
        if b'"stream":true' in sent.body:
            stream = sent.respond(200, SSE)
            stream.data(START + NOTES + END)
            world.turn()
            stream.done()
        else:
            sent.respond_whole(200, WHOLE)
        world.turn()

    def header(self, connection: Connection) -> list[bytes]:
        head = connection.answer.partition(b"\r\n\r\n")[0]
        return [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-ampproxy-losses")]

    def test_header_on_request(self) -> None:
        """The response tells of the request's losses if the request asks for it, and only then."""
        for stream in (True, False):
            for wish, expected in (
                ("1", [b"X-Ampproxy-Losses: top_k;sampling.top_k"]),
                ("0", []),
                ("", []),
            ):
                with self.subTest(stream=stream, wish=wish):
                    world, connection = self.ask(headers={"x-ampproxy-losses": wish}, top_k=3, stream=stream)
                    self.answered(world)
                    self.assertEqual(self.header(connection), expected)
                    self.assertEqual(world.client.sent[0].header("X-Ampproxy-Losses"), [])

    def test_header_when_nothing_is_lost(self) -> None:
        """It says so."""
        world, connection = self.ask(headers={"X-Ampproxy-Losses": "1"})
        self.answered(world)
        self.assertEqual(self.header(connection), [b"X-Ampproxy-Losses: none"])

    def test_log(self) -> None:
        """The exchange's event counts the losses of question and answer; its text shows them at debug."""
        for stream in (True, False):
            for debug in (True, False):
                with self.subTest(stream=stream, debug=debug):
                    world, _ = self.ask(f"debug: {str(debug).lower()}\n", top_k=3, stream=stream)
                    self.answered(world)
                    (event,) = world.exchanges
                    self.assertEqual(event["losses"], {"top_k": 1, "extras": 1})
                    self.assertEqual(str(event["exchange"]).endswith(" losses=top_k:1,extras:1"), debug)
                    lines = [found["lines"] for found in world.events if "lines" in found]
                    self.assertEqual(len(lines), int(debug))
                    self.assertEqual("sampling.top_k" in "".join(lines), debug)

    def test_nothing_lost_nothing_said(self) -> None:
        """A request that is carried whole leaves no trace in the log's text, even at debug."""
        world, _ = self.ask("debug: true\n")
        world.client.sent[0].respond_whole(200, WHOLE.replace(b'"annotations"', b'"other"'))
        world.turn()
        (event,) = world.exchanges
        self.assertEqual(event["losses"], {})
        self.assertNotIn("losses=", str(event["exchange"]))

    def test_strict(self) -> None:
        """A loss refuses the request, in the client's dialect, before anybody is asked; a hint does not."""
        messages = [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]
        world, connection = self.ask("translation: strict\n", messages=messages)
        self.assertEqual(connection.status, 400)
        error = json.loads(connection.body)
        self.assertEqual((error["type"], error["error"]["type"]), ("error", "invalid_request_error"))
        self.assertIn("turns[0].parts[0]", error["error"]["message"])
        self.assertEqual(world.client.sent, [])
        marked = [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
        world, connection = self.ask("translation: strict\n", system=marked)
        self.answered(world)
        self.assertEqual(connection.status, 200)
