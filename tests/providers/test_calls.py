"""What a vendor is sent: URL and headers, and what it is never sent."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy import __version__
from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Account
from ampproxy.errors import ClientFault, GatewayFault
from ampproxy.http.headers import LowerHeaders
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.providers import PROVIDERS
from ampproxy.routing.endpoints import Endpoint, Operation, parse_endpoint
from ampproxy.wire.redact import Secret
from tests.cases import each

DIALECTS = {
    "claude": ANTHROPIC,
    "codex": RESPONSES,
    "gemini": GEMINI,
    "vertex": GEMINI,
    "openai-compatibility": CHAT,
    "claude-login": ANTHROPIC,
    "codex-login": RESPONSES,
    "gemini-login": GEMINI,
    "gemini-api-login": GEMINI,
}
KEY = "account-key-canary"
BASES = {
    "claude": "https://api.anthropic.com",
    "codex": "https://api.openai.com/v1",
    "gemini": "https://generativelanguage.googleapis.com",
    "vertex": "https://aiplatform.googleapis.com",
    "openai-compatibility": "http://127.0.0.1:11434/v1",
    "claude-login": "https://api.anthropic.com",
    "codex-login": "https://chatgpt.com/backend-api/codex",
    "gemini-login": "https://cloudcode-pa.googleapis.com",
    "gemini-api-login": "https://generativelanguage.googleapis.com",
}
CREDENTIALS = {
    "claude": (b"x-api-key", KEY.encode()),
    "codex": (b"authorization", b"Bearer " + KEY.encode()),
    "gemini": (b"x-goog-api-key", KEY.encode()),
    "vertex": (b"x-goog-api-key", KEY.encode()),
    "openai-compatibility": (b"authorization", b"Bearer " + KEY.encode()),
    "claude-login": (b"authorization", b"Bearer " + KEY.encode()),
    "codex-login": (b"authorization", b"Bearer " + KEY.encode()),
    "gemini-login": (b"authorization", b"Bearer " + KEY.encode()),
    "gemini-api-login": (b"authorization", b"Bearer " + KEY.encode()),
}


class Token:
    """The token of a login."""

    def __init__(self, text=KEY):
        self.text = text

    def current(self):
        return Secret(self.text)


def provider(kind, base=None, headers=(), key=KEY):
    return PROVIDERS[kind](
        Account(
            label=f"{kind}[0]",
            kind=kind,
            dialect=DIALECTS[kind],
            base_url=BASES[kind] if base is None else base,
            api_key=Secret("" if kind.endswith("-login") else key),
            headers=headers,
            token=Token(key) if kind.endswith("-login") else None,
        )
    )


def by_name(pairs):
    """Headers as the provider gets them."""
    return LowerHeaders.of_known(pairs).by_name


def endpoint(path, method=b"POST"):
    found = parse_endpoint(method, path)
    assert found is not None
    return found


GENERATE = {
    ANTHROPIC: endpoint(b"/v1/messages"),
    CHAT: endpoint(b"/v1/chat/completions"),
    COMPLETIONS: endpoint(b"/v1/completions"),
    RESPONSES: endpoint(b"/v1/responses"),
    GEMINI: endpoint(b"/v1beta/models/asked:generateContent"),
}
COUNT = {
    ANTHROPIC: endpoint(b"/v1/messages/count_tokens"),
    RESPONSES: endpoint(b"/v1/responses/input_tokens"),
    GEMINI: endpoint(b"/v1beta/models/asked:countTokens"),
}
STREAM = endpoint(b"/api/provider/google/v1beta1/publishers/google/models/asked:streamGenerateContent")


def test_every_kind_has_a_provider():
    """Every section of the configuration has its vendor."""
    assert set(PROVIDERS) == set(KINDS) == set(DIALECTS)


URLS = [
    ("claude", GENERATE[ANTHROPIC], "https://api.anthropic.com/v1/messages"),
    ("claude", COUNT[ANTHROPIC], "https://api.anthropic.com/v1/messages/count_tokens"),
    ("claude", GENERATE[CHAT], "https://api.anthropic.com/v1/messages"),
    ("claude", COUNT[GEMINI], "https://api.anthropic.com/v1/messages/count_tokens"),
    ("codex", GENERATE[RESPONSES], "https://api.openai.com/v1/responses"),
    ("codex", COUNT[ANTHROPIC], "https://api.openai.com/v1/responses/input_tokens"),
    ("openai-compatibility", GENERATE[CHAT], "http://127.0.0.1:11434/v1/chat/completions"),
    ("openai-compatibility", GENERATE[COMPLETIONS], "http://127.0.0.1:11434/v1/completions"),
    ("openai-compatibility", endpoint(b"/v1/embeddings"), "http://127.0.0.1:11434/v1/embeddings"),
    ("openai-compatibility", GENERATE[ANTHROPIC], "http://127.0.0.1:11434/v1/chat/completions"),
    (
        "gemini",
        GENERATE[GEMINI],
        "https://generativelanguage.googleapis.com/v1beta/models/M-1:generateContent",
    ),
    ("gemini", COUNT[GEMINI], "https://generativelanguage.googleapis.com/v1beta/models/M-1:countTokens"),
    ("gemini", COUNT[ANTHROPIC], "https://generativelanguage.googleapis.com/v1beta/models/M-1:countTokens"),
    (
        "gemini",
        GENERATE[RESPONSES],
        "https://generativelanguage.googleapis.com/v1beta/models/M-1:generateContent",
    ),
    (
        "gemini",
        endpoint(b"/v1beta/models/x:batchEmbedContents"),
        "https://generativelanguage.googleapis.com/v1beta/models/M-1:batchEmbedContents",
    ),
    (
        "vertex",
        GENERATE[GEMINI],
        "https://aiplatform.googleapis.com/v1/publishers/google/models/M-1:generateContent",
    ),
    ("claude-login", GENERATE[ANTHROPIC], "https://api.anthropic.com/v1/messages"),
    ("codex-login", GENERATE[CHAT], "https://chatgpt.com/backend-api/codex/responses"),
    (
        "gemini-login",
        GENERATE[GEMINI],
        "https://cloudcode-pa.googleapis.com/v1internal:generateContent",
    ),
    ("gemini-login", COUNT[GEMINI], "https://cloudcode-pa.googleapis.com/v1internal:countTokens"),
    (
        "gemini-api-login",
        GENERATE[GEMINI],
        "https://generativelanguage.googleapis.com/v1beta/models/M-1:generateContent",
    ),
    (
        "vertex",
        endpoint(b"/v1beta/models/x:predict"),
        "https://aiplatform.googleapis.com/v1/publishers/google/models/M-1:predict",
    ),
]


@pytest.mark.parametrize(("kind", "asked", "url"), URLS)
def test_urls_and_credentials(kind, asked, url):
    """Each call goes to the vendor's own path, by POST, with the account's key in the vendor's own header."""
    call = provider(kind).call(asked, "M-1")
    assert (call.method, call.url.decode()) == (b"POST", url)
    holding_key = [header for header in call.headers if KEY.encode() in header[1]]
    assert holding_key == [CREDENTIALS[kind]]
    assert (b"user-agent", f"ampproxy/{__version__}".encode()) in call.headers
    assert (b"content-type", b"application/json") in call.headers


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("openai-compatibility", COUNT[ANTHROPIC]),
        ("openai-compatibility", COUNT[GEMINI]),
        ("claude", endpoint(b"/v1/embeddings")),
        ("codex", endpoint(b"/v1beta/models/x:embedContent")),
        ("gemini", endpoint(b"/v1/embeddings")),
        ("claude", endpoint(b"/v1beta/models/x:predict")),
        ("claude", endpoint(b"/v1/models", b"GET")),
        ("gemini", endpoint(b"/v1beta/models/x", b"GET")),
    ],
)
def test_calls_that_a_vendor_lacks(kind, asked):
    """What a vendor has no call for is said so, and nothing else is called in its place."""
    with pytest.raises(GatewayFault) as caught:
        provider(kind).call(asked, "M-1")
    assert caught.value.error.kind == "not_implemented"
    assert KEY not in caught.value.error.message
    with pytest.raises(GatewayFault):
        provider(kind).backend_dialect(asked)


