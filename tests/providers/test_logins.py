"""The backends of logins: what they are sent, and how their answers become the dialect's again."""

from __future__ import annotations

import json

import pytest

from ampproxy.config.schema import Account
from ampproxy.errors import ClientFault, GatewayFault, TruncatedStream, UpstreamFault
from ampproxy.http.headers import LowerHeaders
from ampproxy.model.base import ANTHROPIC, GEMINI, RESPONSES
from ampproxy.providers import PROVIDERS
from ampproxy.providers.origin import Scope
from ampproxy.routing.endpoints import parse_endpoint
from ampproxy.wire.redact import Secret

BASES = {
    "claude-login": ("https://api.anthropic.com", ANTHROPIC),
    "codex-login": ("https://chatgpt.com/backend-api/codex", RESPONSES),
    "gemini-login": ("https://cloudcode-pa.googleapis.com", GEMINI),
    "gemini-api-login": ("https://generativelanguage.googleapis.com", GEMINI),
}


class Token:
    def __init__(self):
        self.text = "token-1"

    def current(self):
        if not self.text:
            raise UpstreamFault.of("authentication", "needs a new login", retryable=True)
        return Secret(self.text)


def provider(kind, token=None, **more):
    base, dialect = BASES[kind]
    values = {"tenant": "tenant-1", "beta": "oauth-2025-04-20" if kind == "claude-login" else ""}
    return PROVIDERS[kind](
        Account(
            label=f"{kind}:a@x",
            kind=kind,
            dialect=dialect,
            base_url=base,
            api_key=Secret(""),
            token=token or Token(),
            **{**values, **more},
        )
    )


def endpoint(path):
    return parse_endpoint(b"POST", path)


MESSAGES = endpoint(b"/v1/messages")
CHAT = endpoint(b"/v1/chat/completions")
ANSWERS = endpoint(b"/v1/responses")
GENERATE = endpoint(b"/v1beta/models/m:generateContent")
STREAM = endpoint(b"/v1beta/models/m:streamGenerateContent")
COUNT = endpoint(b"/v1beta/models/m:countTokens")
OWN = {
    "claude-login": MESSAGES,
    "codex-login": ANSWERS,
    "gemini-login": GENERATE,
    "gemini-api-login": GENERATE,
}


@pytest.mark.parametrize("kind", BASES)
def test_token_of_the_moment(kind):
    """A token that was renewed is used from the next request on, by the same provider."""
    token = Token()
    reached = provider(kind, token)
    for text in ("token-1", "token-2"):
        token.text = text
        headers = reached.call(OWN[kind], "m").headers
        assert [v for n, v in headers if n == b"authorization"] == [f"Bearer {text}".encode()]
        assert dict(headers)[b"user-agent"].startswith(b"ampproxy/")
    token.text = ""
    with pytest.raises(UpstreamFault) as caught:
        reached.call(OWN[kind], "m")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([], b"oauth-2025-04-20"),
        ([(b"anthropic-beta", b"a, b")], b"oauth-2025-04-20,a,b"),
        ([(b"anthropic-beta", b"a"), (b"anthropic-beta", b"oauth-2025-04-20,c")], b"oauth-2025-04-20,a,c"),
    ],
)
def test_claude_beta(sent, told):
    """The beta that logins need is added to what the client asks for, once."""
    headers = (
        provider("claude-login").call(MESSAGES, "m", headers=LowerHeaders.of_known(sent).by_name).headers
    )
    assert [v for n, v in headers if n == b"anthropic-beta"] == [told]
    translated = provider("claude-login").call(CHAT, "m", extra={"anthropic-beta": "x"}).headers
    assert dict(translated)[b"anthropic-beta"] == b"oauth-2025-04-20,x"


def test_codex_headers():
    """The ChatGPT account is named, a stream is asked for in any case, and we say who we are."""
    headers = dict(
        provider("codex-login").call(ANSWERS, "m", headers={b"accept": [b"application/json"]}).headers
    )
    assert headers[b"chatgpt-account-id"] == b"tenant-1"
    assert headers[b"accept"] == b"text/event-stream"
    assert headers[b"originator"] == b"ampproxy"
    own = provider("codex-login", headers=(("Originator", "mine"),)).call(ANSWERS, "m").headers
    assert [v for n, v in own if n == b"originator"] == [b"mine"]
    assert b"chatgpt-account-id" not in dict(provider("codex-login", tenant="").call(ANSWERS, "m").headers)


def test_gemini_project_at_the_public_api():
    """At the public API the project that pays is named in a header."""
    assert (
        dict(provider("gemini-api-login").call(GENERATE, "m").headers)[b"x-goog-user-project"] == b"tenant-1"
    )


@pytest.mark.parametrize(
    ("asked", "stream", "url"),
    [
        (GENERATE, False, "v1internal:generateContent"),
        (STREAM, True, "v1internal:streamGenerateContent?alt=sse"),
        (CHAT, True, "v1internal:streamGenerateContent?alt=sse"),
        (CHAT, False, "v1internal:generateContent"),
        (COUNT, False, "v1internal:countTokens"),
    ],
)
def test_code_assist_urls(asked, stream, url):
    """Code Assist has one path for each call; its streams are always events."""
    call = provider("gemini-login").call(asked, "m", stream=stream, query=b"key=k&alt=json")
    assert call.url.decode() == f"https://cloudcode-pa.googleapis.com/{url}"


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://h/base/x", True),
        ("https://H:443/base/x?y", True),
        ("https://h/base/../x", False),
        ("https://h/base/%2e%2e/x", False),
        ("https://h/base/..%5cx", False),
        ("https://h/based/x", False),
        ("https://h/x", False),
        ("http://h/base/x", False),
        ("https://h:444/base/x", False),
        ("https://h.evil/base/x", False),
        ("https://h@evil/base/x", False),
        ("https://u:p@h/base/x", False),
        ("//h/base/x", False),
        ("https://h:x/base/x", False),
    ],
)
def test_scope(url, inside):
    """A token goes to its own scheme, host, port and path prefix alone."""
    scope = Scope("https://h/base/")
    assert (url in scope) is inside
    if not inside:
        with pytest.raises(GatewayFault):
            scope.check(url)


