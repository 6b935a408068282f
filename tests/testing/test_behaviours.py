"""A stand-in misbehaves exactly as asked, and records what its client did."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from urllib.parse import quote, urlencode

import pytest

from ampproxy.testing.script import Script
from tests.reactor import in_reactor

BODY = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 99,
    "messages": [{"role": "user", "content": "one two three"}],
}


def named(wishes: str = "", **more: object) -> dict[str, object]:
    return {**BODY, "model": BODY["model"] + wishes, "stream": True, **more}


def raw(client, body) -> bytes:
    """Everything until the connection ends; a reset counts as an end."""
    data = json.dumps(body).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers.items())
    head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\nconnection: close\r\n"
    with socket.create_connection(("127.0.0.1", client.stand_in.port), timeout=60) as sock:
        sock.sendall(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode() + data)
        received = b""
        try:
            while piece := sock.recv(65536):
                received += piece
        except ConnectionResetError:
            received += b"RESET"
        return received


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "authentication_error"), (500, "api_error"), (529, "overloaded_error")]
)
def test_status(claude, status, kind):
    """An error status comes in the vendor's own body."""
    answered = claude("POST", "/v1/messages", named(f"+status={status}"))
    assert (answered.status, answered.json["error"]["type"]) == (status, kind)


def test_scripts_come_in_order_and_per_key(claude):
    """Scripts are used once each; those of a key before those of all; then the default again."""
    claude.stand_in.script(Script(text="for all"), Script(status=429, retry_after=3))
    claude.stand_in.script(Script(text="for the key"), key="vendor-key")
    texts = [claude("POST", "/v1/messages", BODY) for _ in range(4)]
    assert [one.status for one in texts] == [200, 200, 429, 200]
    assert [one.json["content"][0]["text"] for one in texts[:2]] == ["for the key", "for all"]
    assert texts[2].headers["retry-after"] == "3"
    assert "answers: one two three" in texts[3].json["content"][0]["text"]


def test_cut(claude):
    """The connection is reset after the events that were asked for, in mid-body."""
    received = raw(claude, named("+cut=4"))
    assert received.count(b"event: ") == 4
    assert b"RESET" in received or not received.endswith(b"0\r\n\r\n")
    assert b"message_stop" not in received
    recorded = claude.stand_in.requests[-1]
    assert (recorded.cut, recorded.closed_by_client, recorded.finished) == (True, False, False)


def test_tidy_end(claude):
    """The body ends as if all were well, without the terminal event."""
    answered = claude("POST", "/v1/messages", named("+end=99"))
    assert answered.body.count(b"event: ") > 5
    assert b"message_stop" not in answered.body
    assert claude("POST", "/v1/messages", named("+end=0", stream=False)).body.count(b"}") < 3


def test_error_event(claude):
    """The dialect's error event comes in mid-stream and is the last."""
    answered = claude("POST", "/v1/messages", named("+error=3"))
    assert answered.events[-1]["error"]["type"] == "overloaded_error"
    assert len(answered.events) == 4


def test_events_and_size(claude):
    """The number of deltas and the size of the answer are as asked."""
    answered = claude("POST", "/v1/messages", named("+events=50"))
    assert answered.body.count(b"text_delta") == 50
    whole = claude("POST", "/v1/messages", named("+size=300000", stream=False)).json
    assert len(whole["content"][0]["text"]) == 300_000


def test_split_changes_nothing_but_the_chunks(claude):
    """Events that come in pieces of three bytes are the same events."""
    plain, split = (
        claude("POST", "/v1/messages", named(wish)) for wish in ("+events=3", "+events=3+split=3")
    )
    assert [one["type"] for one in plain.events] == [one["type"] for one in split.events]


def test_interval(claude):
    """A slow stream takes the time that was asked for."""
    started = time.monotonic()
    claude("POST", "/v1/messages", named("+events=3+interval=0.02"))
    assert time.monotonic() - started > 0.1


