"""Accounts at Azure, by the base URLs that its users have."""

from __future__ import annotations

from typing import Any

from ampproxy.config.schema import Account
from ampproxy.model.base import CHAT, RESPONSES
from ampproxy.providers import PROVIDERS, Call
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.wire.redact import Secret
from tests.cases import each

HOST = "https://res.openai.azure.com"
CHAT_PATH = "/chat/completions"
BY_MODEL = "/openai/deployments/my%20gpt%2F4" + CHAT_PATH
RESPONSES_AT = "/openai/responses?api-version=2025-04-01-preview"
OLD = "api-version=2024-10-21"


def called(
    base_url: str, kind: Any = "openai-compatibility", key: str = "key-0123", profile: str = ""
) -> Call:
    dialect = CHAT if kind == "openai-compatibility" else RESPONSES
    account = Account(
        kind=kind, label="azure", dialect=dialect, base_url=base_url, api_key=Secret(key), profile=profile
    )
    return PROVIDERS[kind](account).call(Endpoint(dialect, Operation.GENERATE), "my gpt/4")


@each(
    "base, path",
    [
        ("", "/openai/v1/chat/completions"),
        ("/", "/openai/v1/chat/completions"),
        ("/openai", "/openai/v1/chat/completions"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/openai/v1/", "/openai/v1/chat/completions"),
        ("/openai/v1?api-version=preview", "/openai/v1/chat/completions?api-version=preview"),
        ("/openai/deployments/d", f"/openai/deployments/d/chat/completions?{OLD}"),
        ("/openai/deployments/d/chat/completions?api-version=2025-01-01-preview",
         "/openai/deployments/d/chat/completions?api-version=2025-01-01-preview"),
        ("/openai/deployments", f"{BY_MODEL}?{OLD}"),
        ("/openai?api-version=2024-06-01", BY_MODEL + "?api-version=2024-06-01"),
        ("?api-version=2024-06-01", BY_MODEL + "?api-version=2024-06-01"),
        ("/models?api-version=2024-05-01-preview", "/models/chat/completions?api-version=2024-05-01-preview"),
    ],
)  # fmt: skip
@each("host", [HOST, "https://RES.cognitiveservices.azure.com:443", "https://res.services.ai.azure.com"])
def test_chat(base: str, path: str, host: str) -> None:
    """The path that is meant, and the key where Azure looks for it."""
    call = called(host + base)
    assert call.url.decode() == host + path
    headers = dict(call.headers)
    assert headers[b"api-key"] == b"key-0123"
    assert b"authorization" not in headers


@each(
    "base, path",
    [
        ("", "/openai/v1/responses"),
        ("/openai/v1", "/openai/v1/responses"),
        (RESPONSES_AT, RESPONSES_AT),
    ],
)  # fmt: skip
def test_responses(base: str, path: str) -> None:
    """Likewise in Responses, which know no deployments in paths."""
    call = called(HOST + base, "codex")
    assert call.url.decode() == HOST + path
    assert dict(call.headers)[b"api-key"] == b"key-0123"


def test_a_token() -> None:
    """One of Entra's goes where tokens do."""
    headers = dict(called(HOST, key="eyJhbGciOi.x.y").headers)
    assert headers[b"authorization"] == b"Bearer eyJhbGciOi.x.y"
    assert b"api-key" not in headers


def test_a_host_of_ones_own() -> None:
    """A gateway in front of Azure is told by its profile; others are left alone."""
    call = called("https://gw.test/openai/deployments/d", profile="azure")
    assert call.url.decode() == f"https://gw.test/openai/deployments/d/chat/completions?{OLD}"
    assert dict(call.headers)[b"api-key"] == b"key-0123"
    for other in ("https://gw.test/openai", "https://openai.azure.com.evil.test/v1", "https://azure.com/v1"):
        call = called(other)
        assert call.url.decode() == other + "/chat/completions"
        assert dict(call.headers)[b"authorization"] == b"Bearer key-0123"


def test_lists() -> None:
    """Only the newer path has one."""
    for base, listed in (("/openai/v1", True), ("/openai/deployments/d", False), ("", True)):
        account = Account(
            kind="openai-compatibility", label="a", dialect=CHAT, base_url=HOST + base, api_key=Secret("k")
        )
        assert (PROVIDERS["openai-compatibility"](account).models_call() is not None) is listed
