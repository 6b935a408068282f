"""What a method and a path ask for."""

from __future__ import annotations

import pytest

from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.routing.endpoints import Endpoint, Operation, WrongMethod, disguises_models, parse_endpoint
from tests.cases import each

BODIES = [
    (b"chat/completions", CHAT, Operation.GENERATE),
    (b"completions", COMPLETIONS, Operation.GENERATE),
    (b"embeddings", CHAT, Operation.EMBED),
    (b"messages", ANTHROPIC, Operation.GENERATE),
    (b"messages/count_tokens", ANTHROPIC, Operation.COUNT_TOKENS),
    (b"responses", RESPONSES, Operation.GENERATE),
    (b"responses/input_tokens", RESPONSES, Operation.COUNT_TOKENS),
]

#: What Amp's builds were seen to send.
AMP_BUILDS = [
    (b"/api/provider/anthropic/v1/messages", "anthropic", ANTHROPIC),
    (b"/api/provider/openai/v1/responses", "openai", RESPONSES),
    (b"/api/provider/xai/v1/chat/completions", "xai", CHAT),
    (b"/api/provider/groq/chat/completions", "groq", CHAT),
    (b"/api/provider/kimi/chat/completions", "kimi", CHAT),
]

GEMINI_METHODS = [
    (b"generateContent", Operation.GENERATE, False),
    (b"streamGenerateContent", Operation.GENERATE, True),
    (b"countTokens", Operation.COUNT_TOKENS, False),
    (b"embedContent", Operation.EMBED, False),
    (b"batchEmbedContents", Operation.EMBED, False),
    (b"predictLongRunning", Operation.OTHER, False),
]
GEMINI_STEMS = [
    (b"/v1beta/models/", None),
    (b"/v1beta1/models/", None),
    (b"/v1/models/", None),
    (b"/v1beta1/publishers/google/models/", None),
    (b"/api/provider/google/v1beta/models/", "google"),
    (b"/api/provider/google/v1beta1/models/", "google"),
    (b"/api/provider/google/v1/models/", "google"),
    (b"/api/provider/google/v1beta1/publishers/google/models/", "google"),
    (b"/api/provider/whatever/v1beta/models/", "whatever"),
]


@pytest.mark.parametrize(("tail", "dialect", "operation"), BODIES)
def test_post_routes(tail, dialect, operation):
    """Every dialect is served at the root below /v1 and below any provider's name, with and without /v1."""
    assert parse_endpoint(b"POST", b"/v1/" + tail) == Endpoint(dialect, operation)
    # SDKs with a base URL without its version, or with one too many.
    for stem in (b"/", b"/v1/v1/"):
        assert parse_endpoint(b"POST", stem + tail) == Endpoint(dialect, operation)
    for middle in (b"/v1/", b"/"):
        path = b"/api/provider/any-name" + middle + tail
        assert parse_endpoint(b"POST", path) == Endpoint(dialect, operation, provider="any-name", amp=True)


@pytest.mark.parametrize(("path", "provider", "dialect"), AMP_BUILDS)
def test_paths_of_amp_builds(path, provider, dialect):
    """The paths that Amp's builds use are understood."""
    assert parse_endpoint(b"POST", path) == Endpoint(dialect, Operation.GENERATE, provider=provider, amp=True)


def test_codex_path():
    """Codex's own path serves Responses."""
    assert parse_endpoint(b"POST", b"/backend-api/codex/responses") == Endpoint(RESPONSES, Operation.GENERATE)


@each(("stem", "provider"), GEMINI_STEMS)
@each(("method", "operation", "stream"), GEMINI_METHODS)
def test_gemini_methods(stem, provider, method, operation, stream):
    """Gemini's methods are found below every version, also Vertex's paths and under any provider; the
    model's name has no slash before it, and an unknown method is told as such.
    """
    found = parse_endpoint(b"POST", stem + b"gemini-2.5-pro:" + method)
    assert found == Endpoint(
        GEMINI, operation, "gemini-2.5-pro", method.decode(), stream, provider, provider is not None
    )


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        (b"gemini-2.5-pro(high)", "gemini-2.5-pro(high)"),
        (b"gemini-2.5-pro%288192%29", "gemini-2.5-pro(8192)"),
        (b"accounts/fireworks/models/glm-5", "accounts/fireworks/models/glm-5"),
        (b"accounts%2Ffireworks%2Fmodels%2Fglm-5", "accounts/fireworks/models/glm-5"),
        (b"llama3:8b", "llama3:8b"),
        (b"llama3%3A8b", "llama3:8b"),
        (b"na%C3%AFve", "naïve"),
        (b"bad%FFbyte", "bad\ufffdbyte"),
        (b"100%", "100%"),
        (b"../../internal", "../../internal"),
        (b"%2e%2e%2f", "../"),
        (b"a%0d%0ab", "a\r\nb"),
        (b"a%00b", "a\x00b"),
    ],
)
def test_models_in_paths(raw, model):
    """A model's name in the path may hold slashes, colons, escapes; whatever it holds, it is only a name."""
    generate = parse_endpoint(b"POST", b"/v1beta/models/" + raw + b":generateContent")
    assert generate is not None
    assert (generate.model, generate.method) == (model, "generateContent")
    for path in (b"/v1/models/" + raw, b"/v1beta/models/" + raw, b"/api/provider/x/models/" + raw):
        found = parse_endpoint(b"GET", path)
        assert found is not None
        assert (found.operation, found.model) == (Operation.GET_MODEL, model)


