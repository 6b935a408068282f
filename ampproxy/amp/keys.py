"""Amp's own keys, by their looks: access tokens, and what a sign-in with OAuth leaves in their place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import msgspec

from ampproxy.wire.late import LatePattern

#: Of users, and of service accounts (``sgamp_sa_``), Git (``sgamp_git_user_``) and what else Amp may add.
_KEY = LatePattern(rb"sgamp_[A-Za-z0-9_-]{8,500}\Z")
#: A JSON Web Signature in its compact form (RFC 7515, section 3.1) whose header and claims are objects. A
#: client that signed in with OAuth presents one.
_JWT = LatePattern(
    rb"eyJ[A-Za-z0-9_-]{2,1000}\.(?P<claims>eyJ[A-Za-z0-9_-]{2,6000})\.[A-Za-z0-9_-]{16,1500}\Z"
)


#: Who issues the tokens of model vendors' logins. A client that presents one of those by mistake must not
#: have it shown to Amp.
_VENDORS = LatePattern(
    r"(?i)(?:https?://)?(?:[a-z0-9-]+\.)*(?:openai|anthropic|claude|google|googleapis|x|microsoftonline|amazonaws)\."
    r"(?:com|ai)(?:[:/]|\Z)"
)


class _Claims(msgspec.Struct):
    sub: str
    iss: str = ""


def find_key(credentials: Iterable[bytes]) -> bytes | None:
    """The first of a request's credentials that looks like a key of Amp's: an access token, or a JWT that
    names a user and no model vendor as its issuer. Whether it is one, Amp alone can tell.
    """
    return next((one for one in credentials if _KEY.match(one) or _is_users(one)), None)


def _is_users(credential: bytes) -> bool:
    """Whether this is a JWT that may be one of Amp's. Its signature is not checked."""
    found = _JWT.match(credential)
    if found is None:
        return False
    claims = found["claims"]
    try:
        text = base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4))
        return not _VENDORS.match(msgspec.json.decode(text, type=_Claims).iss)
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, RecursionError):
        return False


def is_jwt(key: str) -> bool:
    """Whether a key is a JWT, which its client renews within minutes or hours, and nothing else does."""
    return _JWT.match(key.encode("utf-8", "replace")) is not None
