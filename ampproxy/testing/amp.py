"""A stand-in of the Amp upstream: the control plane, the web pages, and the four dialects for credits.

It wants the Amp key as ``Authorization: Bearer`` and as ``X-Api-Key`` alike, except on the pages that
a browser opens, and refuses headers which would tell it about the way the request came.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

from ampproxy.testing.amp_cloud import METHODS, AmpCloud, CloudError
from ampproxy.testing.amp_sign_in import AmpSignIn
from ampproxy.testing.amp_site import AmpSite
from ampproxy.testing.anthropic import Anthropic
from ampproxy.testing.gemini import Gemini
from ampproxy.testing.openai_chat import OpenAIChat
from ampproxy.testing.openai_responses import OpenAIResponses
from ampproxy.testing.schema import Mismatch
from ampproxy.testing.stand_in import StandIn, start_vendor
from ampproxy.testing.vendor import Answering, Recorded, Reply, Scripts, Vendor, VendorError, dump

#: Headers that a gateway adds, and those by which an SDK tells which program runs and where. What else SDKs
#: put on (``X-Stainless-Retry-Count``) comes from every client of Amp's.
LEAKING = re.compile(
    r"x-forwarded-.*|x-real-ip|forwarded|via|x-goog-api-key"
    r"|x-stainless-(?:arch|lang|os|package-version|runtime|runtime-version)"
)
#: Paths that a browser opens: no key is needed there, and one that comes anyhow must be the right one.
_PAGES = re.compile(r"/(?:auth|threads|docs|settings)(?:/.*)?")

_USER = {"id": "user-demo", "email": "demo@example.org", "username": "demo", "features": []}
#: What ``/api/internal`` answers to a method; any other gets an empty object.
INTERNAL: dict[str, Any] = {
    "getUserInfo": _USER,
    "getUserFreeTierStatus": {"canUseAmpFree": False, "isDailyGrantEnabled": False},
    "loadPlugins": [],
    "loadSkills": [],
    "listThreads": {"threads": [], "hasMore": False},
    "uploadThread": {},
    "userDisplayBalanceInfo": {"displayText": "Balance: 10.00 USD"},
}
_RSS = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>Amp</title>'
    b"<item><title>News</title></item></channel></rss>\n"
)


class Amp(AmpSite, AmpSignIn):
    """The Amp upstream.

    :ivar cloud: answers the calls that configure Amp's Model Routing.
    :ivar credit: what is left of the owner's credits; each call of a model costs one.
    """

    name = "amp"

    def __init__(
        self,
        scripts: Scripts,
        keys: Iterable[str] = (),
        credit: int = 1000,
        cloud: AmpCloud | None = None,
    ) -> None:
        super().__init__(scripts, keys)
        self._begin()
        self.cloud = cloud or AmpCloud()
        self.credit = credit
        self.vendors: tuple[tuple[re.Pattern[str], Vendor], ...] = (
            (re.compile(r"/v1/messages(/count_tokens)?"), Anthropic(scripts)),
            (re.compile(r"(/v1)?/responses(/.*)?"), OpenAIResponses(scripts)),
            (re.compile(r"/v1(beta|beta1)/.*"), Gemini(scripts)),
            (re.compile(r"(/v1)?/(chat/completions|completions|models)"), OpenAIChat(scripts)),
        )

    def authenticate(self, request: Recorded) -> str:
        """The Amp key, twice; nothing that leaks."""
        leaks = sorted(name for name in request.headers if LEAKING.fullmatch(name))
        if leaks:
            raise VendorError(400, f"The request leaks {', '.join(leaks)}.", code="leaking-header")
        bearer, key = request.bearer(), request.headers.get("x-api-key")
        if self.is_identity(request):
            return ""
        site = _PAGES.fullmatch(request.path) or self.is_of_site(request)
        page = site and bearer is None and key is None
        if request.path == "/api/auth/oauth-logout" and key is None:
            key = bearer
        if not page and (bearer != key or key not in self.keys):
            raise VendorError(401, "Unauthorized. Check your access token.", code="auth-required")
        return key or ""

    def refusal(self, error: VendorError) -> Reply:
        """``{"ok": false, "error": {code, message}}``."""
        body = {"code": error.code or f"http-{error.status}", "message": error.message}
        retry = [("retry-after", f"{error.retry_after:g}")] if error.retry_after is not None else []
        return Reply(status=error.status, body=dump({"ok": False, "error": body}), headers=tuple(retry))

    def mismatch(self, problem: Mismatch) -> VendorError:
        """A declared body is not as declared."""
        return VendorError(400, str(problem))

    def internal(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /api/internal?METHOD``."""
        method = request.uri.partition("?")[2].partition("&")[0].partition("=")[0]
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if method == "getThread":
            error = {"code": "thread-not-found", "message": "Thread not found"}
            return Reply(body=dump({"ok": False, "error": error}))
        request.model = method
        if method in METHODS:
            return self._routing(method, body)
        result = INTERNAL.get(method, {})
        if method == "getUserInfo":
            result = self.users.get(request.key, result)
        return Reply(body=dump({"ok": True, "result": result}), headers=(("x-demo-bytes", str(len(body))),))

    def _routing(self, method: str, body: bytes) -> Reply:
        """A call that configures Model Routing: ``{method, params}``; errors come with status 200, too."""
        try:
            asked = json.loads(body)
            if asked.get("method") != method:
                raise CloudError("invalid-params", "The method is another one than in the address")
            return Reply(body=dump({"ok": True, "result": self.cloud.call(method, asked.get("params", {}))}))
        except CloudError as error:
            shown = {"code": error.code, "message": str(error)}
            return Reply(body=dump({"ok": False, "error": shown}))

    def provider(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``/api/provider/{p}/…`` in any of the four dialects: costs a credit."""
        inner = replace(request, uri=request.uri[len(f"/api/provider/{found['provider']}") :])
        for pattern, vendor in self.vendors:
            if pattern.fullmatch(inner.path):
                try:
                    reply = vendor.dispatch(inner)
                except Mismatch as problem:
                    reply = vendor.refusal(vendor.mismatch(problem))
                except VendorError as error:
                    reply = vendor.refusal(error)
                request.model = inner.model
                self.credit -= reply.status == 200 and request.method == "POST"
                return replace(reply, headers=(*reply.headers, ("x-demo-credit", str(self.credit))))
        raise VendorError(404, f"No such provider route: {request.path}", code="not-found")

    def upload(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /api/attachments``: counts and hashes what arrives."""
        counted = {"bytes": request.size, "sha256": request.sha256}
        return Reply(body=dump({"ok": True, "result": counted}))

    def download(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``GET /api/threads/download/{N}``: N bytes, without a length in advance."""
        events = _bytes(int(found["size"]))
        return Reply(events=events, content_type="application/octet-stream", terminal=0)

    def gzipped(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /api/threads/gzip``: compressed, and nothing says so."""
        return Reply(body=gzip.compress(dump({"ok": True, "result": "plain again"}), mtime=0))

    def redirect(self, request: Recorded, _: dict[str, str]) -> Reply:
        """A redirect to another origin, which a gateway must hand on and never follow."""
        return Reply(status=307, headers=(("location", "http://127.0.0.2:9/elsewhere"),))

    def page(self, request: Recorded, _: dict[str, str]) -> Reply:
        """A web page that says which path it is."""
        body = f"<!doctype html><title>Amp</title><p>{request.path}</p>".encode()
        return Reply(body=body, content_type="text/html; charset=utf-8")

    def feed(self, request: Recorded, _: dict[str, str]) -> Reply:
        """A news feed."""
        return Reply(body=_RSS, content_type="application/rss+xml")

    def credits_left(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /api/credit``: the counter."""
        return Reply(body=dump({"credit": self.credit}))

    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("GET", "/api/provider/(?P<provider>[^/]+)/.*", provider),
        ("POST", "/api/provider/(?P<provider>[^/]+)/.*", provider),
        ("POST", "/api/internal", internal),
        ("GET", "/api/internal/redirect", redirect),
        ("GET", "/api/threads/download/(?P<size>[0-9]+)", download),
        ("GET", "/api/threads/gzip", gzipped),
        ("POST", "/api/attachments", upload),
        ("GET", "/api/credit", credits_left),
        *AmpSite.site_routes,
        *AmpSignIn.sign_in_routes,
        ("GET", "/(?:news|threads).rss", feed),
        ("GET", "/(?:auth|threads|docs|settings)(?:/.*)?", page),
    )


def _fixed(value: Any) -> Callable[[Any, Recorded, dict[str, str]], Reply]:
    return lambda vendor, request, found: Reply(body=dump(value))


#: Routes that answer the same whatever is asked: (methods, pattern, answer).
_PLAIN: tuple[tuple[tuple[str, ...], str, Any], ...] = (
    (("GET",), "/api/user", _USER),
    (("GET", "POST"), "/api/auth(?:/.*)?", {"ok": True}),
    (("GET",), "/api/meta", {"version": "demo"}),
    (("POST",), "/api/telemetry", {"ok": True}),
    (("POST",), "/api/otel(?:/.*)?", {}),
    (("GET",), "/api/ads", {"ads": []}),
    (("GET", "POST"), "/api/tab(?:/.*)?", {}),
    (
        ("GET", "POST", "PUT", "PATCH", "DELETE"),
        "/api/threads(?:/.*)?",
        {"ok": True, "result": {"threads": []}},
    ),
)
Amp.routes = (
    *Amp.routes,
    *((method, pattern, _fixed(value)) for methods, pattern, value in _PLAIN for method in methods),
)


def _bytes(size: int) -> Iterator[bytes]:
    block = bytes(range(256)) * 256
    while size > 0:
        yield block[:size]
        size -= len(block)


async def start(reactor: Any, **settings: Any) -> StandIn:
    """A running stand-in of the Amp upstream (see :func:`start_vendor`; also ``credit``)."""
    return start_vendor(reactor, Amp, **settings)
