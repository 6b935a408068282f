"""OAuth's own messages (RFC 6749, RFC 7636), by oauthlib. No I/O.

oauthlib refuses addresses that are not HTTPS. The only such addresses here are on this machine (the
settings see to that), so these are shown to it as HTTPS ones.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ampproxy.config.schema import OAuthClient
from ampproxy.credentials.oauth.effects import HttpAnswer
from ampproxy.credentials.oauth.failures import Refused, Unavailable
from ampproxy.wire.redact import Redactor, printable

#: How long a token is believed to serve if its vendor does not say.
DEFAULT_LIFETIME = 3600.0
_MAX_MESSAGE_CHARS = 300
_redact = Redactor()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave.

    :param expires_at: seconds since the epoch, by our own clock: the vendor tells a duration.
    :param raw: all that it said.
    """

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: float = 0.0
    id_token: str = field(default="", repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class CodeGrant:
    """One run of the authorization code flow with PKCE (S256).

    :param redirect_url: where the browser comes back to.
    :param verifier: 43 to 128 random characters, URL-safe.
    :param state: random text.
    """

    def __init__(self, client: OAuthClient, redirect_url: str, *, verifier: str, state: str) -> None:
        # Not at the top, here and below: the library is large, and most gateways have no login.
        from oauthlib.oauth2 import WebApplicationClient

        self._client = client
        self._oauth = WebApplicationClient(client.client_id)
        self._verifier = verifier
        self.redirect_url = redirect_url
        self.state = state

    def page(self, **extra: str) -> str:
        """The URL of the page on which the user allows the login."""
        challenge = self._oauth.create_code_challenge(self._verifier, "S256")
        page: str = self._oauth.prepare_request_uri(
            re.sub(r"^http:", "https:", self._client.authorize_url),
            redirect_uri=self.redirect_url,
            scope=list(self._client.scopes),
            state=self.state,
            code_challenge=challenge,
            code_challenge_method="S256",
            **extra,
        )
        return page.replace("https:", urlsplit(self._client.authorize_url).scheme + ":", 1)

    def code(self, brought: str) -> str:
        """The code that the browser brought back, or that the user pasted: the whole URL, its query,
        ``CODE#STATE``, or the code alone.

        :raises Refused: the user did not allow it, it belongs to another attempt, or it is no code.
        """
        query = _query_of(brought.strip())
        state = query.get("state")
        if state is not None and not hmac.compare_digest(state.encode(), self.state.encode()):
            raise Refused(
                "The response belongs to another login attempt (its state differs): start again.",
                "state_mismatch",
            )
        if query.get("error"):
            message_text = _shown(query.get("error_description") or query["error"])
            raise Refused(f"The login was not allowed: {message_text}", _code(query["error"]))
        code = query.get("code", "")
        if not _CODE.fullmatch(code):
            raise Refused("That contains no code: paste the whole address at which the browser ended.")
        return code

    def exchange(self, code: str) -> dict[str, str]:
        """What the token endpoint is sent for the code."""
        body = self._oauth.prepare_request_body(
            code=code, redirect_uri=self.redirect_url, code_verifier=self._verifier, **_secret(self._client)
        )
        return dict(parse_qsl(body))


def renewal(client: OAuthClient, refresh_token: str, scope: str = "") -> dict[str, str]:
    """What the token endpoint is sent for a refresh token."""
    from oauthlib.oauth2 import WebApplicationClient

    oauth = WebApplicationClient(client.client_id)
    more = {"scope": scope} if scope else {}
    body = oauth.prepare_refresh_body(
        refresh_token=refresh_token, client_id=client.client_id, **more, **_secret(client)
    )
    return dict(parse_qsl(body))


def tokens_of(answer: HttpAnswer, now: float) -> Tokens:
    """The tokens that a token endpoint's answer holds.

    :raises Refused: the vendor says no.
    :raises Unavailable: it says to come again, or the answer is no token endpoint's.
    """
    from oauthlib.oauth2 import OAuth2Error, WebApplicationClient

    check(answer)
    raw = answer.json()
    try:
        # The vendors leave out the token's type now and then; it is always this one.
        text = json.dumps({"token_type": "Bearer", **raw})
        WebApplicationClient("").parse_request_body_response(text)
    except OAuth2Error as error:
        raise Unavailable(f"The login server's answer has no token: {_shown(str(error))}") from None
    lifetime = raw.get("expires_in")
    if isinstance(lifetime, str) and re.fullmatch(r"\d{1,10}", lifetime):
        lifetime = int(lifetime)
    if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or lifetime <= 0:
        lifetime = DEFAULT_LIFETIME
    access, refresh, identity = (raw.get(name) for name in ("access_token", "refresh_token", "id_token"))
    if not is_token(access):
        raise Unavailable("The login server's answer has a token that is not allowed in HTTP headers.")
    return Tokens(
        access=str(access),
        refresh=refresh if isinstance(refresh, str) else "",
        expires_at=now + float(lifetime),
        id_token=identity if isinstance(identity, str) else "",
        raw=raw,
    )


def check(answer: HttpAnswer) -> None:
    """Raise what an answer says if it is an error.

    :raises Refused: for good: 400, 401, 403 and other client errors.
    :raises Unavailable: for now: 408, 429 and server errors; and redirects, which are not followed.
    """
    if answer.ok:
        return
    code, message = _complaint(answer)
    message_text = f"The login server answers {answer.status}" + (f": {message}" if message else ".")
    if answer.status in (408, 425, 429) or not 400 <= answer.status < 500:
        raise Unavailable(message_text, _retry_after(answer.headers))
    raise Refused(message_text, code)


def _complaint(answer: HttpAnswer) -> tuple[str, str]:
    """Code and sentence: RFC 6749's own form, or the vendors' objects."""
    try:
        found = answer.json()
    except Unavailable:
        return "", ""
    error = found.get("error")
    if isinstance(error, dict):
        code = error.get("code") or error.get("type") or error.get("status")
        message = error.get("message")
    else:
        code, message = error, found.get("error_description") or found.get("message")
    return _code(code), _shown(message if isinstance(message, str) else code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value) else None


def _secret(client: OAuthClient) -> dict[str, Any]:
    return {} if client.client_secret is None else {"client_secret": client.client_secret.reveal()}


_CODE = re.compile(r"[\x21-\x7e]{4,4096}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,32768}")


def is_token(value: object) -> bool:
    """Whether a header can carry it."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _query_of(text: str) -> dict[str, str]:
    if "://" in text:
        return dict(parse_qsl(urlsplit(text).query))
    if text.startswith("?") or "code=" in text or "error=" in text:
        return dict(parse_qsl(text.lstrip("?")))
    code, marked, state = text.partition("#")
    return {"code": code, "state": state} if marked else {"code": code}


def _code(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[\w.-]{1,80}", value) else ""


def _shown(value: object) -> str:
    """A vendor's words, fit for one line of a log."""
    return printable(_redact.shown(str(value or ""), _MAX_MESSAGE_CHARS))[:_MAX_MESSAGE_CHARS]
