"""Logins at Anthropic: authorization code with PKCE; the token endpoint takes JSON."""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.config.schema import OAuthClient
from ampproxy.credentials.oauth.effects import Flow, OpenBrowser, post
from ampproxy.credentials.oauth.formats import Document, Login, new_document
from ampproxy.credentials.oauth.protocol import CodeGrant, Tokens, renewal, tokens_of


def sign_in(
    client: OAuthClient, redirect_url: str, random: Callable[[int], str], now: Callable[[], float]
) -> Flow[Document]:
    """A new login.

    :param redirect_url: where the browser comes back to; as the settings say but for the port.
    :param random: URL-safe text of so many random bytes.
    :param now: seconds since the epoch.
    :raises LoginError: there is none.
    """
    grant = CodeGrant(client, redirect_url, verifier=random(96), state=random(32))
    # Without this the vendor shows no page that a code could be copied from.
    page = grant.page(code="true")
    code = grant.code((yield OpenBrowser(page, redirect_url, grant.state)))
    answer = yield post(client.token_url, {**grant.exchange(code), "state": grant.state})
    tokens = tokens_of(answer, now())
    account = tokens.raw.get("account")
    email = account.get("email_address") if isinstance(account, dict) else None
    email = email if isinstance(email, str) else ""
    return new_document("claude", tokens, now(), email=email, id_token="")


def renew(client: OAuthClient, login: Login, now: Callable[[], float]) -> Flow[Tokens]:
    """New tokens for a login.

    :raises LoginError: there are none.
    """
    answer = yield post(client.token_url, renewal(client, login.refresh_token))
    return tokens_of(answer, now())
