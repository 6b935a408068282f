"""A strict stand-in of the vendors' authorization servers. No I/O; the clock is handed in.

It knows three clients, as the real servers do: Anthropic's (JSON), OpenAI's (forms, device flow) and Google's
(forms, a client secret, Code Assist's project calls). It is stricter than they are:

- every parameter of an authorization request must be there, and PKCE with S256;
- a code serves once, for its own client, redirect URL and verifier, within a minute;
- a refresh token serves once; used again, the whole login is revoked;
- a redirect URL's path is exact, its host loopback.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from ampproxy.testing.stand_in import StandIn, start_vendor
from ampproxy.testing.vendor import Answering, Recorded, Reply, Scripts, Vendor, VendorError, dump

CODE_LIFETIME = 60.0


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client as its vendor has registered it."""

    id: str
    redirect_path: str
    json: bool = False
    secret: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


CLIENTS: dict[str, Client] = {
    "claude": Client("demo-claude", "/callback", json=True, query={"code": "true"}),
    "codex": Client(
        "demo-codex",
        "/auth/callback",
        query={"prompt": "login", "id_token_add_organizations": "true", "codex_cli_simplified_flow": "true"},
    ),
    "gemini": Client(
        "demo-gemini",
        "/oauth2callback",
        secret="demo-client-secret",  # noqa: S106  made up
        query={"access_type": "offline", "prompt": "consent"},
    ),
}


@dataclass(slots=True)
class Grant:
    """What a user has allowed: a login, its tokens, and whether it still holds."""

    kind: str
    email: str
    refresh: str = ""
    access: dict[str, float] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    revoked: bool = False
    renewals: int = 0


@dataclass(slots=True)
class _Code:
    kind: str
    email: str
    redirect: str
    challenge: str
    until: float


