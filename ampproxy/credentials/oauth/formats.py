"""Login files: CLIProxyAPI's format, read and written, and the vendors' own command lines' files, read.

A file is a JSON object, one login. What stands in it and is not ours is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, get_args

import msgspec

from ampproxy.credentials.oauth.failures import BadFile
from ampproxy.credentials.oauth.protocol import Tokens

Kind = Literal["claude", "codex", "gemini"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Names under which a file may say when its token expires.
_EXPIRY = ("expired", "expire", "expires_at", "expiresAt", "expiry", "expires")
#: The member of a Codex id token that tells about the ChatGPT account.
_OPENAI_CLAIM = "https://api.openai.com/auth"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Login:
    """One login file as it was read.

    :param name: the file's name.
    :param document: all of it.
    :param digest: of its bytes: tells whether it has changed.
    """

    name: str
    kind: Kind
    document: Document = field(repr=False)
    digest: bytes = field(default=b"", repr=False)

    @property
    def _tokens(self) -> Mapping[str, Any]:
        """Where the tokens stand: Gemini's in an object of their own."""
        inner = self.document.get("token")
        return inner if self.kind == "gemini" and isinstance(inner, dict) else self.document

    def _text(self, name: str) -> str:
        value = self.document.get(name)
        return value.strip() if isinstance(value, str) else ""

    @property
    def access_token(self) -> str:
        """The access token, or empty."""
        return _string(self._tokens.get("access_token"))

    @property
    def refresh_token(self) -> str:
        """The refresh token, or empty."""
        return _string(self._tokens.get("refresh_token"))

    @property
    def id_token(self) -> str:
        """The id token, or empty."""
        return _string(self._tokens.get("id_token"))

    @property
    def expires_at(self) -> float | None:
        """Seconds since the epoch, by the clock of whoever wrote it; ``None``: it does not say."""
        for members in (self._tokens, self.document):
            for name in _EXPIRY:
                moment = parse_time(members.get(name))
                if moment is not None:
                    return moment
        return None

    @property
    def last_refresh(self) -> float | None:
        """Seconds since the epoch, by the clock of whoever wrote it."""
        return parse_time(self.document.get("last_refresh"))

    @property
    def email(self) -> str:
        """Whose login it is, or empty."""
        return self._text("email") or _string(claims(self.id_token).get("email"))

    @property
    def account_id(self) -> str:
        """Codex: the ChatGPT account."""
        return self._text("account_id") or _string(_openai(self.id_token).get("chatgpt_account_id"))

    @property
    def plan(self) -> str:
        """Codex: free, plus, pro, team and so on."""
        return _string(_openai(self.id_token).get("chatgpt_plan_type")).lower()

    @property
    def projects(self) -> tuple[str, ...]:
        """Gemini: the Google Cloud projects; each is an account."""
        return tuple(dict.fromkeys(p.strip() for p in self._text("project_id").split(",") if p.strip()))

    @property
    def backend(self) -> str:
        """Gemini: ``api`` for the public API, ``code-assist``, or empty."""
        return self._text("backend")

    @property
    def client(self) -> tuple[str, str]:
        """Gemini: the OAuth client that the refresh token belongs to, and its secret; may be empty."""
        found = self._tokens
        return _string(found.get("client_id")), _string(found.get("client_secret"))

    @property
    def disabled(self) -> bool:
        """Whether its owner switched it off."""
        return self.document.get("disabled") is True


def parse(name: str, data: bytes) -> Login | None:
    """A login file's content; ``None``: it belongs to a vendor that we do not serve.

    :raises BadFile: it is no login's, or not whole.
    """
    document, kind = _read(name, data)
    kind = {"gemini-cli": "gemini"}.get(kind, kind)
    if kind not in KINDS:
        return None
    return Login(name, kind, document, hashlib.sha256(data).digest())


def kind_of(name: str, data: bytes) -> str:
    """What a login file calls its kind, whether it is served or not.

    :raises BadFile: it is no login's, or not whole.
    """
    return _read(name, data)[1]


def _read(name: str, data: bytes) -> tuple[Document, str]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadFile(f"{name} is not a JSON object")
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        raise BadFile(f"{name} has no type")
    return document, kind


def dump(document: Document) -> bytes:
    """A document as a file's content."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def with_tokens(login: Login, tokens: Tokens, now: float) -> Document:
    """The login's document with new tokens in it. A token that the vendor did not renew stays."""
    document = dict(login.document)
    into = document
    if login.kind == "gemini":
        into = dict(login._tokens) if login._tokens is not login.document else {}
        document["token"] = into
        into.update(token_type="Bearer")  # noqa: S106  its kind
        into["expiry"] = format_time(tokens.expires_at)
    else:
        document["expired"] = format_time(tokens.expires_at)
        for stale in _EXPIRY[1:]:
            document.pop(stale, None)
        document["last_refresh"] = format_time(now)
    into["access_token"] = tokens.access
    if tokens.refresh:
        into["refresh_token"] = tokens.refresh
    if tokens.id_token:
        into["id_token"] = tokens.id_token
    return document