@pytest.mark.parametrize(("wish", "some"), [("+hang=headers", False), ("+hang=stream", True)])
def test_hang_and_a_client_that_leaves(claude, wish, some):
    """A hanging answer stays open until the client leaves, and that is recorded."""
    connection = http.client.HTTPConnection("127.0.0.1", claude.stand_in.port, timeout=0.3)
    connection.request(
        "POST",
        "/v1/messages",
        json.dumps(named(wish)),
        {**claude.headers, "content-type": "application/json"},
    )
    if some:
        assert connection.getresponse().read(10) == b"event: mes"
    else:
        with pytest.raises(TimeoutError):
            connection.getresponse()
    recorded = claude.stand_in.requests[-1]
    assert (recorded.closed_by_client, recorded.finished) == (False, False)
    connection.close()
    if some:
        connection.sock = None
    in_reactor(claude.stand_in.until, lambda: recorded.closed_by_client)
    assert recorded.closed_at >= recorded.received_at


def test_stalled_reader_stops_the_sender(claude):
    """A client that does not read holds a big answer back: the whole is not buffered here."""
    body = json.dumps(named("+size=60000000")).encode()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", claude.stand_in.port))
        head = "".join(f"{name}: {value}\r\n" for name, value in claude.headers.items())
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        sock.sendall(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode() + body)
        recorded = in_reactor(claude.stand_in.until, lambda: claude.stand_in.requests)[0]
        time.sleep(0.5)
        assert 0 < recorded.sent < 30_000_000
        assert not recorded.finished
    in_reactor(claude.stand_in.until, lambda: recorded.closed_by_client)


def test_record(claude):
    """A request is recorded whole, with the key it came with and the answer's status."""
    claude("POST", "/v1/messages?beta=true", BODY, {**claude.headers, "X-Amp-Thread-Id": "T-1"})
    recorded = claude.stand_in.requests[-1]
    assert (recorded.method, recorded.path, recorded.query) == ("POST", "/v1/messages", {"beta": "true"})
    assert recorded.headers["x-amp-thread-id"] == "T-1"
    assert (recorded.json, recorded.key, recorded.status) == (BODY, "vendor-key", 200)
    assert recorded.model == "claude-sonnet-4-6"


def test_amp_control_plane(upstream):
    """The control plane wants the Amp key twice and answers in its own envelope."""
    answered = upstream("POST", "/api/internal?getUserInfo", {"method": "getUserInfo", "params": {}})
    assert answered.json["ok"] is True
    assert answered.json["result"]["features"] == []
    assert upstream("POST", "/api/internal?loadPlugins", {}).json["result"] == []
    assert upstream("POST", "/api/internal?getThread", {}).json["error"]["code"] == "thread-not-found"
    for path in ("/api/user", "/api/meta", "/api/threads/T-1", "/news.rss", "/threads.rss", "/settings"):
        assert upstream("GET", path).status == 200, path
    assert upstream("POST", "/api/telemetry", {}).status == 200
    for headers in (
        {},
        {"authorization": "Bearer vendor-key"},
        {**upstream.headers, "x-api-key": "client-key"},
    ):
        assert upstream("GET", "/api/user", None, headers).status == 401
    assert (
        upstream.stand_in.leaks == ["GET /api/user: a foreign secret in x-api-key"] or upstream.stand_in.leaks
    )


