"""Logins at Google: authorization code with PKCE, then the project that pays.

There is no device flow: Google allows it for a short list of scopes, and ``cloud-platform`` is not on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ampproxy.config.schema import OAuthClient
from ampproxy.credentials.oauth.effects import Flow, OpenBrowser, Sleep, form, get, post
from ampproxy.credentials.oauth.failures import LoginError, Refused, Unavailable
from ampproxy.credentials.oauth.formats import Document, Login, new_document, with_tokens
from ampproxy.credentials.oauth.protocol import CodeGrant, Tokens, check, renewal, tokens_of
from ampproxy.wire.redact import Secret

#: Seconds between two looks at an onboarding, and how many.
_ONBOARD_PAUSE, _ONBOARD_LOOKS = 5.0, 24
#: What Code Assist wants to know of its caller: nothing in particular.
_METADATA = {
    "ideType": "IDE_UNSPECIFIED",
    "platform": "PLATFORM_UNSPECIFIED",
    "pluginType": "PLUGIN_UNSPECIFIED",
}
#: The tier of those who bring no project of their own.
_FREE = "free-tier"

NEEDS_A_CLIENT = (
    "Google requires a client secret, and there is none: create an OAuth client of the type 'Desktop "
    "app' at https://console.cloud.google.com/auth/clients and put its id and secret into the "
    "configuration as oauth.gemini.client-id and oauth.gemini.client-secret. Login files of CLIProxyAPI "
    "contain the secret of their client."
)


def sign_in(
    client: OAuthClient, redirect_url: str, random: Callable[[int], str], now: Callable[[], float]
) -> Flow[Document]:
    """A new login (see :func:`ampproxy.credentials.oauth.claude.sign_in`)."""
    if client.client_secret is None:
        raise Refused(NEEDS_A_CLIENT, "no_client_secret")
    grant = CodeGrant(client, redirect_url, verifier=random(96), state=random(32))
    page = grant.page(access_type="offline", prompt="consent")
    code = grant.code((yield OpenBrowser(page, redirect_url, grant.state)))
    tokens = tokens_of((yield form(client.token_url, grant.exchange(code))), now())
    answer = yield get(client.userinfo_url, tokens.access)
    check(answer)
    email = answer.json().get("email")
    project = client.project
    if client.backend == "code-assist":
        project = yield from find_project(client, tokens.access)
    made = {"email": email if isinstance(email, str) else "", "auto": not client.project}
    about = {
        "token_uri": client.token_url,
        "client_id": client.client_id,
        "client_secret": client.client_secret.reveal(),
        "scopes": list(client.scopes),
    }
    return {**new_document("gemini", tokens, now(), **made, token=about), **_checked(client, project)}


def renew(client: OAuthClient, login: Login, now: Callable[[], float]) -> Flow[Tokens]:
    """New tokens for a login, with the OAuth client that it was made with.

    They are asked for at the token endpoint of the settings, whatever the file says: a file must not
    name the place where its secrets go.
    """
    client_id, secret = login.client
    if client_id and secret:
        client = replace(client, client_id=client_id, client_secret=Secret(secret))
    if client.client_secret is None:
        raise Refused(NEEDS_A_CLIENT, "no_client_secret")
    answer = yield form(client.token_url, renewal(client, login.refresh_token))
    return tokens_of(answer, now())


def complete(client: OAuthClient, document: Document, now: Callable[[], float]) -> Flow[Document]:
    """A login that was made elsewhere, with a new token, its e-mail address and its project.

    :raises LoginError: they cannot be had.
    """
    login = Login("", "gemini", document)
    tokens = yield from renew(client, login, now)
    answer = yield get(client.userinfo_url, tokens.access)
    email = answer.json().get("email") if answer.ok else None
    project = client.project
    if not project and client.backend == "code-assist":
        project = yield from find_project(client, tokens.access)
    return {
        **with_tokens(login, tokens, now()),
        "email": email if isinstance(email, str) else login.email,
        **_checked(client, project),
    }


def _checked(client: OAuthClient, project: str) -> Document:
    """The members of a login that is known to work."""
    return {
        "project_id": project,
        "checked": True,
        **({"backend": "api"} if client.backend == "api" else {}),
    }


def find_project(client: OAuthClient, access_token: str) -> Flow[str]:
    """The project that Code Assist serves this user under; makes one for those of the free tier.

    :raises LoginError: there is none, and what would help.
    """
    wanted = {"cloudaicompanionProject": client.project} if client.project else {}
    url = f"{client.base_url}/v1internal"
    answer = yield post(
        f"{url}:loadCodeAssist", {**wanted, "metadata": {**_METADATA, **_duet(client)}}, access_token
    )
    check(answer)
    found = answer.json()
    project = client.project or _project(found.get("cloudaicompanionProject"))
    if found.get("currentTier") and project:
        return project
    tier = _tier(found)
    if tier != _FREE and not project:
        raise Refused(
            "Code Assist serves this account only with a Google Cloud project of its own: name it as"
            " oauth.gemini.project.",
            "no_project",
        )
    # For the free tier the vendor makes a project, and takes none.
    own = {} if tier == _FREE else {"cloudaicompanionProject": project}
    asked = {"tierId": tier, **own, "metadata": {**_METADATA, **_duet(client)}}
    for _ in range(_ONBOARD_LOOKS):
        answer = yield post(f"{url}:onboardUser", asked, access_token)
        check(answer)
        operation = answer.json()
        if operation.get("done") is True:
            return _onboarded(operation) or project or _none()
        yield Sleep(_ONBOARD_PAUSE)
    raise Unavailable("Code Assist does not finish preparing the account; try again later.")


def _duet(client: OAuthClient) -> dict[str, str]:
    return {"duetProject": client.project} if client.project else {}


def _project(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("id")
    return value.strip() if isinstance(value, str) else ""


def _tier(found: dict[str, Any]) -> str:
    """The tier that the vendor offers by default."""
    offered = found.get("allowedTiers")
    tiers = [tier for tier in offered if isinstance(tier, dict)] if isinstance(offered, list) else []
    chosen = next((tier for tier in tiers if tier.get("isDefault") is True), {})
    name = chosen.get("id")
    return name if isinstance(name, str) else "legacy-tier"


def _onboarded(operation: dict[str, Any]) -> str:
    response = operation.get("response")
    return _project(response.get("cloudaicompanionProject")) if isinstance(response, dict) else ""


def _none() -> str:
    raise LoginError("Code Assist names no project for this account: set oauth.gemini.project.")
