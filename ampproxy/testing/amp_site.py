"""The web site of the stand-in of Amp: signing in, and the page that hands a key to the CLI.

It holds to what a careful site does, and so finds out a proxy that does not keep up its appearance: cookies
with the names and attributes that browsers want over HTTPS only, forms that are taken from its own pages
alone (``Origin``, ``Referer``, a token in a cookie), a policy that lets its pages load from its own address
alone, and that address written out in redirects, forms, scripts and data.
"""

from __future__ import annotations

import base64
import json
import secrets
from http.cookies import SimpleCookie
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ampproxy.testing.vendor import Answering, Recorded, Reply, Vendor, VendorError, dump

#: A part of the sign-in lies outside of the paths that a gateway knows.
STYLE, SCRIPT, SESSION = "/_app/site.css", "/_app/site.js", "/api/session"

_CSS = b"""
:root { font: 16px/1.5 system-ui, sans-serif; color: #1d2a26; background: #f2f5f1; }
main { max-width: 24rem; margin: 1.5rem auto; padding: 2rem; background: #fff; border-radius: 12px;
  box-shadow: 0 1px 6px #0002; }
h1 { font-size: 1.3rem; margin: 0 0 1rem; }
label { display: block; margin-bottom: .3rem; font-size: .9rem; }
input[type=email] { box-sizing: border-box; width: 100%; padding: .6rem; border: 1px solid #b6c4bd;
  border-radius: 6px; font: inherit; }
button { margin-top: 1rem; width: 100%; padding: .7rem; border: 0; border-radius: 6px; font: inherit;
  color: #fff; background: #1f6f54; }
code { font-size: .75rem; overflow-wrap: anywhere; }
footer { margin-top: 1.5rem; font-size: .8rem; color: #60706a; }
"""
#: Asks who is signed in, at the address that the page's data names.
_JS = b"""
const site = JSON.parse(document.getElementById("site").textContent);
fetch(site.session).then((answer) => answer.json()).then((session) => {
  document.body.dataset.user = session.user;
  document.body.dataset.ready = "yes";
});
"""