@pytest.mark.parametrize(
    ("kind", "asked", "dialect"),
    [
        ("openai-compatibility", GENERATE[COMPLETIONS], COMPLETIONS),
        ("openai-compatibility", GENERATE[CHAT], CHAT),
        ("openai-compatibility", GENERATE[GEMINI], CHAT),
        ("codex", GENERATE[CHAT], RESPONSES),
        ("claude", COUNT[GEMINI], ANTHROPIC),
        ("vertex", STREAM, GEMINI),
    ],
)
def test_dialect_of_the_body(kind, asked, dialect):
    """The client's own dialect is kept where the vendor speaks it."""
    assert provider(kind).backend_dialect(asked) == dialect


@pytest.mark.parametrize(
    ("kind", "base", "url"),
    [
        ("claude", "https://h/v1", "https://h/v1/messages"),
        ("claude", "https://h/anthropic", "https://h/anthropic/v1/messages"),
        ("claude", "https://h/anthropic/v1/", "https://h/anthropic/v1/messages"),
        ("claude", "http://h:8080", "http://h:8080/v1/messages"),
        ("claude", "http://[::1]:8080", "http://[::1]:8080/v1/messages"),
        ("claude", "https://h/x?api-version=1&b=2", "https://h/x/v1/messages?api-version=1&b=2"),
        ("claude", "https://h/a b", "https://h/a%20b/v1/messages"),
        ("claude", "https://h/a%20b", "https://h/a%20b/v1/messages"),
        ("gemini", "https://h/v1beta", "https://h/v1beta/models/M-1:generateContent"),
        ("gemini", "https://h/v1", "https://h/v1/models/M-1:generateContent"),
        ("gemini", "https://h/v1alpha", "https://h/v1alpha/models/M-1:generateContent"),
        ("vertex", "https://h/v1beta1", "https://h/v1beta1/publishers/google/models/M-1:generateContent"),
        ("openai-compatibility", "https://h/openai", "https://h/openai/chat/completions"),
        ("codex", "https://h/api/v3", "https://h/api/v3/responses"),
    ],
)
def test_base_urls(kind, base, url):
    """A version segment is added where the vendor's paths have one, and never twice; a query stays."""
    assert provider(kind, base).call(GENERATE[DIALECTS[kind]], "M-1").url.decode() == url


