"""The page: its views in one frame, its static files, and the form to log in."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from ampproxy import __version__
from ampproxy.dashboard import questions, reports, views
from ampproxy.dashboard.api import PageRoute
from ampproxy.dashboard.desk import Desk
from ampproxy.dashboard.html import Markup, field, join, tag
from ampproxy.dashboard.questions import Asked
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.generation import Generation
from ampproxy.model.base import Value
from ampproxy.model.events import WireError
from ampproxy.resources.access import shield
from ampproxy.resources.base import GatewayResource
from ampproxy.resources.front import PAGE
from ampproxy.server.site import GatewayRequest

_STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
#: What a page may load: its own files, and nothing else from anywhere.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

Body = Callable[[Asked, str], Awaitable[Markup]]


class View(Value, frozen=True):
    """A view of the page.

    :param name: the last segment of its path.
    :param body: makes what is below its title; its second argument is the page's token.
    """

    name: str
    title: str
    body: Body


async def _live(asked: Asked, token: str) -> Markup:
    glance, live = await questions.overview(asked), await questions.live(asked)
    return join(views.alerts(questions.alerts(asked)), views.overview(glance), views.requests(live))


async def _accounts(asked: Asked, token: str) -> Markup:
    shown = views.accounts(await questions.accounts(asked), asked.generation.runtime.wall())
    return join(shown, views.logins())


async def _usage(asked: Asked, token: str) -> Markup:
    return reports.usage(await questions.usage_of(asked), asked.text("days") or "30")


async def _keys(asked: Asked, token: str) -> Markup:
    return views.keys(await questions.client_keys(asked), asked.generation.runtime.wall())


async def _models(asked: Asked, token: str) -> Markup:
    return views.models(await questions.models(asked))


async def _explain(asked: Asked, token: str) -> Markup:
    model, role, amp = asked.text("model"), asked.text("role"), asked.text("amp") not in ("0", "false")
    try:
        found = await questions.explain(asked) if model else None
    except ClientFault as error:
        return reports.explain(None, model, "", amp=amp, why=error.error.message)
    return reports.explain(found, model, role, amp=amp)


async def _log(asked: Asked, token: str) -> Markup:
    return reports.log(await questions.log(asked), asked.values)


async def _config(asked: Asked, token: str) -> Markup:
    return reports.configuration(await questions.config(asked), token)


async def _doctor(asked: Asked, token: str) -> Markup:
    return reports.doctor(await questions.doctor(asked))


#: The views, in the order of the page's navigation; the first is shown at its root.
VIEWS: tuple[View, ...] = (
    View("live", "Requests", _live),
    View("accounts", "Accounts", _accounts),
    View("usage", "Usage", _usage),
    View("keys", "Client keys", _keys),
    View("models", "Models", _models),
    View("explain", "Explain", _explain),
    View("log", "Log", _log),
    View("config", "Configuration", _config),
    View("doctor", "Doctor", _doctor),
)


class ViewResource(PageRoute):
    """One view. To who is not let in it shows a form instead of a refusal."""

    opened_by_links = True

    def __init__(self, generation: Generation, desk: Desk, view: View) -> None:
        super().__init__(generation, desk, PAGE + view.name.encode())
        self._view = view

    def render(self, request: GatewayRequest) -> Any:
        return self.serve(request, self._show(request))

    async def _show(self, request: GatewayRequest) -> None:
        visitor = request.visitor
        token = "" if visitor is None else visitor.token
        asked = Asked.of(self.desk, self.generation, request.query)
        body = await self._view.body(asked, token)
        if request.gone:
            return
        logged_in = visitor is not None and visitor.logged_in
        status = self.generation.runtime.status()
        foot = f"ampproxy {__version__} · configuration {status.generation}"
        answer_page(
            request, frame(self._view.title, self._view.name, body, token, logged_in=logged_in, foot=foot)
        )

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """A form to log in, or why not."""
        if refusal.error.status == 401:
            answer_login(request, None if b"key=" not in request.query else refusal.error)
        else:
            answer_refusal(request, refusal.error)


def frame(
    title: str, name: str, body: Markup, token: str = "", *, logged_in: bool = False, foot: str = ""
) -> bytes:
    """A whole page.

    :param token: what its script's calls bring along; empty: it makes none.
    :param name: of the view; empty: it is none of them, and has no navigation.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="ampproxy-page", content=token) if token else None,
        tag("title", f"{title} · ampproxy"),
        tag("link", rel="stylesheet", href="static/vendor/uplot/uPlot.min.css") if name == "usage" else None,
        tag("link", rel="stylesheet", href="static/page.css"),
        tag("link", rel="icon", href="static/icon.svg", type="image/svg+xml"),
        tag("script", src="static/page.js", type="module") if token else None,
    )
    links = [
        tag("a", view.title, href=view.name, aria_current="page" if view.name == name else None)
        for view in VIEWS
    ]
    out = None
    if logged_in:
        hidden = tag("input", type="hidden", name="token", value=token)
        out = tag("form", hidden, tag("button", "Log out"), method="post", action="logout")
    page = tag(
        "body",
        tag("a", "Skip to the content", href="#main", class_="skip"),
        tag(
            "header",
            tag("a", "ampproxy", href="live", class_="brand"),
            tag("nav", *links, aria_label="Views") if name else None,
            out,
            class_="top",
        ),
        tag("main", tag("h1", title), body, id="main", tabindex=-1),
        tag("footer", foot) if foot else None,
        data_view=name or None,
    )
    return f"<!doctype html>\n{tag('html', head, page, lang='en')}\n".encode()


