"""Questions and answers between dialects: names, ends, errors, thinking suffixes, nesting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.config.schema import Account
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, TruncatedStream, UpstreamFault
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.shapes import Origin
from ampproxy.relay.translate import TranslateBridge
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.wire.redact import Secret
from tests.facts import facts

HELLO = {"role": "user", "content": "hi"}
TEXT = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ERROR = b'data: {"error":{"message":"Too many.","type":"rate_limit_error","code":"rate_limit_exceeded"}}\n\n'


def bridge(
    client: str = ANTHROPIC,
    spoken: str = CHAT,
    *,
    stream: bool = True,
    query: bytes = b"",
    suffix: str | None = None,
    operation: Operation = Operation.GENERATE,
    body: bytes | None = None,
    **members: Any,
) -> TranslateBridge:
    asked: dict[str, Any] = {"model": "asked", "max_tokens": 9, "messages": [HELLO], **members}
    sent = json.dumps(asked).encode() if body is None else body
    question = ModelRequest(
        endpoint=Endpoint(client, operation, "asked" if client == GEMINI else None),
        body=sent,
        facts=facts(client, sent),
        requested_model="asked",
        stream=stream,
        headers={},
        query=query,
        route=Route(kind=RouteKind.LOCAL, requested_model="asked", suffix=suffix),
    )
    account = Account(label="a", kind="claude-api-key", dialect=spoken, base_url="", api_key=Secret("k"))
    origin = Origin(lambda: 0.0, lambda prefix: prefix + "1")
    offer = RouteTarget(account, "real")
    return TranslateBridge(question, offer, DIALECTS[client], DIALECTS[spoken], origin, strict=False)


def test_model_names() -> None:
    """The account is asked for its own name of the model; the client reads the one that it asked for."""
    made = bridge()
    assert json.loads(made.body)["model"] == "real"
    out = made.filter().feed(TEXT)
    assert b'"model":"asked"' in out
    assert b"real" not in out


def test_suffix_beats_the_body() -> None:
    """The thinking that the model's name asks for wins over the body's."""
    thinking = {"type": "disabled"}
    assert json.loads(bridge(suffix="high", thinking=thinking).body)["reasoning_effort"] == "high"
    assert json.loads(bridge(thinking=thinking).body).get("reasoning_effort") != "high"


def test_tool_names_come_back() -> None:
    """A name that had to change for the account is the client's own again in its calls, streamed or whole."""
    tool = {"type": "function", "function": {"name": "mcp.read", "parameters": {"type": "object"}}}
    made = bridge(CHAT, ANTHROPIC, tools=[tool])
    (sent,) = json.loads(made.body)["tools"]
    assert sent["name"] == "mcp_read"
    block = {"type": "tool_use", "id": "t", "name": "mcp_read", "input": {}}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "real", "content": [block]}
    answer |= {"stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}
    whole = json.loads(made.whole(json.dumps(answer).encode()))
    assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "mcp.read"
    started = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    out = made.filter().feed(started + json.dumps(block).encode() + b"}\n\n")
    assert b'"name":"mcp.read"' in out


def test_error_at_once() -> None:
    """A stream that begins with an error has told the client nothing: another account may answer."""
    with pytest.raises(UpstreamFault) as caught:
        bridge().filter().feed(ERROR)
    assert caught.value.retryable
    assert caught.value.error.kind == "rate_limit"


def test_error_later() -> None:
    """After words it ends the stream, in the client's dialect, and nothing comes after it."""
    made = bridge()
    stream = made.filter()
    stream.feed(TEXT)
    with pytest.raises(UpstreamFault) as caught:
        stream.feed(ERROR)
    out = made.error_event(caught.value.error)
    assert out.startswith(b"event: error\n")
    assert b"Too many." in out
    assert stream.end() == b""


def test_error_in_the_same_read() -> None:
    """Words that came in one read with the error are not lost, and the error follows them."""
    with pytest.raises(UpstreamFault) as caught:
        bridge().filter().feed(TEXT + ERROR)
    assert b'"text":"hi"' in caught.value.sent_before
    assert b"event: error" not in caught.value.sent_before


def test_cut() -> None:
    """A stream without its end is not taken for whole."""
    stream = bridge().filter()
    stream.feed(TEXT)
    assert not stream.complete
    with pytest.raises(TruncatedStream):
        stream.end()


def test_whole_stream() -> None:
    """With its end it is."""
    stream = bridge().filter()
    out = stream.feed(TEXT + END) + stream.end()
    assert stream.complete
    assert out.endswith(b'data: {"type":"message_stop"}\n\n')


@pytest.mark.parametrize(
    ("client", "signs"),
    [(ANTHROPIC, b"event: ping\n"), (CHAT, b":"), (COMPLETIONS, b":"), (RESPONSES, b":"), (GEMINI, b"")],
)
def test_signs_of_life(client: str, signs: bytes) -> None:
    """Each client's own kind, between two events, and none for Gemini's."""
    asked = {
        GEMINI: b'{"contents":[{"parts":[{"text":"hi"}]}]}',
        RESPONSES: b'{"model":"asked","input":"hi"}',
        COMPLETIONS: b'{"model":"asked","prompt":"hi"}',
    }
    stream = bridge(client, ANTHROPIC if client == CHAT else CHAT, body=asked.get(client)).filter()
    sign = stream.keepalive()
    assert sign.startswith(signs)
    assert bool(sign) == bool(signs)
    assert sign.endswith(b"\n\n") or not sign


@pytest.mark.parametrize(
    ("client", "stream", "query", "kind"),
    [
        (ANTHROPIC, True, b"", b"text/event-stream"),
        (ANTHROPIC, False, b"", b"application/json"),
        (GEMINI, True, b"alt=sse", b"text/event-stream"),
        (GEMINI, True, b"", b"application/json"),
    ],
)
def test_content_type(client: str, stream: bool, query: bytes, kind: bytes) -> None:
    """Events where the client asked for events; Gemini's without alt=sse get a list that grows."""
    body = b'{"contents":[{"parts":[{"text":"hi"}]}]}' if client == GEMINI else None
    made = bridge(client, stream=stream, query=query, body=body)
    assert made.content_type == kind
    if client == GEMINI and not query:
        filtered = made.filter()
        assert isinstance(json.loads(filtered.feed(TEXT + END) + filtered.end()), list)


def test_stored_state_is_refused() -> None:
    """What only OpenAI stores cannot be answered by another vendor: said by name, not answered wrongly."""
    body = b'{"model":"asked","input":"go on","previous_response_id":"resp_1"}'
    with pytest.raises(ClientFault) as caught:
        bridge(RESPONSES, ANTHROPIC, body=body)
    assert caught.value.error.param == "previous_response_id"


@pytest.mark.parametrize("depth", [300, 700, 900, 950, 990, 5000, 100_000])
def test_nesting(depth: int) -> None:
    """However deep a request is nested, on the verge too, it is translated or refused with 400."""
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    tool = b'{"name":"t","input_schema":{"type":"object","properties":{"p":{"const":%b}}}}' % deep
    call = b'{"type":"tool_use","id":"t","name":"t","input":%b}' % deep
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[%b]}],"tools":[%b]}' % (
        call,
        tool,
    )
    for spoken in (CHAT, RESPONSES, GEMINI, ANTHROPIC):
        try:
            made = bridge(ANTHROPIC, spoken, body=body)
        except ClientFault as fault:
            refused = fault.error
            assert refused.status == 400
            assert "nested too deeply" in refused.message
        else:
            # How deep Python goes depends on its version; nowhere so deep.
            assert depth < 100_000
            assert made.body