@pytest.mark.parametrize(
    ("kind", "asked", "stream", "query", "sent"),
    [
        ("claude", GENERATE[ANTHROPIC], False, b"beta=true", "beta=true"),
        ("claude", GENERATE[ANTHROPIC], False, b"beta=true&key=k&auth_token=t&x=1", "beta=true"),
        ("claude", GENERATE[ANTHROPIC], False, b"%62eta=true&BETA=1&beta", "beta"),
        ("claude", GENERATE[CHAT], True, b"beta=true&alt=sse", ""),
        ("codex", GENERATE[RESPONSES], True, b"beta=true&key=k", ""),
        ("gemini", STREAM, True, b"alt=sse&key=k", "alt=sse"),
        ("gemini", STREAM, True, b"", ""),
        ("gemini", STREAM, True, b"key=k&alt=json", "alt=json"),
        ("gemini", GENERATE[GEMINI], False, b"$alt=json&prettyPrint=false", "$alt=json&prettyPrint=false"),
        ("gemini", GENERATE[CHAT], True, b"", "alt=sse"),
        ("gemini", GENERATE[CHAT], True, b"alt=json&key=k", "alt=sse"),
        ("gemini", GENERATE[CHAT], False, b"", ""),
        ("vertex", GENERATE[ANTHROPIC], True, b"", "alt=sse"),
        ("gemini", STREAM, True, b"alt=sse;key=k", ""),
        ("gemini", STREAM, True, b"alt=sse#key", ""),
        ("gemini", STREAM, True, b"alt=s\r\ne&alt=\xff", ""),
    ],
)
def test_queries(kind, asked, stream, query, sent):
    """Of the client's query goes on what its own dialect knows, as it came, and never a credential; a
    translated stream from Gemini is asked for as events.
    """
    url = urlsplit(provider(kind).call(asked, "M-1", stream=stream, query=query).url.decode())
    assert (url.query, url.fragment) == (sent, "")


