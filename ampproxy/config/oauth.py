"""The section ``oauth``: how logins at each vendor are made and used. Every value has a default."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from ampproxy.config import fields
from ampproxy.config.parsing import InvalidValue, ListOf, Location, ParsedSection, Reader, Section, Setting
from ampproxy.config.schema import CLAUDE_OAUTH, CODEX_OAUTH, GEMINI_OAUTH, OAuth, OAuthClient


def _private_url(place: Location) -> str:
    """A URL that tokens are sent to: on another machine under TLS only."""
    url: str = fields.BASE_URL(place)
    parts = urlsplit(url)
    if parts.scheme == "http" and not fields.is_loopback(parts.hostname or ""):
        raise InvalidValue("would send tokens over the network unencrypted: expected https://")
    return url


def _redirect_url(place: Location) -> str:
    url: str = fields.BASE_URL(place)
    parts = urlsplit(url)
    if parts.hostname == fields.UNSEEN_HOST:
        return url
    if parts.scheme != "http" or not fields.is_loopback(parts.hostname or ""):
        raise InvalidValue(
            "must be an address of this machine: expected for example http://localhost:1455/callback"
        )
    return url


_URL = Reader("URL", _private_url)
_REDIRECT = Reader("URL on this machine", _redirect_url)
_SCOPES = ListOf(fields.NAME, "a list of scopes")


def _rows(client: OAuthClient, *more: Setting) -> tuple[Setting, ...]:
    """What every vendor has, with its own defaults, and what only it has."""
    table: tuple[tuple[str, Any, str], ...] = (
        ("authorize-url", _URL, "The page on which the user approves the login."),
        ("token-url", _URL, "Issues and renews tokens; refresh tokens are sent only there."),
        (
            "client-id",
            fields.NAME,
            "The OAuth client. The default is the one of the vendor's own command line.",
        ),
        ("scopes", _SCOPES, "The permissions of the login."),
        (
            "redirect-url",
            _REDIRECT,
            "The address to which the browser returns; ampproxy listens on its port during the login.",
        ),
        ("base-url", _URL, "The address of the models; access tokens are sent only there."),
    )
    rows = []
    for name, reader, doc in table:
        field = name.replace("-", "_")
        value = getattr(client, field)
        default = ", ".join(value) if isinstance(value, tuple) else value
        rows.append(Setting(name, reader, doc, default))
    return (*rows, *more)


def _of(client: OAuthClient) -> Any:
    def build(found: ParsedSection) -> OAuthClient:
        return replace(client, **found.values)

    return build


_CLAUDE = Section(
    _of(CLAUDE_OAUTH),
    _rows(
        CLAUDE_OAUTH,
        Setting(
            "beta",
            fields.TEXT,
            "Added to `anthropic-beta`: without it the vendor rejects logins.",
            CLAUDE_OAUTH.beta,
        ),
    ),
)
_CODEX = Section(
    _of(CODEX_OAUTH),
    _rows(
        CODEX_OAUTH,
        Setting(
            "device-url",
            _URL,
            "The base of the device flow's calls, `usercode` and `token`.",
            CODEX_OAUTH.device_url,
        ),
        Setting(
            "device-page",
            _URL,
            "The page on which the user enters the device flow's code.",
            CODEX_OAUTH.device_page,
        ),
    ),
)
_GEMINI = Section(
    _of(GEMINI_OAUTH),
    _rows(
        GEMINI_OAUTH,
        Setting(
            "client-secret",
            fields.GIVEN_SECRET,
            "The client's secret, which Google requires. Login files may contain their own.",
        ),
        Setting(
            "userinfo-url", _URL, "Returns the e-mail address of a new login.", GEMINI_OAUTH.userinfo_url
        ),
        Setting(
            "backend",
            fields.choice("code-assist", "api"),
            "The API that new logins use: Code Assist, or the public Gemini API (with an OAuth client "
            "of your own).",
            "code-assist",
        ),
        Setting("api-url", _URL, "The public Gemini API, for `backend: api`.", GEMINI_OAUTH.api_url),
        Setting(
            "project",
            fields.NAME,
            "The Google Cloud project of new logins.",
            "the one that Code Assist names",
        ),
    ),
)

OAUTH = Section(
    lambda found: OAuth(**found.values),
    (
        Setting("claude", _CLAUDE, "Logins at Anthropic."),
        Setting("codex", _CODEX, "Logins at OpenAI."),
        Setting("gemini", _GEMINI, "Logins at Google."),
    ),
)
