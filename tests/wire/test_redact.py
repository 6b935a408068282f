"""Secrets that cannot be shown."""

from __future__ import annotations

import pytest

from ampproxy.wire.redact import _HINTS, Redactor, Secret, _shapes, printable
from tests.cases import each

CANARY = "canary-4711/plus+x"


@pytest.mark.parametrize(
    "text",
    [
        "it was canary-4711/plus+x!",
        "GET /?q=canary-4711%2Fplus%2Bx",
        "Authorization: Bearer canary9",
        "{'authorization': 'Bearer canary9'}",
        '{"Authorization":"canary9"}',
        "proxy-authorization: Basic canary9",
        "x-api-key: canary9",
        "X-Goog-Api-Key=canary9",
        "GET /v1beta/models?alt=sse&key=canary9&x=1",
        '{\\"api_key\\":\\"canary9\\"}',
        "refresh_token=canary9",
        "sent bearer canary9 to it",
        "Incorrect API key provided: sk-ant-canary9.",
        "sk-proj-canary9",
        "AIzaSycanary9canary9",
        "password = canary9",
        "password: the-canary9",
        "api-key: issue-canary9",
        "Cookie: session=canary9; other=canary9",
        "{'set-cookie': 'session=canary9; Path=/'}",
        "tunnel through http://anna:canary9@proxy.test:3128 failed",
    ],
)
def test_no_secret_stands_in_a_text(text: str) -> None:
    """A log line or an error never shows a key, known or of a known shape."""
    shown = Redactor([Secret(CANARY)]).text(text)
    assert "canary" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "invalid x-api-key",
        "unknown key: strategy",
        "monkey=banana",
        "model claude-x is unknown",
        "a risk-averse ask-me",
        'claude-api-key:\n  - api-key: "YOUR-KEY"\n    models:\n',
        "api-key: ${ANTHROPIC_API_KEY}",
        "api-key: file:/run/secrets/anthropic",
        "claude-api-key[0].api-key: the secret's file /s cannot be read: Is a directory",
        "ampcode.upstream-api-key: changed; oauth.gemini.client-secret: set",
        "api-key: is empty",
        "set api-keys:\nnothing else",
        "claude-login[anna@example.com] at https://api.anthropic.com:443/v1",
        "",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """What is no secret stays readable; a secret of a few letters does not blot out words."""
    assert Redactor([Secret("claude"[:3]), Secret("")]).text(text) == text


@pytest.mark.parametrize("before", ["", "token-", "x_", "-eyJ-", "a.b.", "eyJ.", "\u00e9-"])
def test_json_web_token(before: str) -> None:
    """A token is cut wherever it stands, and what stands before it stays."""
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
    shown = Redactor().text(f"{before}{token} is no good")
    assert "***" in shown
    assert "eyJh" not in shown
    assert "c2ln" not in shown
    assert shown.endswith(" is no good")


@pytest.mark.parametrize("secret", [CANARY, "sk-" + "canary9" * 50, f"eyJ{'canary9' * 500}.eyJcanary9.c"])
@pytest.mark.parametrize("filler", ["x ", "key=y&", "sk-123456789 "])
def test_beginning_of_a_long_text(secret: str, filler: str) -> None:
    """However long a text is and wherever it is cut, no part of a secret is left at the end."""
    redactor = Redactor([Secret(CANARY)])
    for place in (*range(3900, 4020), *range(0, 12000, 997)):
        text = f"{filler * (place // len(filler))} {secret} {filler * 4000}"
        shown = redactor.shown(text, 4000)
        assert len(shown) <= 4000
        assert "canar" not in shown
    assert redactor.shown("x" * 20000, 4000) == "x" * 4000
    assert redactor.shown("short", 4000) == "short"


def test_longest_secret_first() -> None:
    """Nothing is left over of a secret that begins with another."""
    assert Redactor([Secret("abcdef"), Secret("abcdefghij")]).text("abcdefghij abcdef") == "*** ***"


def test_printable() -> None:
    """A text from others cannot forge log lines or steer a terminal."""
    assert (
        printable("a\r\nb\x1b[2J\u202e\u2028\x85z\u00e9") == "a\\x0d\\x0ab\\x1b[2J\\u202e\\u2028\\x85z\u00e9"
    )


def test_secret_never_shows() -> None:
    """Formatting a secret shows no part of it."""
    secret = Secret(CANARY)
    assert "canary" not in f"{secret!r} {secret} {[secret]}"
    assert secret.matches(CANARY.encode())
    assert not Secret("")


@each("word", ["".join(filter(str.isalnum, hint)) + "Aa1" * 20 for hint in _HINTS])
def test_words_without_a_mark(word: str) -> None:
    """What is letters and digits alone is looked through for the one shape that needs no mark."""
    cut = word
    for _, pattern, kept in _shapes():
        cut = pattern.sub(kept, cut)
    assert Redactor().text(word) == cut
    assert (cut != word) is word.startswith("aiza")
