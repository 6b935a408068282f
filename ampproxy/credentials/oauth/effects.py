"""What a flow asks of the world. A flow is a generator: it yields a step and is sent what came of it.

=================  ==========================================  ==========================
step               whoever runs the flow                       is sent
=================  ==========================================  ==========================
:class:`HttpRequest`       sends the request, follows no redirect      :class:`HttpAnswer`; or
                                                               :class:`.Unavailable` is thrown
:class:`OpenBrowser`    has the user open the page and waits        the URL that the browser was sent
                   for the browser to come back                to, or what the user pasted
:class:`Notify`      tells the user                              ``None``
:class:`Sleep`     waits                                       ``None``
=================  ==========================================  ==========================
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec

from ampproxy.credentials.oauth.failures import Unavailable
from ampproxy.model.base import Value

T = TypeVar("T")


class HttpRequest(Value, frozen=True):
    """A request. Shown without its headers and its body: tokens travel there."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.url.partition('?')[0]}>"


class HttpAnswer(Value, frozen=True):
    """An answer; header names in lower case. Shown without its body."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<HttpAnswer {self.status}>"

    @property
    def ok(self) -> bool:
        """Whether the status says so."""
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        :raises Unavailable: it is none: not the vendor's own word, but a page of something on the way.
        """
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = None
        if not isinstance(value, dict):
            raise Unavailable(f"The login server's answer (status {self.status}) is no JSON object.")
        return value


class OpenBrowser(Value, frozen=True):
    """A page that the user must open.

    :param redirect_url: where the browser will be sent back to.
    :param state: what it will bring along.
    """

    url: str
    redirect_url: str
    state: str


class Notify(Value, frozen=True):
    """Something that the user must know."""

    text: str


class Sleep(Value, frozen=True):
    """Time to wait."""

    seconds: float


Effect: TypeAlias = "HttpRequest | OpenBrowser | Notify | Sleep"
Flow: TypeAlias = Generator[Effect, Any, T]


def form(url: str, fields: Mapping[str, str]) -> HttpRequest:
    """A POST as browsers send forms (RFC 6749's own way)."""
    body = urlencode(fields).encode()
    return HttpRequest("POST", url, (("content-type", "application/x-www-form-urlencoded"), _ACCEPT), body)


def post(url: str, value: Mapping[str, Any], bearer: str = "") -> HttpRequest:
    """A POST of JSON."""
    headers = (("content-type", "application/json"), _ACCEPT, *_authorization(bearer))
    return HttpRequest("POST", url, headers, json.dumps(value, separators=(",", ":")).encode())


def get(url: str, bearer: str = "") -> HttpRequest:
    """A GET."""
    return HttpRequest("GET", url, (_ACCEPT, *_authorization(bearer)))


_ACCEPT = ("accept", "application/json")


def _authorization(bearer: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {bearer}"),) if bearer else ()