def new_document(kind: Kind, tokens: Tokens, now: float, **members: Any) -> Document:
    """The document of a new login.

    :param members: what else it has.
    """
    return with_tokens(Login("", kind, {"type": kind, **members}), tokens, now)


def is_older(current: Login, than: Tokens, used: str) -> bool:
    """Whether a file's tokens may be replaced by new ones: it still has the refresh token that these
    were got for, or its access token ends sooner.
    """
    if current.refresh_token == used:
        return True
    ends = current.expires_at
    return ends is None or ends < than.expires_at


def file_name(kind: Kind, document: Document) -> str:
    """The name that CLIProxyAPI gives such a login's file."""
    login = Login("", kind, document)
    parts: list[str] = [kind, login.email or "imported"]
    if kind == "codex" and login.plan == "team":
        parts = [kind, hashlib.sha256(login.account_id.encode()).hexdigest()[:8], parts[1], "team"]
    elif kind == "codex" and login.plan:
        parts.append(login.plan)
    elif kind == "gemini":
        projects = login.projects
        parts += ["all"] if len(projects) > 1 else list(projects)
    safe = re.sub(r"[^\w.@+-]", "_", "-".join(parts)).lstrip(".")
    return f"{safe[:200]}.json"


def claims(token: str) -> Mapping[str, Any]:
    """What a JWT says. Its signature is not checked: it came from the vendor itself over TLS
    (OpenID Connect Core, section 3.1.3.7), and nothing is allowed because of it.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        value = msgspec.json.decode(_unpadded(parts[1]))
    except (ValueError, msgspec.DecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _openai(token: str) -> Mapping[str, Any]:
    found = claims(token).get(_OPENAI_CLAIM)
    return found if isinstance(found, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?\s*([Zz]|[+-]\d\d:?\d\d)?",
)


def parse_time(value: object) -> float | None:
    """RFC 3339 with any number of decimals, or seconds or milliseconds since the epoch; else ``None``.

    Go's zero time (year 1) counts as none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) / 1000 if value > 1e11 else float(value) or None
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d{9,14}", value):
        return parse_time(int(value))
    found = _TIME.fullmatch(value.strip())
    if not found:
        return None
    day, time, fraction, zone = found.groups()
    zone = "+00:00" if zone is None or zone in "Zz" else zone
    zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{zone}").timestamp()
    except (ValueError, OverflowError):
        return None
    return moment + float(fraction or 0) if moment > 0 else None


def format_time(moment: float) -> str:
    """RFC 3339, in UTC, to the second."""
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def imported(kind: Kind, data: bytes) -> Document:
    """A file of the vendor's own command line as one of ours.

    ``codex``: ``~/.codex/auth.json``; ``claude``: ``~/.claude/.credentials.json``; ``gemini``:
    ``~/.gemini/oauth_creds.json``.

    :raises BadFile: there is no login in it.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadFile("it is not a JSON object")
    document = _IMPORTS[kind](found)
    login = Login("", kind, document)
    if not login.refresh_token:
        raise BadFile("it contains no login with a refresh token")
    return document


def _from_codex(found: Document) -> Document:
    tokens = found.get("tokens")
    tokens = tokens if isinstance(tokens, dict) else {}
    names = ("access_token", "refresh_token", "id_token", "account_id")
    login = Login("", "codex", {name: _string(tokens.get(name)) for name in names})
    expires = parse_time(claims(login.access_token).get("exp"))
    return {
        "type": "codex",
        **login.document,
        "account_id": login.account_id,
        "email": login.email,
        "last_refresh": _string(found.get("last_refresh")),
        **({"expired": format_time(expires)} if expires else {}),
    }


def _from_claude(found: Document) -> Document:
    inner = found.get("claudeAiOauth")
    inner = inner if isinstance(inner, dict) else {}
    expires = parse_time(inner.get("expiresAt"))
    return {
        "type": "claude",
        "access_token": _string(inner.get("accessToken")),
        "refresh_token": _string(inner.get("refreshToken")),
        "id_token": "",
        "email": "",
        **({"expired": format_time(expires)} if expires else {}),
    }


def _from_gemini(found: Document) -> Document:
    expires = parse_time(found.get("expiry_date"))
    identity = _string(found.get("id_token"))
    return {
        "type": "gemini",
        "email": _string(claims(identity).get("email")),
        "project_id": "",
        "auto": True,
        "checked": False,
        "token": {
            "access_token": _string(found.get("access_token")),
            "refresh_token": _string(found.get("refresh_token")),
            "token_type": "Bearer",
            **({"expiry": format_time(expires)} if expires else {}),
        },
    }


_IMPORTS = {"codex": _from_codex, "claude": _from_claude, "gemini": _from_gemini}
#: Below the home folder: where the vendors' own command lines keep their login.
FOREIGN: dict[Kind, str] = {
    "claude": ".claude/.credentials.json",
    "codex": ".codex/auth.json",
    "gemini": ".gemini/oauth_creds.json",
}