def test_translated_gemini_method():
    """A translated request gets the method that its operation and its stream say."""
    url = provider("gemini").call(GENERATE[CHAT], "M-1", stream=True).url
    assert url.endswith(b"/models/M-1:streamGenerateContent?alt=sse")


CLIENT = [
    (b"authorization", b"Bearer client-canary"),
    (b"proxy-authorization", b"client-canary"),
    (b"x-api-key", b"client-canary"),
    (b"x-goog-api-key", b"client-canary"),
    (b"cookie", b"client-canary"),
    (b"x-amp-thread-id", b"T-canary"),
    (b"x-amp-device-fingerprint", b"canary"),
    (b"x-stainless-os", b"canary"),
    (b"x-forwarded-for", b"canary"),
    (b"forwarded", b"for=canary"),
    (b"via", b"canary"),
    (b"user-agent", b"canary"),
    (b"host", b"canary"),
    (b"content-length", b"123456"),
    (b"transfer-encoding", b"canary"),
    (b"content-encoding", b"canary"),
    (b"accept-encoding", b"canary"),
    (b"connection", b"canary"),
    (b"origin", b"canary"),
    (b"referer", b"canary"),
    (b"openai-organization", b"canary"),
    (b"x-goog-api-client", b"canary"),
    (b"x-goog-user-project", b"canary"),
    (b"x-app", b"canary"),
    (b"content-type", b"text/canary"),
]
TOLD = [
    (b"accept", b"told-accept"),
    (b"anthropic-version", b"told-version"),
    (b"anthropic-beta", b"told-beta-1"),
    (b"anthropic-beta", b"told-beta-2"),
    (b"openai-beta", b"told-openai"),
    (b"idempotency-key", b"told-idem"),
    (b"x-request-id", b"told-id"),
]


@each("kind", PROVIDERS)
@each("asked", [*GENERATE.values(), STREAM])
def test_nothing_of_the_client_leaks(kind, asked):
    """No credential, cookie, trace of the way or identity of the client reaches any vendor."""
    call = provider(kind).call(
        asked, "M-1", query=b"key=client-canary&auth_token=canary", headers=by_name(CLIENT)
    )
    everything = call.url + b"".join(name + value for name, value in call.headers)
    assert b"canary" not in everything.replace(KEY.encode(), b"")
    names = [name for name, _ in call.headers]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        (
            "claude",
            GENERATE[ANTHROPIC],
            {"accept", "version", "beta-1", "beta-2", "idem", "id"},
        ),
        ("claude", GENERATE[CHAT], {"idem", "id"}),
        ("codex", GENERATE[RESPONSES], {"accept", "openai", "idem", "id"}),
        ("codex", GENERATE[ANTHROPIC], {"idem", "id"}),
        ("openai-compatibility", GENERATE[COMPLETIONS], {"accept", "openai", "idem", "id"}),
        ("gemini", GENERATE[GEMINI], {"accept", "idem", "id"}),
        ("vertex", GENERATE[RESPONSES], {"idem", "id"}),
    ],
)
def test_what_the_client_may_tell(kind, asked, told):
    """A vendor hears what its own dialect provides for, in full; a translated request has no such words."""
    headers = provider(kind).call(asked, "M-1", headers=by_name(CLIENT + TOLD)).headers
    assert {value.decode()[5:] for _, value in headers if value.startswith(b"told-")} == told


def test_anthropic_version():
    """The version is the client's, if it speaks the dialect, else the known one; exactly one is sent."""

    def versions(asked, sent):
        headers = provider("claude").call(asked, "M-1", headers=by_name(sent)).headers
        return [value for name, value in headers if name == b"anthropic-version"]

    assert versions(GENERATE[ANTHROPIC], []) == [b"2023-06-01"]
    assert versions(GENERATE[ANTHROPIC], [(b"anthropic-version", b"2099-01-01")]) == [b"2099-01-01"]
    assert versions(GENERATE[CHAT], [(b"anthropic-version", b"2099-01-01")]) == [b"2023-06-01"]


