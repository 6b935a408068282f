"""A client of any dialect at an account whose vendor wraps its own."""

from __future__ import annotations

import json

import pytest

from ampproxy.config.schema import Account, Limits
from ampproxy.dialects.facts import Continued
from ampproxy.errors import ClientFault
from ampproxy.model.base import GEMINI, RESPONSES
from ampproxy.providers import PROVIDERS
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.envelope import enveloped
from ampproxy.relay.remembered import Remembered
from ampproxy.relay.shapes import Origin
from ampproxy.relay.stored import StoredAnswers
from ampproxy.routing.endpoints import parse_endpoint
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.wire.redact import Secret
from tests.facts import facts


class Token:
    def current(self):
        return Secret("token")


def bridge(kind, path, body, *, stream=False, strict=False, stored=None):
    dialect = GEMINI if kind == "gemini-login" else RESPONSES
    account = Account(
        label="l",
        kind=kind,
        dialect=dialect,
        base_url="https://h",
        api_key=Secret(""),
        token=Token(),
        tenant="p",
    )
    provider = PROVIDERS[kind](account)
    offer = RouteTarget(account, "m-1")
    endpoint = parse_endpoint(b"POST", path)
    question = ModelRequest(
        endpoint=endpoint,
        body=json.dumps(body).encode(),
        facts=facts(endpoint.dialect, json.dumps(body).encode()).continuing(
            None if stored is None else Continued("", (b'{"role":"user","content":"hi"}',))
        ),
        requested_model="m-1",
        stream=stream,
        headers={},
        query=b"",
        route=Route(kind=RouteKind.LOCAL, requested_model="m-1", resolved_model="m-1", offers=(offer,)),
    )
    maker = BridgeMaker(
        {"l": provider},
        Origin(lambda: 0.0, lambda prefix: prefix + "1"),
        strict=strict,
        remembered=Remembered(),
        stored=stored,
    )
    plain = maker(question, offer)
    # Whoever makes bridges may wrap them already.
    if "EnvelopedBridge" in type(plain).__name__:
        return plain
    return enveloped(plain, provider, question, offer, strict=strict)


MESSAGES = {"model": "m-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ANSWER = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
    "modelVersion": "m-1",
    "responseId": "r-1",
}


def test_anthropic_client_at_code_assist():
    """A translated request is put into the envelope, and the answer out of it is the client's dialect."""
    made = bridge("gemini-login", b"/v1/messages", MESSAGES)
    sent = json.loads(made.body)
    assert (sent["project"], sent["model"]) == ("p", "m-1")
    assert sent["request"]["contents"][0]["parts"] == [{"text": "hi"}]
    got = json.loads(made.whole(json.dumps({"response": ANSWER}).encode()))
    assert got["content"][0]["text"] == "hello"
    assert made.usage.output == 1


def test_anthropic_client_streams_from_code_assist():
    """A stream in envelopes becomes the client's stream, with its end."""
    made = bridge("gemini-login", b"/v1/messages", {**MESSAGES, "stream": True}, stream=True)
    chain = made.filter()
    event = b"data: " + json.dumps({"response": ANSWER}).encode() + b"\r\n\r\n"
    out = b"".join(chain.feed(event[at : at + 5]) for at in range(0, len(event), 5)) + chain.end()
    assert b"hello" in out
    assert b"message_stop" in out
    assert chain.complete


def test_whole_answer_from_codex():
    """A client that wants a whole answer gets one from a backend that only streams."""
    made = bridge("codex-login", b"/v1/messages", MESSAGES)
    assert json.loads(made.body)["stream"] is True
    item = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "hello", "annotations": []}],
    }
    response = {"id": "resp_1", "object": "response", "status": "completed", "model": "m-1", "output": []}
    usage = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    found = (
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "usage": usage}},
    )
    stream = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in found)
    got = json.loads(made.whole(stream))
    assert got["content"][0]["text"] == "hello"
    assert made.content_type == b"application/json"


def test_what_the_backend_cannot_be_told():
    """What a login's backend does not take is a loss, which strict translation refuses."""
    body = {"model": "m-1", "input": "hi", "temperature": 0.5}
    assert [loss.kind for loss in bridge("codex-login", b"/v1/responses", body).losses] == ["temperature"]
    with pytest.raises(ClientFault, match="temperature"):
        bridge("codex-login", b"/v1/responses", body, strict=True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_login_that_stores_nothing(stream):
    """What its client may go on from is kept here."""
    stored = StoredAnswers()
    stored.configure(Limits(max_stored=1_000_000, store_for=60.0))
    body = {"model": "m-1", "input": "hi"}
    made = bridge("codex-login", b"/v1/responses", body, stream=stream, stored=stored)
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    response = {"id": "resp_1", "object": "response", "status": "completed", "model": "m-1", "output": []}
    events = (
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    )
    data = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    if stream:
        chain = made.filter()
        for at in range(0, len(data), 7):
            chain.feed(data[at : at + 7])
        chain.end()
    else:
        made.whole(data)
    found = stored.find("", "resp_1")
    assert found is not None
    assert json.loads(found.body)["output"] == [item]
    assert found.items == (b'{"role":"user","content":"hi"}',)
