"""The gateway's public address, tried as Amp's cloud would use it: its name, its certificate, the six paths
and nothing else, and a stream that must arrive in pieces.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from ampproxy.amp.connections import CHAT_FORMAT, MESSAGES_FORMAT, RESPONSES_FORMAT
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.wire.redact import Secret, printable
from ampproxy.wire.words import counted

#: Seconds for each answer. A model may take long until it begins.
_TIMEOUT = 100.0
_MAX_ANSWER_BYTES = 1024 * 1024
_SHOWN = 200
#: A certificate that ends within so many days has missed its renewal.
SOON = 14
_DAY = 86_400.0

#: What Amp's cloud asks for.
POSTS = ("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/responses")
MODELS = "/v1/models"
#: Some of all else that a gateway has, each of another kind.
OTHERS: tuple[tuple[str, str], ...] = (
    ("GET", "/"),
    ("GET", "/ampproxy/accounts"),
    ("POST", "/ampproxy/reload"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("POST", "/api/internal?getUserInfo"),
    ("POST", "/api/provider/anthropic/v1/messages"),
    ("GET", "/actors/metadata"),
    ("GET", "/threads"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1beta/models/gemini:generateContent"),
    ("DELETE", "/v1/models"),
)
_NAMES_US = ("ampproxy", "api-keys", "claude", "gpt-", "gemini", "account")
#: Seconds between the first and the last piece of a stream that nothing held back, at the least: the fastest
#: models make some thousand tokens a second.
_APART = 0.03
_COUNT = "Count from 1 to 120, in digits, separated by spaces. Answer with nothing else."


@dataclass(frozen=True, slots=True)
class Reply:
    """What the address answered.

    :param pieces: when each piece of the body came, in seconds from the request on, and its size.
    """

    status: int
    body: bytes
    pieces: tuple[tuple[float, int], ...]


class NoAnswer(Exception):
    """There was none; the message says why."""


class PublicAddress:
    """The address.

    :param url: its origin.
    :param key: the key for Amp's cloud.
    """

    def __init__(self, url: str, key: Secret) -> None:
        self._url = url
        self._key = key
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)

    def examine(self, ask: tuple[str, str] | None, now: float) -> Iterator[Finding]:
        """Try everything.

        :param ask: the format and the model of a streamed request, which costs a little; ``None``: none.
        :param now: seconds since the epoch.
        """
        try:
            yield from self._name()
            if self._tls:
                yield self._certificate(now)
            yield self._without_key()
            models = self._models()
            yield models
            if models.level == "problem":
                return
            yield self._paths()
            yield self._nothing_else()
            if ask is not None:
                yield self._stream(*ask)
        except NoAnswer as why:
            yield problem(
                f"{self._url} does not answer: {why}.",
                "start the gateway, and the tunnel or proxy in front of it; a new name may take ten minutes"
                " until it is known everywhere",
            )

    def takes_key(self) -> bool:
        """Whether the key is in force there, as far as it answers at all."""
        try:
            return self._ask("GET", MODELS).status == 200
        except NoAnswer:
            return False

    def _name(self) -> Iterator[Finding]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NoAnswer(f"its name is not known here ({error.strerror})") from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if addresses == [self._host]:
            yield warning(
                f"{self._host} is an address and no name, for which few authorities give a certificate"
                + ("" if ipaddress.ip_address(self._host).is_global else ", and Amp's cloud cannot reach it")
                + ".",
                "give the machine a public name (docs/neo.md has recipes)",
            )
        elif all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in addresses):
            yield ok(f"{self._host} is {', '.join(addresses)}.")
        else:
            yield warning(
                f"{self._host} is {', '.join(addresses)} here, which Amp's cloud cannot reach.",
                "see that it is another address in public DNS (a tailnet's own names are): ask another"
                f" machine with: dig +short {self._host} @1.1.1.1",
            )

    def _certificate(self, now: float) -> Finding:
        context = ssl.create_default_context()
        try:
            with (
                socket.create_connection((self._host, self._port), _TIMEOUT) as plain,
                context.wrap_socket(plain, server_hostname=self._host) as secured,
            ):
                certificate: Mapping[str, Any] = secured.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            raise NoAnswer(f"its certificate is not trusted ({error.verify_message})") from None
        except OSError as error:
            raise NoAnswer(_words(error)) from None
        days = int((ssl.cert_time_to_seconds(str(certificate["notAfter"])) - now) / _DAY)
        text = f"Its certificate is trusted, and ends in {counted(days, 'day')}."
        return ok(text) if days >= SOON else warning(text, "see why it was not renewed")

    def _without_key(self) -> Finding:
        reply = self._ask("GET", MODELS, key=False)
        if reply.status != 401:
            return problem(
                f"A request without a key is answered with {reply.status}, not 401.",
                "is it this gateway that answers there, and is the section neo in force?",
            )
        shown = reply.body.decode("utf-8", "replace").lower()
        named = [word for word in _NAMES_US if word in shown]
        if named:
            return warning(
                f"To a request without a key the answer names {', '.join(named)}.",
                "point the tunnel at neo.listen, which names nothing",
            )
        return ok("A request without a key is rejected, and its answer names nothing.")

    def _models(self) -> Finding:
        reply = self._ask("GET", MODELS)
        if reply.status != 200:
            return problem(
                f"The key for Amp's cloud is answered with {reply.status}: {_text(reply.body)}.",
                "is it this gateway that answers there, and has it read the section neo (ampproxy reload)?",
            )
        try:
            data = msgspec.json.decode(reply.body)["data"]
            first = next((str(entry["id"]) for entry in data), "")
        except (msgspec.MsgspecError, KeyError, TypeError):
            return problem("What it lists are no models.", "is it this gateway that answers there?")
        if not first:
            return problem("It lists no model for this key.", "see neo.models, neo.accounts, ampproxy models")
        one = self._ask("GET", f"{MODELS}/{quote(first, safe='')}")
        if one.status != 200:
            return problem(f"The model {first} is listed, and answered with {one.status} alone.", "report it")
        return ok(f"The key opens {counted(len(data), 'model')}.")

    def _paths(self) -> Finding:
        wrong = [
            f"POST {path} ({reply.status})"
            for path in POSTS
            if (reply := self._ask("POST", path, b"{}")).status not in (400, 422)
            or reply.body.lstrip()[:1] == b"<"
        ]
        if wrong:
            return problem(
                f"Not served as they should be: {', '.join(wrong)}.",
                "let the proxy in front pass these paths, with their bodies and headers as they are",
            )
        return ok("The paths that Amp's cloud asks for are served.")

    def _nothing_else(self) -> Finding:
        open_ = []
        for method, path in OTHERS:
            reply = self._ask(method, path, b"{}" if method == "POST" else b"")
            if reply.status not in (401, 403, 404, 405):
                open_.append(f"{method} {path} ({reply.status})")
        if open_:
            return problem(
                f"The key for Amp's cloud, or the address, opens more than it should: {', '.join(open_)}.",
                "point the tunnel at neo.listen, where nothing else exists",
            )
        bare = self._ask("GET", "/healthz", key=False)
        if bare.status == 200:
            return note(
                "It answers /healthz without a key: all of the gateway is at the public address.",
                "set neo.listen, and point the tunnel at it",
            )
        return ok(f"Nothing else is open there ({counted(len(OTHERS) + 1, 'path')} tried).")

    def _stream(self, api_format: str, model: str) -> Finding:
        path, body = _question(api_format, model)
        reply = self._ask("POST", path, json.dumps(body).encode())
        if reply.status != 200:
            return problem(
                f"A streamed request for {model} is answered with {reply.status}: {_text(reply.body)}.",
                f"ampproxy explain {model} --path {path}",
            )
        first, last = reply.pieces[0][0], reply.pieces[-1][0]
        if last - first < _APART:
            return problem(
                f"A stream of {len(reply.body)} bytes came all at once after {first:.1f} s.",
                "switch buffering and compression off in the proxy in front (docs/neo.md)",
            )
        return ok(
            f"A stream of {model} came in {len(reply.pieces)} pieces, from {first:.1f} to {last:.1f} s."
        )

    def _ask(self, method: str, path: str, body: bytes = b"", *, key: bool = True) -> Reply:
        """
        :raises NoAnswer: there is none.
        """
        try:
            with contextlib.closing(self._connection()) as connection:
                return _exchange(connection, method, path, body, self._headers(key, body))
        except ssl.SSLCertVerificationError as error:
            raise NoAnswer(f"its certificate is not trusted ({error.verify_message})") from None
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(_words(error)) from None

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)

    def _headers(self, key: bool, body: bytes) -> dict[str, str]:
        headers = {"Accept": "application/json", "anthropic-version": "2023-06-01"}
        if body:
            headers["Content-Type"] = "application/json"
        if key:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return headers


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
) -> Reply:
    began = time.monotonic()
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    gathered, pieces = bytearray(), []
    while len(gathered) < _MAX_ANSWER_BYTES and (piece := answer.read1(65_536)):
        pieces.append((time.monotonic() - began, len(piece)))
        gathered += piece
    return Reply(answer.status, bytes(gathered), tuple(pieces or [(time.monotonic() - began, 0)]))


def _question(api_format: str, model: str) -> tuple[str, dict[str, Any]]:
    """A short streamed request, and its path."""
    turns = [{"role": "user", "content": _COUNT}]
    if api_format == MESSAGES_FORMAT:
        return POSTS[0], {"model": model, "max_tokens": 1024, "stream": True, "messages": turns}
    if api_format == RESPONSES_FORMAT:
        return POSTS[3], {"model": model, "stream": True, "store": False, "input": turns}
    assert api_format == CHAT_FORMAT
    return POSTS[2], {"model": model, "stream": True, "messages": turns}


def _text(body: bytes) -> str:
    return printable(body.decode("utf-8", "replace"))[:_SHOWN] or "an empty body"


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