class AuthorizationServer(Vendor):
    """The stand-in.

    :param clock: seconds since the epoch.
    :ivar lifetime: seconds that an access token serves.
    :ivar rotates: whether a renewal gives a new refresh token and spends the old one.
    :ivar failing: answers (status, Retry-After or ``None``) to the next token requests, in order.
    :ivar email: whose login the next one is.
    :ivar grants: every login so far.
    :ivar reused: how often a spent refresh token was used.
    :ivar onboarding: how many looks an onboarding takes.
    """

    name = "authorization-server"

    def __init__(
        self, scripts: Scripts | None = None, keys: Any = (), clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        super().__init__(scripts or Scripts(), keys)
        self._clock = clock
        self.lifetime = 3600.0
        self.rotates = True
        self.failing: list[tuple[int, float | None]] = []
        self.email = "anna@example.org"
        self.chatgpt_plan = "plus"
        self.grants: list[Grant] = []
        self.reused = 0
        self.onboarding = 1
        self.device_pending = 2
        self.interval = 5
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, tuple[str, str]] = {}

    def authenticate(self, request: Recorded) -> str:
        """Nobody needs a key here; a credential of another kind must not come."""
        for name in ("x-api-key", "x-goog-api-key", "cookie"):
            if name in request.headers:
                raise VendorError(400, f"A login server wants no {name}.", code="invalid_request")
        return ""

    def refusal(self, error: VendorError) -> Reply:
        """RFC 6749, section 5.2."""
        retry = [("retry-after", f"{error.retry_after:g}")] if error.retry_after is not None else []
        body = {"error": error.code or "invalid_request", "error_description": error.message}
        return Reply(status=error.status, body=dump(body), headers=tuple(retry))

    def allow(self, url: str) -> str:
        """What a browser does whose user allows the login: the URL that it is sent back to.

        :raises VendorError: the request is wrong.
        """
        query = dict(parse_qsl(urlsplit(url).query))
        kind, client = self._client(query.get("client_id", ""))
        needed = {"response_type": "code", "code_challenge_method": "S256", **client.query}
        for name, value in needed.items():
            if query.get(name) != value:
                raise VendorError(400, f"{name} must be {value}.")
        redirect = urlsplit(query.get("redirect_uri", ""))
        if redirect.hostname not in ("localhost", "127.0.0.1") or redirect.path != client.redirect_path:
            raise VendorError(400, "redirect_uri is not registered.")
        if not re.fullmatch(r"[\w-]{43}", query.get("code_challenge", "")):
            raise VendorError(400, "code_challenge is no SHA-256.")
        if len(query.get("state", "")) < 16 or not query.get("scope"):
            raise VendorError(400, "state and scope must be there.")
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(
            kind, self.email, query["redirect_uri"], query["code_challenge"], self._clock() + CODE_LIFETIME
        )
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def grant(self, kind: str) -> dict[str, Any]:
        """A login without any ceremony: the token answer."""
        return self._issue(Grant(kind, self.email), new=True)

    def knows(self, token: str) -> Grant | None:
        """The login of an access token that serves."""
        now = self._clock()
        for grant in self.grants:
            if not grant.revoked and grant.access.get(token, 0.0) > now:
                return grant
        return None

    def authorize(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /authorize``: the user allows everything at once."""
        return Reply(status=302, headers=(("location", self.allow(request.uri)),))

    def token(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /token``: for a code, or for a refresh token."""
        if self.failing:
            status, retry_after = self.failing.pop(0)
            raise VendorError(status, "Not now.", code="temporarily_unavailable", retry_after=retry_after)
        fields, is_json = _fields(request)
        kind, client = self._client(fields.get("client_id", ""))
        if client.json != is_json:
            raise VendorError(400, "The body has the wrong content type.")
        if client.secret and fields.get("client_secret") != client.secret:
            raise VendorError(401, "The client secret is wrong.", code="invalid_client")
        answers = {"authorization_code": self._redeem, "refresh_token": self._renew}
        grant_type = fields.get("grant_type", "")
        if grant_type not in answers:
            raise VendorError(400, "No such grant_type.", code="unsupported_grant_type")
        return Reply(body=dump(answers[grant_type](kind, fields)))

    def _redeem(self, kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
        code = self._codes.pop(fields.get("code", ""), None)
        verifier = fields.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        if code is None or code.kind != kind or code.until < self._clock():
            raise VendorError(400, "The code is unknown, spent or too old.", code="invalid_grant")
        if code.redirect != fields.get("redirect_uri"):
            raise VendorError(400, "redirect_uri is another one.", code="invalid_grant")
        if len(verifier) < 43 or not hmac.compare_digest(digest, code.challenge.encode()):
            raise VendorError(400, "code_verifier does not fit.", code="invalid_grant")
        if kind == "claude" and not fields.get("state"):
            raise VendorError(400, "state must be there.")
        return self._issue(Grant(kind, code.email), new=True)

    def _renew(self, kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
        token = fields.get("refresh_token", "")
        for grant in self.grants:
            if token in grant.spent:
                self.reused += 1
                grant.revoked = True
        found = next((grant for grant in self.grants if grant.refresh == token and grant.kind == kind), None)
        if found is None or found.revoked:
            raise VendorError(400, "The refresh token is spent or revoked.", code="invalid_grant")
        found.renewals += 1
        return self._issue(found, new=self.rotates)

    def _issue(self, grant: Grant, *, new: bool) -> dict[str, Any]:
        if grant not in self.grants:
            self.grants.append(grant)
        access = f"{grant.kind}-access-{secrets.token_urlsafe(12)}"
        grant.access[access] = self._clock() + self.lifetime
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
        }
        if new:
            if grant.refresh:
                grant.spent.add(grant.refresh)
            grant.refresh = f"{grant.kind}-refresh-{secrets.token_urlsafe(12)}"
            answer["refresh_token"] = grant.refresh
        if grant.kind == "claude":
            answer["account"] = {"uuid": "u", "email_address": grant.email}
        if grant.kind == "codex":
            answer["id_token"] = self._identity(grant)
        return answer

    def _identity(self, grant: Grant) -> str:
        claim = {"chatgpt_account_id": "account-1", "chatgpt_plan_type": self.chatgpt_plan}
        return jwt({"email": grant.email, "https://api.openai.com/auth": claim})

    def _client(self, client_id: str) -> tuple[str, Client]:
        for kind, client in CLIENTS.items():
            if client.id == client_id:
                return kind, client
        raise VendorError(401, "There is no such client.", code="invalid_client")

    def device_code(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /deviceauth/usercode``: a code for the user to type."""
        fields, _json = _fields(request)
        self._client(fields.get("client_id", ""))
        device, typed = secrets.token_urlsafe(12), "ABCD-1234"
        self._devices[device] = (typed, secrets.token_urlsafe(48))
        answer = {"device_auth_id": device, "user_code": typed, "interval": str(self.interval)}
        return Reply(body=dump(answer))

    def device_token(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /deviceauth/token``: a code to exchange, once the user has typed."""
        fields, _json = _fields(request)
        typed, verifier = self._devices.get(fields.get("device_auth_id", ""), ("", ""))
        if not typed or typed != fields.get("user_code"):
            raise VendorError(400, "No such device.", code="invalid_grant")
        if self.device_pending > 0:
            self.device_pending -= 1
            raise VendorError(403, "Not yet.", code="authorization_pending")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        code = secrets.token_urlsafe(24)
        callback = f"{self.origin}/deviceauth/callback"
        self._codes[code] = _Code("codex", self.email, callback, challenge, self._clock() + CODE_LIFETIME)
        return Reply(body=dump({"authorization_code": code, "code_verifier": verifier}))

    #: Under which origin it is reached; whoever puts it on a socket says so.
    origin = "http://127.0.0.1"

    def userinfo(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /userinfo``."""
        return Reply(body=dump({"email": self._bearer(request).email}))

    def load_code_assist(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1internal:loadCodeAssist``."""
        self._bearer(request)
        if self.onboarding <= 0:
            known = {"currentTier": {"id": "free-tier"}, "cloudaicompanionProject": "found-project"}
            return Reply(body=dump(known))
        tiers = [{"id": "standard-tier"}, {"id": "free-tier", "isDefault": True}]
        return Reply(body=dump({"allowedTiers": tiers}))

    def onboard(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1internal:onboardUser``: an operation that takes its time."""
        self._bearer(request)
        asked = json.loads(request.body)
        if asked.get("tierId") != "free-tier" or "cloudaicompanionProject" in asked:
            raise VendorError(400, "The free tier takes no project.")
        self.onboarding -= 1
        if self.onboarding > 0:
            return Reply(body=dump({"name": "operations/1", "done": False}))
        response = {"cloudaicompanionProject": {"id": "made-project"}}
        return Reply(body=dump({"name": "operations/1", "done": True, "response": response}))

    def _bearer(self, request: Recorded) -> Grant:
        grant = self.knows(request.bearer() or "")
        if grant is None:
            raise VendorError(401, "The access token is unknown or has ended.", code="invalid_token")
        return grant

    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("GET", "/authorize", authorize),
        ("POST", "/token", token),
        ("POST", "/api/accounts/deviceauth/usercode", device_code),
        ("POST", "/api/accounts/deviceauth/token", device_token),
        ("GET", "/userinfo", userinfo),
        ("POST", "/v1internal:loadCodeAssist", load_code_assist),
        ("POST", "/v1internal:onboardUser", onboard),
    )


def jwt(claims: Mapping[str, Any]) -> str:
    """An unsigned token with these claims."""
    parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + ".x"


def _fields(request: Recorded) -> tuple[dict[str, str], bool]:
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json":
        return request.json, True
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode(), strict_parsing=True)), False
    raise VendorError(400, "The body is neither JSON nor a form.")


async def start(reactor: Any, **settings: Any) -> StandIn:
    """A running stand-in (see :func:`start_vendor`; also ``clock``)."""
    stand_in = start_vendor(reactor, AuthorizationServer, **settings)
    server: Any = stand_in.vendor
    server.origin = stand_in.url
    return stand_in


def settings_for(origin: str) -> str:
    """The section ``oauth`` of a configuration that logs in here."""
    common = f"authorize-url: {origin}/authorize\n    token-url: {origin}/token"
    return f"""oauth:
  claude:
    {common}
    client-id: {CLIENTS["claude"].id}
    base-url: {origin}
  codex:
    {common}
    client-id: {CLIENTS["codex"].id}
    base-url: {origin}
    device-url: {origin}/api/accounts/deviceauth
    device-page: {origin}/device
  gemini:
    {common}
    client-id: {CLIENTS["gemini"].id}
    client-secret: {CLIENTS["gemini"].secret}
    base-url: {origin}
    userinfo-url: {origin}/userinfo
"""
