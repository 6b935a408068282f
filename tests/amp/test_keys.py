"""What looks like a key of Amp's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ampproxy.amp.keys import find_key, is_jwt


def token(**claims: Any) -> str:
    """A JWT as a sign-in leaves it."""
    parts = ({"alg": "RS256", "kid": "k"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*encoded, "c2lnbmF0dXJlLXNpZ25hdHVyZQ"))


ANNA = token(iss="https://auth.example.org", sub="user_01", sid="session_01", exp=4102444800)
FULL_OF_CLAIMS = token(iss="https://auth.example.org/user_management/client_01", sub="user_01", x="y" * 3000)


@pytest.mark.parametrize(
    "key", ["sgamp_user_01ANNA_x", "sgamp_sa_01ABC_xyz", "sgamp_git_user_01_abc", ANNA, FULL_OF_CLAIMS]
)
def test_amps_own(key: str) -> None:
    """Access tokens of every kind, and what a sign-in with OAuth leaves."""
    assert find_key([b"something-else", key.encode(), b"sgamp_later_key_01"]) == key.encode()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sk-ant-api03-xyz",
        "sgamp_short",
        "sgamp_with a space",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
        "eyJhbGciOiJub25lIn0.bm8ganNvbiBoZXJl.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
        "eyJhbGciOiJub25lIn0.eyJub3QganNvbg.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
        token(iss="https://auth.example.org"),
        token(iss="https://auth.openai.com", sub="auth0|1"),
        token(iss="accounts.google.com", sub="1"),
        token(iss="https://sts.googleapis.com/", sub="1"),
        token(sub="1", x="y" * 9000),
        ANNA + "\n",
    ],
)
def test_others(key: str) -> None:
    """Nothing else is, above all no token of a model vendor's login, which Amp must not see."""
    assert find_key([key.encode()]) is None


def test_jwt() -> None:
    """A JWT ends soon, so it is known from an access token."""
    assert (is_jwt(ANNA), is_jwt("sgamp_user_01ANNA_x")) == (True, False)