def test_amp_pages_and_login(upstream):
    """Pages need no key; the login leads to the sign-in, and from there back to the CLI's port with a key."""
    assert upstream("GET", "/threads/T-1", None, {}).status == 200
    assert upstream("GET", "/docs", None, {"authorization": "Bearer no"}).status == 401
    own = upstream.stand_in.url
    begin = "/auth/cli-login?authToken=abc&callbackPort=35789"
    answered = upstream("GET", begin, None, {})
    assert answered.status == 302
    assert answered.headers["location"] == f"{own}/auth/sign-in?returnTo={quote(begin, safe='')}"
    proof = _cookie(upstream("GET", "/auth/sign-in", None, {}))
    sent = {"origin": own, "referer": f"{own}/auth/sign-in", "cookie": proof}
    form = {"csrf": proof.partition("=")[2], "email": "anna@example.org", "returnTo": begin}
    for wrong in ({"origin": "http://127.0.0.1:1"}, {"referer": "http://x/"}, {"cookie": "a=b"}):
        assert upstream("POST", "/auth/sign-in", urlencode(form).encode(), {**sent, **wrong}).status == 403
    answered = upstream("POST", "/auth/sign-in", urlencode(form).encode(), sent)
    assert (answered.status, answered.headers["location"]) == (303, own + begin)
    session = _cookie(answered)
    assert "anna@example.org" in upstream("GET", begin, None, {"cookie": session}).body.decode()
    form = {"csrf": form["csrf"], "authToken": "abc", "callbackPort": "35789"}
    sent["cookie"] += f"; {session}"
    answered = upstream("POST", "/auth/cli-login", urlencode(form).encode(), sent)
    assert answered.headers["location"].startswith("http://127.0.0.1:35789/auth/callback?accessToken=sgamp_")
    assert answered.headers["location"].endswith("&authToken=abc")
    assert upstream("GET", "/api/internal/redirect").headers["location"] == "http://127.0.0.2:9/elsewhere"


def _cookie(answered):
    """The name and value of the cookie that an answer sets."""
    return answered.headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Stainless-Lang", "Via", "Forwarded"])
def test_amp_refuses_leaks(upstream, name):
    """Headers that tell how a request came are refused by name."""
    answered = upstream("GET", "/api/user", None, {**upstream.headers, name: "x"})
    assert (answered.status, answered.json["error"]["code"]) == (400, "leaking-header")


def test_amp_takes_what_every_sdk_sends(upstream):
    """A model that falls back is asked for by an SDK, which counts its tries."""
    sent = {**upstream.headers, "X-Stainless-Retry-Count": "0", "X-Stainless-Timeout": "600"}
    assert upstream("GET", "/api/user", None, sent).status == 200


def test_amp_bytes(upstream):
    """A download has the size asked for; an upload is counted and hashed; one answer is secretly gzip."""
    assert len(upstream("GET", "/api/threads/download/1000003").body) == 1_000_003
    data = bytes(range(256)) * 4000
    result = upstream("POST", "/api/attachments", data).json["result"]
    assert result == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    zipped = upstream("GET", "/api/threads/gzip")
    assert zipped.body.startswith(b"\x1f\x8b")
    assert "content-encoding" not in zipped.headers


def test_amp_serves_models_for_credits(upstream):
    """All four dialects answer below ``/api/provider``, and each answer costs a credit; a refusal none."""
    message = [{"role": "user", "content": "hi"}]
    asked = (
        ("/anthropic/v1/messages", BODY),
        ("/openai/v1/responses", {"model": "gpt-5.4", "input": "hi"}),
        ("/xai/v1/chat/completions", {"model": "grok-4", "messages": message}),
        ("/groq/chat/completions", {"model": "x", "messages": message}),
        (
            "/google/v1beta1/publishers/google/models/gemini-3-flash-preview:streamGenerateContent?alt=sse",
            {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        ),
    )
    headers = {**upstream.headers, "anthropic-version": "2023-06-01"}
    for spent, (path, body) in enumerate(asked, 1):
        answered = upstream("POST", "/api/provider" + path, body, headers)
        assert answered.status == 200, answered.body
        assert answered.headers["x-demo-credit"] == str(1000 - spent)
    assert upstream("POST", "/api/provider/anthropic/v1/messages", {}, headers).json["type"] == "error"
    assert upstream("GET", "/api/credit").json == {"credit": 995}
