"""How vendors are asked for their models, and what is read of their answers."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from ampproxy.errors import GatewayFault
from ampproxy.providers import PROVIDERS
from tests.cases import each
from tests.providers.test_calls import CREDENTIALS
from tests.providers.test_calls import provider as made

URLS = {
    "claude": "https://api.anthropic.com/v1/models?limit=1000",
    "codex": "https://api.openai.com/v1/models",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
    "openai-compatibility": "http://127.0.0.1:11434/v1/models",
    "claude-login": "https://api.anthropic.com/v1/models?limit=1000",
    "gemini-api-login": "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
}
SILENT = ["vertex", "codex-login", "gemini-login"]


def provider(kind, **others):
    return PROVIDERS[kind](replace(made(kind).account, **others))


def page(kind, value):
    return provider(kind).models_page(json.dumps(value).encode())


@pytest.mark.parametrize("kind", URLS)
def test_call(kind):
    """Each vendor is asked where it lists its models, with the account's credential and no body."""
    call = provider(kind).models_call()
    assert (call.method, call.url.decode()) == (b"GET", URLS[kind])
    assert CREDENTIALS[kind] in call.headers
    names = [name for name, _ in call.headers]
    assert b"content-type" not in names
    assert (b"accept", b"application/json") in call.headers


def test_vendors_with_no_list():
    """Vertex and two backends of logins are not asked."""
    assert {kind for kind in PROVIDERS if provider(kind).models_call() is None} == set(SILENT)
    with pytest.raises(ValueError, match="no list"):
        provider("vertex").models_page(b'{"models": []}')


def test_anthropic_needs_its_version():
    """Anthropic refuses requests without a version."""
    assert (b"anthropic-version", b"2023-06-01") in provider("claude").models_call().headers


def test_settings_apply():
    """The account's own headers and its base URL's query go with this request, too."""
    gate = provider(
        "gemini", base_url="https://gate.test/google?tenant=a", headers=(("X-Goog-Api-Key", "other"),)
    )
    call = gate.models_call("a b&c")
    assert call.url == b"https://gate.test/google/v1beta/models?tenant=a&pageSize=1000&pageToken=a%20b%26c"
    assert [value for name, value in call.headers if name == b"x-goog-api-key"] == [b"other"]


def test_login_without_token():
    """A login that has no token asks nobody."""
    with pytest.raises(GatewayFault):
        provider("claude-login", token=None).models_call()


def test_anthropic_page():
    """Anthropic's list goes on after its last id, as long as it says that there is more."""
    data = [{"type": "model", "id": "claude-a", "display_name": "A"}, {"type": "model", "id": "claude-b"}]
    assert page("claude", {"data": data, "has_more": True, "last_id": "claude-b"})[:2] == (
        ("claude-a", "claude-b"),
        "claude-b",
    )
    assert page("claude", {"data": [], "has_more": False, "last_id": None}) == ((), "", ())


def test_openai_page():
    """Of OpenAI's list only models that talk are taken; of a compatible server's, all."""
    names = [
        *(
            "gpt-5.4",
            "gpt-4o",
            "o3-pro",
            "codex-mini-latest",
            "chatgpt-4o-latest",
            "ft:gpt-4o:me::1",
            "qwen3",
        ),
        *("text-embedding-3-small", "whisper-1", "tts-1-hd", "dall-e-3", "gpt-4o-mini-transcribe"),
        *("gpt-4o-realtime-preview", "gpt-3.5-turbo-instruct", "omni-moderation-latest", "gpt-image-1"),
    ]
    value = {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}
    assert page("codex", value) == (tuple(names[:7]), "", ())
    assert page("openai-compatibility", value).names == tuple(names)
    assert page("openai-compatibility", value["data"]).names == tuple(names)


def test_gemini_page():
    """Google's names lose their prefix; a model that only embeds is left out."""
    models = [
        {"name": "models/gemini-x", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embedder", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/other"},
    ]
    assert page("gemini", {"models": models, "nextPageToken": "t"}) == (("gemini-x",), "t", ())


@each("kind", URLS)
@each(
    "body",
    [
        *(b"", b"<html>", b"{}", b'{"error": {"message": "no"}}', b'{"data": null, "models": null}'),
        *(b'{"data": [{"id": 1}], "models": [{"name": 1}]}', b'{"data": "\xff"}', b"[" * 100_000),
    ],
)
def test_not_a_list(kind, body):
    """An answer that is no list of models is not taken for an empty one."""
    with pytest.raises(ValueError, match="not a list of models"):
        provider(kind).models_page(body)