def test_whom_a_key_is_used_for():
    """A user's profile and a workspace are Anthropic's, and are told with keys only, in its own dialect."""
    named = [(b"anthropic-user-profile-id", b"uprof_1"), (b"anthropic-workspace-id", b"wrkspc_1")]

    def told(kind, asked):
        headers = dict(provider(kind).call(asked, "M-1", headers=by_name(named)).headers)
        return [headers.get(name) for name, _ in named]

    assert told("claude", GENERATE[ANTHROPIC]) == [b"uprof_1", b"wrkspc_1"]
    assert told("claude", GENERATE[CHAT]) == told("claude-login", GENERATE[ANTHROPIC]) == [None, None]


def test_accept():
    """Without a word of the client the vendor is told which kind of answer is awaited."""

    def accept(stream):
        return dict(provider("claude").call(GENERATE[CHAT], "M-1", stream=stream).headers)[b"accept"]

    assert (accept(True), accept(False)) == (b"text/event-stream", b"application/json")


def test_custom_headers_win():
    """The account's own headers replace ours, the client's and those of the body, also the credential."""
    own = (
        ("X-Api-Key", "own-key"),
        ("User-Agent", "own-agent"),
        ("Anthropic-Beta", "own-beta"),
        ("Anthropic-Version", "own-version"),
        ("Accept", "own-accept"),
        ("X-New", "own-new"),
    )
    call = provider("claude", headers=own).call(
        GENERATE[ANTHROPIC], "M-1", headers=by_name(CLIENT + TOLD), extra={"anthropic-beta": "extra"}
    )
    found = [
        (name, value) for name, value in call.headers if name.decode() in {key.lower() for key, _ in own}
    ]
    assert sorted(found) == sorted((name.lower().encode(), value.encode()) for name, value in own)
    assert KEY.encode() not in b"".join(value for _, value in call.headers)


def test_headers_of_the_body():
    """What a rendered body needs is sent beside it."""
    call = provider("claude").call(GENERATE[CHAT], "M-1", extra={"Anthropic-Beta": "x-2025"})
    assert (b"anthropic-beta", b"x-2025") in call.headers
    asked = [(b"anthropic-beta", b"a,b")]
    for extra, told in (({"anthropic-beta": "a"}, [b"a"]), ({"anthropic-beta": ""}, [])):
        headers = (
            provider("claude").call(GENERATE[ANTHROPIC], "M-1", headers=by_name(asked), extra=extra).headers
        )
        assert [value for name, value in headers if name == b"anthropic-beta"] == told


def test_no_key_no_header():
    """A server without a key is not sent an empty one."""
    call = provider("openai-compatibility", key="").call(GENERATE[CHAT], "M-1")
    assert b"authorization" not in dict(call.headers)


def test_a_header_cannot_be_broken_open():
    """A value with a line break is left out."""
    call = provider("claude").call(
        GENERATE[ANTHROPIC],
        "M-1",
        headers={b"x-request-id": [b"a\r\nX-Evil: 1"], b"anthropic-beta": [b"a\nb"]},
    )
    assert b"x-request-id" not in dict(call.headers)
    assert b"anthropic-beta" not in dict(call.headers)


def test_a_call_shows_no_secret():
    """Shown in a log or a traceback, a call has neither header values nor its query."""
    call = provider("claude", "https://h/x?token=query-canary").call(GENERATE[ANTHROPIC], "M-1")
    for text in (repr(call), str(call), f"{call}"):
        assert "canary" not in text
        assert "https://h/x/v1/messages" in text
        assert "x-api-key" in text


HOSTILE = [
    "..",
    "../../v1/files",
    "../../../evil.test/x",
    "//evil.test/x",
    "@evil.test/",
    "m?key=stolen",
    "m#fragment",
    "m%2f..%2f..",
    "m\r\nHost: evil.test",
    "m\x00",
    "m:streamGenerateContent",
    "accounts/fireworks/models/glm-5",
    "llama3:8b",
    "naïve\u2028",
    "\ud800",
    "",
    " ",
    ";",
    "\\evil.test\\",
]