def answer_page(request: GatewayRequest, page: bytes, status: int = 200) -> None:
    """Answer with a page."""
    shield(request)
    request.responseHeaders.setRawHeaders(b"Content-Security-Policy", [POLICY])
    request.answer(status, page, b"text/html; charset=utf-8")


def answer_login(request: GatewayRequest, why: WireError | None) -> None:
    """Answer with the form to log in.

    :param why: what was wrong with the key before.
    """
    form = tag(
        "form",
        field(
            "key",
            "Client key",
            type="password",
            required=True,
            autocomplete="current-password",
            autofocus=True,
        ),
        tag("button", "Log in"),
        method="post",
        action="login",
        class_="login",
    )
    about = (
        "This page is for the owner of the gateway. A client key whose entry in api-keys opens the route"
        " class admin lets you in; from another machine it needs a name, too. The browser keeps a cookie,"
        " never the key."
    )
    body = join(
        tag("p", why.message, class_="alert", role="alert") if why else None,
        form,
        tag("p", about, class_="note"),
    )
    answer_page(request, frame("Log in", "", body), 401 if why is None else why.status)


def answer_refusal(request: GatewayRequest, error: WireError) -> None:
    """Answer with why not."""
    again = tag("p", tag("a", "To the page", href=PAGE.decode()))
    body = join(tag("p", error.message, class_="alert", role="alert"), again)
    answer_page(request, frame("Not shown", "", body), error.status)


@cache
def static_file(name: str) -> tuple[bytes, bytes, bytes] | None:
    """A file of the page's: its bytes, its type and its tag; ``None``: there is none of that name."""
    if name not in static_names():
        return None
    content = (_STATIC / name).read_bytes()
    tag_of = hashlib.blake2b(content, digest_size=12).hexdigest()
    return content, _TYPES[Path(name).suffix], f'"{tag_of}"'.encode()


@cache
def static_names() -> frozenset[str]:
    """The files that there are, by their path below ``static``."""
    found = (path for path in _STATIC.rglob("*") if path.suffix in _TYPES)
    return frozenset(path.relative_to(_STATIC).as_posix() for path in found)


class StaticResource(GatewayResource):
    """The page's script, style and pictures: the same for everybody, and nothing of the gateway's owner."""

    def authorize(self, request: GatewayRequest) -> None:
        """Where the page may be."""
        super().authorize(request)
        if not request.is_local() and not request.speaks_tls:
            raise ClientFault.of("permission", "From elsewhere the page is for TLS alone (setting: tls).")
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", "The files of the page can only be read.", status=405)
        if static_file(_name(request)) is None:
            raise ClientFault.of("not_found", "The page has no such file.")

    def render(self, request: GatewayRequest) -> Any:
        found = static_file(_name(request))
        assert found is not None
        content, kind, etag = found
        shield(request)
        headers = request.responseHeaders
        headers.setRawHeaders(b"Cache-Control", [b"no-cache"])
        headers.setRawHeaders(b"ETag", [etag])
        if request.requestHeaders.getRawHeaders(b"if-none-match") == [etag]:
            request.setResponseCode(304)
            request.finish()
            return
        request.answer(200, content, kind)


def _name(request: GatewayRequest) -> str:
    return b"/".join(request.postpath or []).decode("utf-8", "replace")


class HomeResource(ViewResource):
    """``/ampproxy/page/``: the first view, at an address from which the others' are relative."""

    def __init__(self, generation: Generation, desk: Desk) -> None:
        super().__init__(generation, desk, VIEWS[0])
        self.path = PAGE.rstrip(b"/")

    def render(self, request: GatewayRequest) -> Any:
        """Show it, or lead there."""
        if request.path.endswith(b"/"):
            return super().render(request)
        shield(request)
        request.responseHeaders.setRawHeaders(b"Location", [PAGE])
        return request.answer(302, b"", b"text/plain")
