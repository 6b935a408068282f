"""Logins at OpenAI (ChatGPT): authorization code with PKCE, or the device flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ampproxy.config.schema import OAuthClient
from ampproxy.credentials.oauth.effects import Flow, HttpAnswer, Notify, OpenBrowser, Sleep, form, post
from ampproxy.credentials.oauth.failures import Refused, Unavailable
from ampproxy.credentials.oauth.formats import Document, Login, claims, new_document
from ampproxy.credentials.oauth.protocol import CodeGrant, Tokens, check, renewal, tokens_of

#: What a renewal asks for: no more than the login has.
_SCOPE = "openid profile email"
#: Asks for the account's id within the id token, and for a page that ends at our own address.
_PAGE = {"prompt": "login", "id_token_add_organizations": "true", "codex_cli_simplified_flow": "true"}
#: The device flow: seconds between two questions, and after which nobody will come any more.
_INTERVAL, _LOGIN_TIMEOUT = 5.0, 900.0
#: Statuses by which the device flow says that the user has not finished.
_PENDING = (403, 404)


def sign_in(
    client: OAuthClient, redirect_url: str, random: Callable[[int], str], now: Callable[[], float]
) -> Flow[Document]:
    """A new login (see :func:`ampproxy.credentials.oauth.claude.sign_in`)."""
    grant = CodeGrant(client, redirect_url, verifier=random(64), state=random(32))
    page = grant.page(**_PAGE)
    code = grant.code((yield OpenBrowser(page, redirect_url, grant.state)))
    answer = yield form(client.token_url, grant.exchange(code))
    return _document(tokens_of(answer, now()), now())


def sign_in_by_device(
    client: OAuthClient, random: Callable[[int], str], now: Callable[[], float]
) -> Flow[Document]:
    """A new login without a browser on this machine: the user types a code on the vendor's page.

    :raises LoginError: there is none.
    """
    began = now()
    answer = yield post(f"{client.device_url}/usercode", {"client_id": client.client_id})
    check(answer)
    asked = answer.json()
    device, typed = asked.get("device_auth_id"), asked.get("user_code")
    if not isinstance(device, str) or not isinstance(typed, str):
        raise Unavailable("The login server's answer has no code for the device flow.")
    yield Notify(f"Open {client.device_page} in any browser and type the code {typed}")
    interval = _seconds(asked.get("interval"))
    while True:
        yield Sleep(interval)
        answer = yield post(f"{client.device_url}/token", {"device_auth_id": device, "user_code": typed})
        if answer.status not in _PENDING:
            break
        if now() - began > _LOGIN_TIMEOUT:
            raise Refused("The code was not entered in time: start again.", "expired_token")
    return (yield from _finish_device(client, answer, now))


def _finish_device(client: OAuthClient, answer: HttpAnswer, now: Callable[[], float]) -> Flow[Document]:
    check(answer)
    found = answer.json()
    code, verifier = found.get("authorization_code"), found.get("code_verifier")
    if not isinstance(code, str) or not isinstance(verifier, str):
        raise Unavailable("The login server's answer has no code to exchange.")
    callback = client.device_url.replace("/api/accounts/deviceauth", "/deviceauth/callback")
    grant = CodeGrant(client, callback, verifier=verifier, state="")
    answer = yield form(client.token_url, grant.exchange(code))
    return _document(tokens_of(answer, now()), now())


def renew(client: OAuthClient, login: Login, now: Callable[[], float]) -> Flow[Tokens]:
    """New tokens for a login (see :func:`ampproxy.credentials.oauth.claude.renew`)."""
    answer = yield form(client.token_url, renewal(client, login.refresh_token, _SCOPE))
    return _dated(tokens_of(answer, now()), now())


def _dated(tokens: Tokens, now: float) -> Tokens:
    """With the end that the access token itself tells, where the answer does not."""
    if "expires_in" in tokens.raw:
        return tokens
    found = claims(tokens.access)
    ends, issued = found.get("exp"), found.get("iat")
    if isinstance(ends, int) and isinstance(issued, int) and ends > issued:
        return replace(tokens, expires_at=now + (ends - issued))
    return tokens


def _document(tokens: Tokens, now: float) -> Document:
    tokens = _dated(tokens, now)
    identity = Login("", "codex", {"id_token": tokens.id_token})
    return new_document("codex", tokens, now, email=identity.email, account_id=identity.account_id)


def _seconds(value: Any) -> float:
    try:
        return min(max(float(value), 1.0), 60.0)
    except (TypeError, ValueError):
        return _INTERVAL