def check_stays(kind, model, method="generateContent"):
    """Refused, or one segment that is the name; says whether it was sent."""
    asked = Endpoint(GEMINI, Operation.OTHER, "asked", method)
    try:
        url = provider(kind, "https://h.test:444/base").call(asked, model).url
    except ClientFault:
        return False
    assert url.isascii()
    assert all(0x21 <= byte <= 0x7E for byte in url)
    parts = urlsplit(url.decode())
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "h.test:444", "", "")
    stem = {"gemini": "/base/v1beta/models/", "vertex": "/base/v1/publishers/google/models/"}[kind]
    assert parts.path.startswith(stem)
    last = parts.path[len(stem) :]
    assert "/" not in last
    assert last not in (".", "..")
    sent_model, _, sent_method = last.partition(":")
    assert unquote(sent_model) == model.encode("utf-8", "replace").decode()
    assert unquote(sent_method) == method.encode("utf-8", "replace").decode()
    return True


@each("kind", ["gemini", "vertex"])
@each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_names(kind, text):
    """Whatever a model or a method is called, it changes neither host, path nor query."""
    sent = check_stays(kind, text)
    if text:
        assert check_stays(kind, "M-1", text) is sent
    segments = re.split(r"[/\\;]|%2f", text)
    misleads = any(segment.strip() in ("", ".", "..") for segment in segments)
    assert sent is not (misleads or not text.isprintable())


@given(st.text(max_size=30))
def test_any_name_stays_a_name(text):
    """The same for any text."""
    check_stays("gemini", text)


@each("kind", ["claude", "codex", "openai-compatibility"])
@each("text", HOSTILE, ids=range(len(HOSTILE)))
def test_other_vendors_have_no_model_in_the_path(kind, text):
    """Where the body names the model, the URL does not depend on it."""
    asked = GENERATE[DIALECTS[kind]]
    assert provider(kind).call(asked, text).url == provider(kind).call(asked, "M-1").url


COPIED = (("X-Session", "$X-Client-Session"), ("User-Agent", "$user-agent"), ("X-Own", "own"))


@pytest.mark.parametrize("kind", BASES)
def test_headers_taken_from_the_client(kind):
    """A header of an account whose value is $NAME has the value of the client's header, in any dialect; the
    client's own keys go nowhere.
    """
    made = provider(kind, headers=COPIED)
    client = [
        (b"x-client-session", b"s-1"),
        (b"x-client-session", b"s-2"),
        (b"user-agent", b"theirs/1"),
        (b"authorization", b"Bearer client-key"),
    ]
    for asked in (GENERATE[made.account.dialect], GENERATE[ANTHROPIC], GENERATE[CHAT]):
        try:
            call = made.call(asked, "m", headers=by_name(client))
        except GatewayFault:
            continue
        told = [header for header in call.headers if header[0] in (b"x-session", b"user-agent", b"x-own")]
        assert sorted(told) == [(b"user-agent", b"theirs/1"), (b"x-own", b"own"), (b"x-session", b"s-1")]
        assert b"client-key" not in b"".join(value for _, value in call.headers)


def test_headers_that_the_client_did_not_send():
    """Without the client's header the account's is left out; so is one that could forge another."""
    made = provider("claude", headers=COPIED)
    for client in ([], [(b"x-client-session", b"")], [(b"x-client-session", b"a\r\nb: c")]):
        names = [name for name, _ in made.call(GENERATE[ANTHROPIC], "m", headers=by_name(client)).headers]
        assert b"x-session" not in names
        assert b"user-agent" not in names
        assert b"x-own" in names
    listing = made.models_call()
    assert listing is not None
    assert b"x-session" not in [name for name, _ in listing.headers]


def test_the_same_words_are_remembered():
    """What a client says again is put together once; what is long, or new each time, is not kept for ever."""
    made = provider("claude")

    def headers(*sent, stream=False, extra=None):
        call = made.call(GENERATE[ANTHROPIC], "m", headers=by_name(sent), stream=stream, extra=extra)
        return call.headers

    beta = (b"anthropic-beta", b"a")
    assert headers(beta) is headers((b"user-agent", b"theirs"), beta)
    assert headers(beta) != headers(beta, stream=True)
    assert headers(beta) != headers(beta, extra={"anthropic-beta": "b"}) != headers(beta, extra={"x-a": "b"})
    first = headers(beta)
    for number in range(200):
        assert (b"x-request-id", b"%d" % number) in headers((b"x-request-id", b"%d" % number))
    assert headers(beta) is not first
    long = (b"anthropic-beta", b"a" * 5000)
    assert headers(long) is not headers(long)
    assert long in headers(long)