def test_not_utf8() -> None:
    """A request that is not UTF-8 is refused, wherever the bad byte stands, and reaches no vendor."""
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"other":"\xff"}'
    with pytest.raises(ClientFault) as caught:
        bridge(body=body)
    assert "utf-8" in caught.value.error.message


def test_counting() -> None:
    """A question how many tokens there are goes and comes in the two dialects."""
    made = bridge(ANTHROPIC, GEMINI, stream=False, operation=Operation.COUNT_TOKENS)
    assert b"contents" in made.body
    assert json.loads(made.whole(b'{"totalTokens":7}')) == {"input_tokens": 7}


def test_compaction_where_the_vendor_has_no_call() -> None:
    """A login's backend has none: its model is asked for a summary, in its own dialect."""
    body = json.dumps({"model": "asked", "input": "build it"}).encode()
    made = bridge(RESPONSES, RESPONSES, stream=False, operation=Operation.COMPACT, body=body)
    asked, wish = json.loads(made.body)["input"]
    assert asked["content"][0]["text"] == "build it"
    assert "summary" in wish["content"][0]["text"]
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sum."}]}
    answer = {"id": "resp_1", "object": "response", "status": "completed", "output": [message]}
    told = json.loads(made.whole(json.dumps(answer).encode()))
    assert [item["type"] for item in told["output"]] == ["message", "compaction"]