def packed(kind, body, asked=None, **more):
    found = provider(kind).packed(
        asked or OWN[kind], "m-1", json.dumps(body).encode(), **{"stream": False, **more}
    )
    assert found is not None
    return found


def test_ordinary_backends_pack_nothing():
    """Where a login's backend takes the dialect as it is, nothing is touched."""
    for kind in ("claude-login", "gemini-api-login"):
        assert provider(kind).packed(OWN[kind], "m", b"{}", stream=False) is None


def test_codex_body():
    """The backend's constraints are kept, and what it cannot be told is named."""
    found = packed("codex-login", {"model": "m", "input": "hi", "temperature": 1, "stream": False})
    body = json.loads(found.body)
    assert (body["stream"], body["store"]) == (True, False)
    assert "temperature" not in body
    assert [loss.kind for loss in found.losses] == ["temperature"]


def events(*found):
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in found)


ITEM = {"type": "message", "id": "msg_1", "content": []}


@pytest.mark.parametrize("output", [[], [ITEM]])
@pytest.mark.parametrize("end", ["response.completed", "response.incomplete"])
def test_codex_whole(output, end):
    """A client that wants a whole answer gets the stream's last word, with its output."""
    stream = events(
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.done", "item": ITEM},
        {"type": end, "response": {"id": "r", "output": output, "n": 12345678901234567890}},
    )
    whole = json.loads(packed("codex-login", {}).whole(stream))
    assert whole == {"id": "r", "output": [ITEM], "n": 12345678901234567890}


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_codex_stream(size):
    """A stream is the dialect's own."""
    wire, made = events({"type": "response.created"}, {"type": "response.x"}), packed("codex-login", {})
    assert b"".join(made.feed(wire[at : at + size]) for at in range(0, len(wire), size)) + made.end() == wire


def test_codex_failures():
    """A failure within the stream is one, and a stream without its end is no answer."""
    made = packed("codex-login", {})
    failed = {"type": "response.failed", "response": {"error": {"message": "out of luck"}}}
    with pytest.raises(UpstreamFault, match="out of luck"):
        made.whole(events(failed))
    with pytest.raises(TruncatedStream):
        made.whole(events({"type": "response.created", "response": {}}))


def test_code_assist_body():
    """The request is in its envelope with project and model, every number's text as it was."""
    found = provider("gemini-login").packed(
        GENERATE, "m-1", b'{"contents":[1.50,12345678901234567890],"model":"x"}', stream=False
    )
    assert found.body == (
        b'{"project":"tenant-1","model":"m-1","request":{"contents":[1.50,12345678901234567890]}}'
    )
    counted = packed("gemini-login", {"generateContentRequest": {"contents": [1], "tools": []}}, COUNT)
    assert json.loads(counted.body) == {"request": {"model": "models/m-1", "contents": [1]}}
    with pytest.raises(ClientFault):
        provider("gemini-login").packed(GENERATE, "m", b"[]", stream=False)


def enclosed(*answers):
    return b"".join(
        b"data: " + json.dumps({"response": a, "traceId": "t"}).encode() + b"\r\n\r\n" for a in answers
    )


@pytest.mark.parametrize("size", [1, 7, 10**6])
@pytest.mark.parametrize("query", [b"alt=sse", b"$alt=sse&x=1"])
def test_code_assist_stream(size, query):
    """The events come without their envelopes, however the stream is split."""
    stream = enclosed({"candidates": [1]}, {"candidates": ["\u2028"]})
    found = packed("gemini-login", {}, STREAM, stream=True, query=query)
    out = b"".join(found.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + found.end()
    assert out == b'data: {"candidates": [1]}\n\ndata: {"candidates": ["\\u2028"]}\n\n'
    assert found.content_type is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_code_assist_stream_as_list(count):
    """A client of Gemini's own dialect that did not ask for events gets the JSON list that it expects."""
    found = packed("gemini-login", {}, STREAM, stream=True)
    out = found.feed(enclosed(*range(count))) + found.end()
    assert json.loads(out) == list(range(count))
    assert found.content_type == b"application/json"
    assert packed("gemini-login", {}, CHAT, stream=True).content_type is None


def test_code_assist_whole():
    """A whole answer is taken out of its envelope; an error is left as it is."""
    found = packed("gemini-login", {})
    assert found.whole(b'{"response": {"a": 1.0}, "traceId": "t"}') == b'{"a": 1.0}'
    for other in (b'{"totalTokens": 3}', b'{"error": {"code": 500}}', b"oops"):
        assert found.whole(other) == other


@pytest.mark.parametrize("kind", BASES)
def test_defect_cannot_send_a_token_elsewhere(kind):
    """Should a URL ever be put together wrongly, the request is held back, not sent with the token."""
    reached = provider(kind)
    reached._base = "https://elsewhere.example/"
    with pytest.raises(GatewayFault, match="another origin"):
        reached.call(OWN[kind], "m")
