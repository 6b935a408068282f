"""What names a conversation."""

from __future__ import annotations

import json

import pytest
from twisted.web.http_headers import Headers

from ampproxy.credentials.affinity import session_key

SESSION = "0198c1f2-0000-7000-8000-000000000001"
BODY = {
    "metadata": {"user_id": "anna"},
    "conversation_id": "conv",
    "prompt_cache_key": "cache",
    "messages": [{"role": "user", "content": "hello"}],
}
HEADERS = {
    "X-Client-Request-Id": "request",
    "Session_id": "underscore",
    "Session-Id": "dash",
    "X-Session-ID": "x",
    "X-Amp-Thread-Id": "T-1",
}


def key(body=None, **headers):
    raw = Headers({name.replace("__", "-"): [value] for name, value in headers.items()})
    return session_key(raw, json.dumps(body).encode() if body is not None else b"{}")


def test_order():
    """Each word for a conversation gives way to those before it: a session that is named as such before Amp's
    thread, which may be of a part of it, and the thread before what only a body tells.
    """
    claude = {**BODY, "metadata": {"user_id": f"user_1_session_{SESSION}"}}
    named = dict(HEADERS)
    assert key(claude, **named) == f"session:{SESSION}"
    said = []
    for name in ("X-Session-ID", "Session-Id", "Session_id", "X-Amp-Thread-Id", "X-Client-Request-Id"):
        said.append(key(BODY, **named))
        if name == "X-Amp-Thread-Id":
            assert key(claude, **named) == said[-1]
        del named[name]
    assert key(claude) == f"session:{SESSION}"
    assert said == [
        "x-session-id:x",
        "session-id:dash",
        "session_id:underscore",
        "x-amp-thread-id:T-1",
        "x-client-request-id:request",
    ]
    assert session_key(Headers({"X-Amp-Thread-Id": ["T-1"]}), b"{") == "x-amp-thread-id:T-1"
    body = dict(BODY)
    for name, value in (("metadata", "anna"), ("conversation_id", "conv"), ("prompt_cache_key", "cache")):
        assert key(body) == f"body:{value}"
        del body[name]
    assert key(body).startswith("words#")


def test_claude_codes_json():
    """Claude Code's user_id may be JSON."""
    assert key({"metadata": {"user_id": json.dumps({"session_id": "s", "device_id": "d"})}}) == "session:s"


#: One conversation in each dialect: system, first user turn.
DIALECTS = {
    "anthropic": lambda system, first: {
        "system": [{"type": "text", "text": system}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": first}]}],
    },
    "chat": lambda system, first: {
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": first}]
    },
    "responses": lambda system, first: {
        "instructions": system,
        "input": [{"role": "user", "content": [{"type": "input_text", "text": first}]}],
    },
    "responses-text": lambda system, first: {"instructions": system, "input": first},
    "gemini": lambda system, first: {
        "systemInstruction": {"parts": [{"text": system}]},
        "contents": [{"parts": [{"text": first}]}],
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_first_words(dialect):
    """Without any name a conversation is known by its first words, whatever comes after them."""
    make = DIALECTS[dialect]
    known = key(make("be kind", "hello"))
    assert known is not None
    assert known != key(make("be kind", "goodbye"))
    assert known != key(make("be brief", "hello"))
    grown = make("be kind", "hello")
    for turns in ("messages", "input", "contents"):
        if isinstance(grown.get(turns), list):
            grown[turns] += [
                {"role": "assistant", "content": "hi"},
                {"role": "user", "content": "x" * 90_000},
            ]
    assert key(grown) == known


def test_long_first_turn():
    """A first turn that is longer than what is looked at first is found all the same."""
    long = {
        "messages": [{"role": "user", "content": "hello" * 20_000}, {"role": "assistant", "content": "x"}]
    }
    assert key(long) == key({"messages": [{"role": "user", "content": "hello" * 20_001}]})
    assert key(long) is not None


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"messages":7}', b'{"messages":[7]}', b'{"messages":[{"role":"user"}]}',
     b'{"metadata":[]}', b'{"input":[{"role":"user","content":[{"type":"x"}]}]}', b"\xff"],
)  # fmt: skip
def test_nothing_names_it(body):
    """A request that nothing names, or that is no request, has no key, and nothing fails."""
    assert session_key(Headers({}), body) is None


def test_long_names_are_bounded():
    """A name of any length takes the memory of a short one."""
    assert len(key({}, X__Amp__Thread__Id="T" * 5000)) < 100
