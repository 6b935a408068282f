"""Where the browser begins a login, and where it comes back to: ports of this machine, for one visit each."""

from __future__ import annotations

import errno
import hmac
import os
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from ampproxy.credentials.oauth.effects import OpenBrowser
from ampproxy.credentials.oauth.failures import Refused
from ampproxy.desktop.clients.owners import connected_uid, listening_uids

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
_MAX_REQUEST_BYTES = 16 * 1024


class Callback(Resource):
    """Answers one redirect that carries the right state, and refuses everything else.

    :param browse: the attempt that is waited for.
    :ivar came: fires with the URL that the browser was sent to.
    """

    isLeaf = True

    def __init__(self, browse: OpenBrowser) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.came: Deferred[str] = Deferred()
        self._path = (urlsplit(browse.redirect_url).path or "/").encode()
        self._origin = browse.redirect_url
        self._state = browse.state.encode()
        self._served = False

    def render(self, request: Request) -> bytes:
        """The page that the user sees when coming back."""
        if request.method != b"GET" or request.path != self._path or len(request.uri) > _MAX_REQUEST_BYTES:
            return _page(request, 404, "Not here", "This address only takes the end of a login.")
        states: list[bytes] = (request.args or {}).get(b"state", [])
        if len(states) != 1 or not hmac.compare_digest(states[0], self._state):
            return _page(
                request, 400, "Another attempt", "This belongs to another attempt to log in. Start again."
            )
        if self._served:
            return _page(request, 410, "Already used", "This login was finished before.")
        self._served = True
        query = request.uri.partition(b"?")[2].decode("ascii", "replace")
        # After the page is written: the port is closed as soon as this fires.
        request.notifyFinish().addBoth(lambda _: self.came.callback(f"{self._origin}?{query}"))
        if b"error" in (request.args or {}):
            return _page(request, 200, "Not allowed", "The login was refused: go back to where you began.")
        return _page(request, 200, "You are back", "Close this page and go back to where you began.")


class _Quiet(Site):
    noisy = False

    def log(self, request: Any) -> None:
        """No access log: codes stand in the addresses."""


class Start(Resource):
    """Sends the browser on to the vendor's page, once. Its own address stands in the browser's arguments,
    where every user of the machine can read it; that of the page, with the login's state, does not.

    :param complain: tells the user, who is at the terminal.
    """

    isLeaf = True

    def __init__(self, page: str, complain: Callable[[str], object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = "/" + secrets.token_urlsafe(16)
        self._page = page
        self._complain = complain
        self._served = False

    def render(self, request: Request) -> bytes:
        """Send it on."""
        if request.method != b"GET" or request.path != self.path.encode():
            return _page(request, 404, "Not here", "This address only takes the beginning of a login.")
        peer: Any = request.client
        if connected_uid(peer.host, peer.port) not in (None, 0, os.geteuid()):
            self._complain("Another user of this machine tried to open the login, and was refused.")
            return _page(request, 403, "Not yours", "This is the login of another user of this machine.")
        if self._served:
            self._complain(
                "The address of the login was opened a second time. If that was not you, another program may"
                " finish it with an account of its own: end this with Ctrl-C, and start again."
            )
            return _page(request, 410, "Already used", "This address works once. Start again.")
        self._served = True
        request.setHeader("location", self._page)
        return _page(request, 303, "Log in", "Go on to the vendor's page.")


def _page(request: HttpRequest, status: int, title: str, text: str) -> bytes:
    for name, value in _HEADERS.items():
        request.setHeader(name, value)
    request.setResponseCode(status)
    return _PAGE.format(title=title, text=text).encode()


class Starter:
    """The way from this machine's browser to the vendor's page, on a port of its own.

    :ivar url: what the browser is to open.
    :raises twisted.internet.error.CannotListenError: there is no port.
    """

    def __init__(self, reactor: Any, page: str, complain: Callable[[str], object]) -> None:
        start = Start(page, complain)
        self._port = reactor.listenTCP(0, _Quiet(start), interface="127.0.0.1")  # type: ignore[no-untyped-call]
        self.url = f"http://127.0.0.1:{self._port.getHost().port}{start.path}"

    def close(self) -> Deferred[Any]:
        """Stop listening."""
        return maybeDeferred(self._port.stopListening)


class Listener:
    """The callback on its port; for ``localhost`` at both of its addresses, for the browser may use either.

    :raises twisted.internet.error.CannotListenError: it is taken.
    """

    def __init__(self, reactor: Any, browse: OpenBrowser) -> None:
        callback = Callback(browse)
        self.came = callback.came
        self._ports: list[IListeningPort] = []
        site = _Quiet(callback)  # type: ignore[no-untyped-call]
        port = _port(browse)
        try:
            for address in addresses(browse):
                try:
                    self._ports.append(reactor.listenTCP(port, site, interface=address))
                except CannotListenError as error:
                    if address != _IPV6 or getattr(error.socketError, "errno", None) not in _NO_IPV6:
                        raise
        except CannotListenError:
            self.close()
            raise

    def close(self) -> Deferred[Any]:
        """Stop listening."""
        return DeferredList([maybeDeferred(port.stopListening) for port in self._ports])


_IPV6 = "::1"
#: The system has no IPv6, or not on its loopback interface.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def addresses(browse: OpenBrowser) -> tuple[str, ...]:
    """Where a browser may come back to."""
    host = urlsplit(browse.redirect_url).hostname or ""
    return {"localhost": ("127.0.0.1", _IPV6), _IPV6: (_IPV6,)}.get(host, ("127.0.0.1",))


def _port(browse: OpenBrowser) -> int:
    return urlsplit(browse.redirect_url).port or 80


def listen(reactor: Any, browse: OpenBrowser, complain: Callable[[str], object]) -> Listener | None:
    """The callback, or ``None`` and a complaint if its port is taken.

    :raises Refused: another user of this machine has it, and would be brought what the browser brings back.
    """
    try:
        return Listener(reactor, browse)
    except CannotListenError as error:
        where = f"port {_port(browse)} of {error.interface}"
    for address in addresses(browse):
        if (listening_uids(address, _port(browse)) or set()) - {0, os.geteuid()}:
            raise Refused(
                f"Another user of this machine has {where}, where the browser would take the end of this"
                " login to: have that program ended, or use --device or --import."
            )
    complain(
        f"{where.capitalize()} is in use, so the browser cannot come back here: when it shows something else"
        " or nothing, paste the address from its address bar."
    )
    return None


def start(reactor: Any, browse: OpenBrowser, complain: Callable[[str], object]) -> Starter | None:
    """The way to the vendor's page; ``None`` if there can be none."""
    try:
        return Starter(reactor, browse.url, complain)
    except CannotListenError:
        return None