def test_encoded_colon_before_the_method():
    """A client that escapes the colon before the method is understood as well."""
    found = parse_endpoint(b"POST", b"/v1beta/models/gemini%3AcountTokens")
    assert found is not None
    assert (found.model, found.operation) == ("gemini", Operation.COUNT_TOKENS)


@pytest.mark.parametrize(
    ("path", "anthropic", "dialect"),
    [
        (b"/v1/models", False, CHAT),
        (b"/v1/models", True, ANTHROPIC),
        (b"/v1beta/models", True, GEMINI),
        (b"/v1beta1/models", False, GEMINI),
        (b"/v1beta1/publishers/google/models", False, GEMINI),
        (b"/api/provider/anthropic/v1/models", False, ANTHROPIC),
        (b"/api/provider/Anthropic/models", False, ANTHROPIC),
        (b"/api/provider/google/v1/models", False, GEMINI),
        (b"/api/provider/GOOGLE/models", True, GEMINI),
        (b"/api/provider/openai/v1/models", True, CHAT),
        (b"/api/provider/whatever/models", False, CHAT),
        (b"/api/provider/openai/v1beta/models", False, GEMINI),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_lists(path, anthropic, dialect, method):
    """A list comes in the format that the path or the provider's name says; one model likewise."""
    amp = path.startswith(b"/api/provider/")
    listed = parse_endpoint(method, path, anthropic=anthropic)
    assert listed is not None
    assert (listed.dialect, listed.operation, listed.amp) == (dialect, Operation.LIST_MODELS, amp)
    one = parse_endpoint(method, path + b"/some-model", anthropic=anthropic)
    assert one is not None
    assert (one.dialect, one.operation, one.model) == (dialect, Operation.GET_MODEL, "some-model")


def test_googles_sdk_lists_below_v1():
    """Google's SDK asks ``/v1/models`` with its own kind of key, and reads only its own kind of list."""
    listed = parse_endpoint(b"GET", b"/v1/models", google=True)
    assert listed is not None
    assert listed.dialect == GEMINI
    generating = parse_endpoint(b"POST", b"/v1/chat/completions", google=True)
    assert generating is not None
    assert generating.dialect == CHAT


@each(
    "path",
    [
        b"",
        b"/",
        b"/v1",
        b"/v1/",
        b"/v1/messages/batches",
        b"/v1/modelsx",
        b"/v1/v1/v1/models",
        b"/v2/models",
        b"/v1/publishers/evil/models/m:generateContent",
        b"/V1/messages",
        b"//v1/messages",
        b"/api/provider",
        b"/api/provider/",
        b"/api/provider/x",
        b"/api/provider/x/",
        b"/api/provider//v1/messages",
        b"/api/provider/cerebras/v1/tcp_warming",
        b"/api/provider/x/v1/files",
        b"/api/provider/x/../internal",
        b"/api/provider/google/v1beta1/operations/1",
        b"/api/threads",
        b"/api/internal/models",
    ],
)
@each("method", [b"GET", b"POST", b"DELETE"])
def test_other_paths(path, method):
    """A path that is not ours is nobody's here, whatever the method."""
    assert parse_endpoint(method, path) is None


@pytest.mark.parametrize(
    ("method", "path", "allow", "dialect"),
    [
        (b"GET", b"/v1/messages", b"POST", ANTHROPIC),
        (b"OPTIONS", b"/v1/chat/completions", b"POST", CHAT),
        (b"PUT", b"/api/provider/openai/v1/responses", b"POST", RESPONSES),
        (b"GET", b"/backend-api/codex/responses", b"POST", RESPONSES),
        (b"POST", b"/v1/models", b"GET, HEAD", CHAT),
        (b"POST", b"/v1beta/models", b"GET, HEAD", GEMINI),
        (b"POST", b"/v1beta/models/gemini-2.5-pro", b"GET, HEAD", GEMINI),
        (b"DELETE", b"/v1/models/gpt-5", b"GET, HEAD", CHAT),
        (b"POST", b"/v1beta/models/:generateContent", b"GET, HEAD", GEMINI),
        (b"GET", b"/v1beta/models/gemini-2.5-pro:generateContent", b"POST", GEMINI),
        (b"PUT", b"/v1beta/models/gemini-2.5-pro:generateContent", b"POST", GEMINI),
    ],
)
def test_wrong_methods(method, path, allow, dialect):
    """A known path with another method is told apart from an unknown one: 405 with Allow."""
    with pytest.raises(WrongMethod) as caught:
        parse_endpoint(method, path)
    assert (caught.value.allow, caught.value.dialect) == (allow, dialect)
    assert caught.value.error.status == 405
    assert method.decode() in caught.value.error.message


@pytest.mark.parametrize(
    ("path", "disguised"),
    [
        (b"/api/provider/openai/v1/responses", False),
        (b"/api/provider/openai/v1/unknown%20thing", False),
        (b"/api/provider", False),
        (b"/api/provider/", False),
        (b"/api/providers/x", False),
        (b"/api/internal", False),
        (b"/api/threads/a%2Fb", False),
        (b"/api/threads/../threads", False),
        (b"/api//provider/x", True),
        (b"/api/%2e/provider/x", True),
        (b"/api/threads/../provider/x", True),
        (b"/api/%25%37%30rovider/x", True),
        (b"/API/PROVIDER/x", True),
        (b"/api/provider/openai/v1/%72esponses", True),
        (b"/api/provider/openai/x/../v1/responses", True),
    ],
)
def test_disguises(path, disguised):
    """Paths that a lenient server could read as model routes."""
    assert disguises_models(path) is disguised
