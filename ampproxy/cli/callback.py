"""Where the browser comes back to after a login: a port of this machine, for one visit."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from ampproxy.credentials.oauth.steps import Browse

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ampproxy</title>
<body style="font:16px sans-serif;margin:4em"><h1>{title}</h1><p>{text}</p></body></html>
"""
_HEADERS = {
    "cache-control": "no-store",
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
#: A code is some hundred characters.
_LONGEST = 16 * 1024


class Callback(Resource):
    """Answers one redirect that carries the right state, and refuses everything else.

    :param browse: the attempt that is waited for.
    :ivar came: fires with the URL that the browser was sent to.
    """

    isLeaf = True

    def __init__(self, browse: Browse) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.came: Deferred[str] = Deferred()
        self._path = (urlsplit(browse.redirect_url).path or "/").encode()
        self._origin = browse.redirect_url
        self._state = browse.state.encode()
        self._served = False

    def render(self, request: Request) -> bytes:
        """The page that the user sees when coming back."""
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        if request.method != b"GET" or request.path != self._path or len(request.uri) > _LONGEST:
            return self._say(request, 404, "Not here", "This address only takes the end of a login.")
        states: list[bytes] = (request.args or {}).get(b"state", [])
        if len(states) != 1 or not hmac.compare_digest(states[0], self._state):
            return self._say(
                request, 400, "Another attempt", "This belongs to another attempt to log in. Start again."
            )
        if self._served:
            return self._say(request, 410, "Already used", "This login was finished before.")
        self._served = True
        query = request.uri.partition(b"?")[2].decode("ascii", "replace")
        # After the page is written: the port is closed as soon as this fires.
        request.notifyFinish().addBoth(lambda _: self.came.callback(f"{self._origin}?{query}"))
        if b"error" in (request.args or {}):
            return self._say(request, 200, "Not allowed", "The login was not allowed. See the terminal.")
        return self._say(request, 200, "You are back", "Close this page and return to the terminal.")

    def _say(self, request: HttpRequest, status: int, title: str, text: str) -> bytes:
        request.setResponseCode(status)
        return _PAGE.format(title=title, text=text).encode()


class _Quiet(Site):
    noisy = False

    def log(self, request: Any) -> None:
        """No access log: codes stand in the addresses."""


class Listener:
    """The callback on its port.

    :raises twisted.internet.error.CannotListenError: the port is taken.
    """

    def __init__(self, reactor: Any, browse: Browse) -> None:
        callback = Callback(browse)
        self.came = callback.came
        port = urlsplit(browse.redirect_url).port or 80
        site = _Quiet(callback)  # type: ignore[no-untyped-call]
        self._port: IListeningPort = reactor.listenTCP(port, site, interface="127.0.0.1")

    def close(self) -> Deferred[Any]:
        """Stop listening."""
        return maybeDeferred(self._port.stopListening)


def listen(reactor: Any, browse: Browse, complain: Callable[[str], object]) -> Listener | None:
    """The callback, or ``None`` and a complaint if its port is taken."""
    try:
        return Listener(reactor, browse)
    except CannotListenError:
        complain(
            f"Port {urlsplit(browse.redirect_url).port} is in use, so the browser cannot come back here:"
            " when it shows something else or nothing, paste the address from its address bar."
        )
        return None
