"""Signing in to the stand-in of Amp with OAuth: where a client learns how, and the identity provider that it
then asks itself, past any gateway. A device is approved at once.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from ampproxy.testing.vendor import Answering, Recorded, Reply, Vendor, VendorError, dump

CLIENT_ID = "client_stand_in"
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
#: Seconds for which a token is good.
LIFETIME = 3600


class AmpSignIn(Vendor):
    """The sign-in.

    :ivar identity_url: where the identity provider is; empty: signing in is by access token only.
    :ivar who: who approves devices.
    """

    users: dict[str, dict[str, Any]]
    identity_url = ""
    who = "demo@example.org"

    def is_identity(self, request: Recorded) -> bool:
        """Whether this is asked without a key: how to sign in, or the identity provider."""
        return request.path == "/api/auth/oauth-config" or request.path.startswith("/user_management/")

    def oauth_config(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /api/auth/oauth-config``."""
        if "authorization" in request.headers or "x-api-key" in request.headers:
            raise VendorError(400, "No key belongs here.", code="unexpected-key")
        if not self.identity_url:
            raise VendorError(404, "Not found", code="not-found")
        found = {"clientID": CLIENT_ID, "apiURL": self.identity_url, "defaultLoginMethod": "oauth"}
        return Reply(body=dump(found))

    def authorize_device(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /user_management/authorize/device``."""
        self._oauth_form(request)
        site = "https://sign-in.example.org/device"
        return Reply(
            body=dump(
                {
                    "device_code": secrets.token_urlsafe(12),
                    "user_code": "ABCD-EFGH",
                    "verification_uri": site,
                    "verification_uri_complete": f"{site}?user_code=ABCD-EFGH",
                    "expires_in": 300,
                    "interval": 1,
                }
            )
        )

    def token(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /user_management/authenticate``."""
        form = self._oauth_form(request)
        if form.get("grant_type") not in (_DEVICE, "refresh_token"):
            raise VendorError(400, "unsupported_grant_type", code="unsupported_grant_type")
        key = self.hand_out_token(self.who)
        return Reply(
            body=dump(
                {"access_token": key, "refresh_token": secrets.token_urlsafe(12), "user": {"email": self.who}}
            )
        )

    def logout(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /api/auth/oauth-logout``: the token is worth nothing any more."""
        self.keys = tuple(key for key in self.keys if key != request.key)
        self.users.pop(request.key, None)
        return Reply(body=dump({"ok": True}))

    def hand_out_token(self, email: str) -> str:
        """A new token of a user's, a JWT."""
        name = email.partition("@")[0]
        claims = {
            "iss": "https://sign-in.example.org",
            "sub": f"user_{name}",
            "sid": f"session_{secrets.token_hex(4)}",
            "exp": int(time.time()) + LIFETIME,
        }
        parts = (_encoded({"alg": "RS256", "typ": "JWT"}), _encoded(claims), secrets.token_urlsafe(48))
        key = ".".join(parts)
        self.users[key] = {"id": f"user-{name}", "email": email, "username": name, "features": []}
        self.keys = (*self.keys, key)
        return key

    def _oauth_form(self, request: Recorded) -> dict[str, str]:
        form = dict(parse_qsl(request.body.decode()))
        if form.get("client_id") != CLIENT_ID:
            raise VendorError(400, "invalid_client", code="invalid_client")
        return form

    sign_in_routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("GET", "/api/auth/oauth-config", oauth_config),
        ("POST", "/api/auth/oauth-logout", logout),
        ("POST", "/user_management/authorize/device", authorize_device),
        ("POST", "/user_management/authenticate", token),
    )


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