class AmpSite(Vendor):
    """The pages.

    :ivar users: by the keys that were handed out.
    """

    def _begin(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self._sessions: dict[str, str] = {}

    def origin(self, request: Recorded) -> str:
        """The site's own address."""
        return f"{self.scheme}://{request.headers.get('host', '')}"

    def is_of_site(self, request: Recorded) -> bool:
        """Whether this is one of the site's own requests, which need no key."""
        return request.path.startswith("/_app/") or request.path == SESSION

    # Signing in.

    def cli_login(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /auth/cli-login``: signs in first; then asks whether the CLI may have a key."""
        user = self._user(request)
        if user is None:
            target = quote(request.uri, safe="")
            return Reply(
                status=302, headers=(("location", f"{self.origin(request)}/auth/sign-in?returnTo={target}"),)
            )
        fields = {name: request.query.get(name, "") for name in ("authToken", "callbackPort")}
        page = f"Signed in as {user}. The Amp CLI on this computer asks for access to your account."
        return self._form(request, "Authorize the Amp CLI", "/auth/cli-login", fields, page, "Authorize")

    def sign_in(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /auth/sign-in``: asks for an address; a password nobody needs here."""
        fields = {"returnTo": request.query.get("returnTo", "/")}
        control = '<label for="email">Your e-mail address</label><input type="email" id="email" name="email">'
        return self._form(request, "Sign in to Amp", "/auth/sign-in", fields, control, "Sign in")

    def signed_in(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /auth/sign-in``: a session, and back to where it began."""
        form = self._checked(request)
        if "@" not in form.get("email", ""):
            raise VendorError(400, "That is not an address.")
        token = secrets.token_urlsafe(18)
        self._sessions[token] = form["email"]
        host = request.headers.get("host", "").partition(":")[0]
        cookie = f"__Secure-session={token}; Domain={host}; Path=/; HttpOnly; Secure; SameSite=Lax"
        target = form.get("returnTo", "/")
        target = target if target.startswith("/") and not target.startswith("//") else "/"
        return Reply(
            status=303, headers=(("set-cookie", cookie), ("location", self.origin(request) + target))
        )

    def authorized(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /auth/cli-login``: a new key, to the CLI's own port or as a code to be pasted."""
        form = self._checked(request)
        user = self._user(request)
        if user is None:
            raise VendorError(401, "Sign in first.", code="auth-required")
        token, port = form.get("authToken", ""), form.get("callbackPort", "")
        key = self.hand_out(user)
        if not port:
            code = base64.b64encode(dump({"token": token, "accessToken": key})).decode()
            return self._page(request, "Paste this code", f"<p>Into the terminal:</p><code>{code}</code>")
        query = urlencode({"accessToken": key, "authToken": token})
        target = f"http://127.0.0.1:{int(port)}/auth/callback?{query}"
        return Reply(status=302, headers=(("location", target),))

    def hand_out(self, email: str) -> str:
        """A new key of a user's."""
        key = f"sgamp_{secrets.token_urlsafe(18)}"
        name = email.partition("@")[0]
        self.users[key] = {"id": f"user-{name}", "email": email, "username": name, "features": []}
        self.keys = (*self.keys, key)
        return key

    # What the pages need.

    def session(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /api/session``: who is signed in, by the cookie."""
        return Reply(body=dump({"user": self._user(request) or ""}))

    def style(self, request: Recorded, _: dict[str, str]) -> Reply:
        """The style sheet."""
        return Reply(body=_CSS, content_type="text/css")

    def script(self, request: Recorded, _: dict[str, str]) -> Reply:
        """The script."""
        return Reply(body=_JS, content_type="text/javascript")

    def _cookies(self, request: Recorded) -> dict[str, str]:
        jar: SimpleCookie = SimpleCookie(request.headers.get("cookie", ""))
        return {name: morsel.value for name, morsel in jar.items()}

    def _user(self, request: Recorded) -> str | None:
        return self._sessions.get(self._cookies(request).get("__Secure-session", ""))

    def _checked(self, request: Recorded) -> dict[str, str]:
        """A form's fields, if one of the site's own pages sent it.

        :raises VendorError: another site's did, as far as anybody can tell.
        """
        own = self.origin(request)
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        proof = self._cookies(request).get("__Host-csrf")
        referer = urlsplit(request.headers.get("referer", ""))
        if request.headers.get("origin") != own or f"{referer.scheme}://{referer.netloc}" != own:
            raise VendorError(403, "Cross-site POST form submissions are forbidden.")
        if not proof or form.get("csrf") != proof:
            raise VendorError(403, "The form is stale.")
        return form

    def _form(
        self, request: Recorded, title: str, path: str, fields: dict[str, str], content: str, button: str
    ) -> Reply:
        proof = secrets.token_urlsafe(12)
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{_escaped(value)}">'
            for name, value in {**fields, "csrf": proof}.items()
        )
        body = (
            f'<form method="post" action="{self.origin(request)}{path}">{hidden}<div>{content}</div>'
            f"<button>{button}</button></form>"
        )
        cookie = f"__Host-csrf={proof}; Path=/; HttpOnly; Secure; SameSite=Strict"
        return self._page(request, title, body, ("set-cookie", cookie))

    def _page(self, request: Recorded, title: str, content: str, *headers: tuple[str, str]) -> Reply:
        own = self.origin(request)
        data = json.dumps({"session": own + SESSION}).replace("/", "\\/")
        body = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<link rel="stylesheet" href="{own}{STYLE}"></head>'
            f"<body><main><h1>{title}</h1>{content}"
            f'<footer>A stand-in of <a href="{own}/docs">{own}</a></footer></main>'
            f'<script type="application/json" id="site">{data}</script>'
            f'<script type="module" src="{SCRIPT}"></script></body></html>'
        )
        policy = (
            f"default-src 'none'; style-src {own}; script-src 'self'; connect-src {own};"
            f" form-action {own} http://127.0.0.1:*; upgrade-insecure-requests"
        )
        return Reply(
            body=body.encode(),
            content_type="text/html; charset=utf-8",
            headers=(("content-security-policy", policy), ("referrer-policy", "same-origin"), *headers),
        )

    site_routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("GET", "/auth/cli-login", cli_login),
        ("POST", "/auth/cli-login", authorized),
        ("GET", "/auth/sign-in", sign_in),
        ("POST", "/auth/sign-in", signed_in),
        ("GET", STYLE, style),
        ("GET", SCRIPT, script),
        ("GET", SESSION, session),
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
