"""What is said to a proxy before a tunnel stands, without I/O; SOCKS5 is in a file of its own."""

from __future__ import annotations

import re
from base64 import b64encode
from http import HTTPStatus
from typing import Protocol

from ampproxy.http.heads import MAX_HEAD, MAX_LINES, AnswerRefused, HeadLimit
from ampproxy.upstream.proxy import join

#: The other side refuses a handshake, or any other request.
HandshakeRefused = AnswerRefused

__all__ = [
    "MAX_HEAD",
    "MAX_LINES",
    "ConnectHandshake",
    "Handshake",
    "HandshakeRefused",
    "HeadLimit",
    "Heads",
]


class Heads:
    """Cuts the heads off what an upstream says, those of interim answers, too; looks at each byte once.

    :param what: what was asked, see :class:`HeadLimit`.
    :ivar rest: what is not cut off yet.
    """

    __slots__ = ("_limit", "_lines", "_looked", "rest")

    def __init__(self, what: str) -> None:
        self.rest = bytearray()
        self._limit = HeadLimit(what)
        self._looked = self._lines = 0

    def next(self) -> bytes | None:
        """The next head, with the empty line at its end; ``None`` as long as there is none.

        :raises HandshakeRefused: it is too large.
        """
        # The end may have begun in what was there before.
        end = HEAD_END.search(self.rest, max(0, self._looked - 3))
        if end is None:
            self._lines += self.rest.count(b"\n", self._looked)
            self._looked = len(self.rest)
            self._limit.check(self._looked, self._lines)
            return None
        self._limit.take(end.end(), self.rest.count(b"\n", 0, end.end()))
        self._limit.begin()
        head = bytes(self.rest[: end.end()])
        del self.rest[: end.end()]
        self._looked = self._lines = 0
        return head


class Handshake(Protocol):
    """One side of a conversation that ends with a tunnel.

    :ivar rest: ``None`` until the tunnel stands; then what has come through it already.
    """

    rest: bytes | None

    def start(self) -> bytes:
        """What is to be sent first."""

    def feed(self, data: bytes) -> bytes:
        """The proxy's next bytes, split anywhere; gives what is to be sent now.

        :raises HandshakeRefused: there will be no tunnel.
        """


class ConnectHandshake:
    """HTTP's CONNECT (RFC 9110, section 9.3.6), with Basic authentication (RFC 7617).

    :param host: a name, which the proxy resolves, or an address.
    :param credentials: user name and password.
    """

    def __init__(self, host: str, port: int, credentials: tuple[str, str] | None = None) -> None:
        self.rest: bytes | None = None
        self._target = join(host, port)
        self._credentials = credentials
        self._heads = Heads("CONNECT")

    def start(self) -> bytes:
        """The request."""
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._credentials is not None:
            basic = b64encode(":".join(self._credentials).encode()).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {basic}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")

    def feed(self, data: bytes) -> bytes:
        """More of the answer."""
        self._heads.rest += data
        while self.rest is None:
            head = self._heads.next()
            if head is None:
                if not MAY_BE_HTTP.match(self._heads.rest):
                    raise HandshakeRefused("answered CONNECT with what is not HTTP")
                return b""
            self._answered(head.rstrip(b"\r\n"))
        return b""

    def _answered(self, head: bytes) -> None:
        status_line, *fields = LINE_END.split(head)
        line = _STATUS_LINE.match(status_line)
        if line is None:
            raise HandshakeRefused("answered CONNECT with what is not HTTP")
        status = int(line[1])
        if 200 <= status < 300:
            # A length or a coding that such an answer names means nothing: the tunnel begins here.
            self.rest = bytes(self._heads.rest)
        elif status >= 200:
            raise HandshakeRefused(self._why(status, fields))

    def _why(self, status: int, fields: list[bytes]) -> str:
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return f"{self._why_unauthenticated(fields)} (status 407)"
        what = _STATUS_WORDS.get(status, "did not open a tunnel to {target}").format(target=self._target)
        return f"{what} (status {status})"

    def _why_unauthenticated(self, fields: list[bytes]) -> str:
        offers = [
            value.split(None, 1)[0].lower()
            for name, _, value in (field.partition(b":") for field in fields)
            if name.lower() == b"proxy-authenticate" and value.strip()
        ]
        if offers and not any(b"basic" in offer for offer in offers):
            return "requires an authentication other than Basic, the only one that ampproxy supports"
        if self._credentials is None:
            return "requires a user name and a password: write them into its URL"
        return "did not accept the user name and the password of its URL"


HEAD_END = re.compile(rb"\r?\n\r?\n")
LINE_END = re.compile(rb"\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9][0-9])(?: |\Z)")
MAY_BE_HTTP = re.compile(rb"HTTP/1\.|(?:H|HT|HTT|HTTP|HTTP/|HTTP/1)?\Z")
_STATUS_WORDS = {
    400: "did not understand CONNECT",
    403: "forbids tunnels to {target}",
    404: "is an HTTP server without CONNECT",
    405: "is an HTTP server that does not allow CONNECT",
    501: "is an HTTP server without CONNECT",
    502: "could not reach {target}",
    503: "could not reach {target}",
    504: "could not reach {target} in time",
}
