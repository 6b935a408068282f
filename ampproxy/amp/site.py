r"""Amp's site under another address: the one that the client used for the gateway.

Whatever of an answer names the upstream's own address is made to name the client's, so that a browser stays
where it is and keeps its cookies: redirects, cookies, policies, and in pages the absolute URLs of the text.

A URL of the upstream's is known by scheme and whole authority, however its slashes are written: plain, in a
JSON string (``https:\/\/``), in a script (``\u002F``), in HTML (``&#x2F;``). It stays as it is within
the query of another URL: there it tells a third party, an identity provider, where to send the browser back
to, and those know the real address only. For the same reason percent-encoded URLs stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ampproxy.amp import cookies
from ampproxy.wire.headers import Header

#: Headers that hold URLs.
_WITH_URLS = frozenset(
    (
        b"location",
        b"content-location",
        b"refresh",
        b"link",
        b"content-security-policy",
        b"content-security-policy-report-only",
    )
)
#: What an upstream says of its own name only, and a browser would believe of the client's: that it is served
#: by HTTPS alone, or somewhere else, too.
_OF_ITS_NAME = frozenset((b"strict-transport-security", b"alt-svc", b"public-key-pins", b"expect-ct"))

#: How a slash may be written.
_SLASH = rb"(?P<slash>/|\\/|\\\\/|\\u002[fF]|\\\\u002[fF]|&#x2[fF];|&#47;)"
_MAX_SLASH_BYTES = len(rb"\\u002f")
#: What no URL holds: where one has ended, and another may begin.
_BETWEEN = b" \t\r\n\f\"'`<>"
_PORTS = {"http": "80", "https": "443"}
_SOCKETS = {b"http": b"ws", b"https": b"wss"}
_UPGRADE = re.compile(rb"(?:^|;)[ \t]*upgrade-insecure-requests[ \t]*(?=;|\Z)", re.IGNORECASE)
#: An origin as a client may have typed it; anything else is not written into pages.
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")

#: Kinds of text that pages and what they load as data are made of.
_TEXTS = re.compile(
    rb"\s*(?:text/(?:html|plain|css|xml|javascript|x-component)"
    rb"|application/(?:[a-z0-9.+-]+\+)?(?:json|xml|javascript|xhtml\+xml))\s*(?:;|\Z)",
    re.IGNORECASE,
)


def is_text(content_type: bytes) -> bool:
    """Whether a body of this type may hold URLs of the site."""
    return _TEXTS.match(content_type) is not None


class Site:
    """The upstream's address, and the client's.

    :param upstream: ``ampcode.upstream-url``, without a slash at its end.
    :param here: the origin that the client used: ``http://127.0.0.1:8317``.
    :raises ValueError: ``here`` is not an origin.
    """

    def __init__(self, upstream: str, here: str) -> None:
        if not _ORIGIN.match(here):
            raise ValueError(f"{here!r} is not an origin")
        parts = urlsplit(upstream)
        self.origin = f"{parts.scheme}://{parts.netloc}".encode()
        self.here = here.encode()
        scheme, _, self._authority = self.here.partition(b"://")
        self._tls = scheme == b"https"
        self._host = (parts.hostname or "").encode()
        self._prefix = parts.path.encode()
        ours = parts.scheme.encode()
        self._schemes = {ours: scheme, _SOCKETS[ours]: _SOCKETS[scheme]}
        self._pattern, self.longest = _pattern(parts.scheme, parts.netloc, parts.path)

    # Answers.

    def answer_headers(self, headers: Iterable[Header]) -> list[Header]:
        """An answer's headers as they are right for the client's address."""
        return [kept for header in headers if (kept := self._header(*header)) is not None]

    def _header(self, name: bytes, value: bytes) -> Header | None:
        lowered = name.lower()
        if lowered == b"set-cookie":
            return name, cookies.to_client(value, host=self._host, tls=self._tls, prefix=self._prefix)
        if lowered in _OF_ITS_NAME:
            return None
        if lowered in _WITH_URLS:
            value = self.text(value)
            if lowered.endswith(b"location") and self._prefix and value.startswith(self._prefix + b"/"):
                value = value[len(self._prefix) :]
            if lowered.startswith(b"content-security") and not self._tls:
                value = _UPGRADE.sub(b"", value)
        return name, value

    def text(self, text: bytes) -> bytes:
        """A whole text with the client's address in place of the upstream's."""
        return self.replace(text, len(text))[0]

    def replace(self, text: bytes, until: int) -> tuple[bytes, int]:
        """Replace what begins before ``until``.

        :return: the text up to ``until``, or to the end of what began before it; and where that is.
        """
        out: list[bytes] = []
        done = 0
        for found in self._pattern.finditer(text):
            if found.start() >= until:
                break
            if _within_query(text, found.start()):
                continue
            out += text[done : found.start()], self._replacement(found)
            done = found.end()
        until = max(until, done)
        out.append(text[done:until])
        return b"".join(out), until

    def _replacement(self, found: re.Match[bytes]) -> bytes:
        scheme, slash = found["scheme"], found["slash"]
        begin = b"" if scheme is None else self._schemes[scheme.lower()] + b":"
        return begin + slash + slash + self._authority

    # Requests.

    def upstream_url(self, url: bytes) -> bytes | None:
        """The upstream's name of a page that the client names by its own address; ``None`` for any other."""
        rest = url.removeprefix(self.here)
        if rest == url or (rest and rest[:1] not in (b"/", b"?")):
            return None
        return self.origin + self._prefix + rest


class Rewriter:
    """Replaces in a text that comes in pieces, split anywhere. What it holds back is short: what has come
    since the last character that no URL holds.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._most = max(_MAX_URL_BYTES, site.longest)
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """As much of the text as is certain."""
        text = self._rest + data
        # Nothing that is to be replaced goes across what stands between URLs.
        safe = max(max(map(text.rfind, _SPLITS)), len(text) - self._most, 0)
        out, done = self._site.replace(text, safe)
        self._rest = text[done:]
        return out

    def end(self) -> bytes:
        """The rest."""
        text, self._rest = self._rest, b""
        return self._site.text(text)


_SPLITS = tuple(_BETWEEN[at : at + 1] for at in range(len(_BETWEEN)))
#: Longer than any URL in a page, and than what may stand before another one in its query. Bytes.
_MAX_URL_BYTES = 4096


def _within_query(text: bytes, at: int) -> bool:
    """Whether what stands at this place belongs to the query of a URL that began before."""
    mark = text.rfind(b"?", max(0, at - _MAX_URL_BYTES), at)
    return mark >= 0 and not any(text.find(between, mark, at) >= 0 for between in _SPLITS)


def _pattern(scheme: str, netloc: str, path: str) -> tuple[re.Pattern[bytes], int]:
    """What finds the upstream's URLs, and the most bytes that one can have with what shows where it ends."""
    host, colon, port = netloc.rpartition(":")
    bare = host if colon and port == _PORTS[scheme] else netloc
    named = re.escape(bare.encode())
    if bare == netloc and not re.search(r":[0-9]+\Z", netloc):
        named += rb"(?::" + _PORTS[scheme].encode() + rb"(?![0-9]))?"
    elif bare != netloc:
        named += rb"(?::" + port.encode() + rb"(?![0-9]))?"
    below = b"".join(rb"(?P=slash)" + re.escape(part.encode()) for part in path.split("/")[1:])
    schemes = b"|".join((scheme.encode(), _SOCKETS[scheme.encode()]))
    pattern = re.compile(
        # A scheme, or none: then two slashes at the beginning of a URL.
        rb"(?:(?:(?<![A-Za-z0-9+.-])|(?<=\\[nrt]))(?P<scheme>"
        + schemes
        + rb"):|(?<![^ \t\r\n\f\"'`<>(=,;]))"
        # The slashes, the authority, the path that belongs to it; and neither a longer name, another port,
        # nor a user's name, which all of it would be before an "@".
        + _SLASH
        + rb"(?P=slash)"
        + named
        + below
        + rb"(?![A-Za-z0-9_%@-]|\.[A-Za-z0-9]|:[0-9])",
        re.IGNORECASE,
    )
    return pattern, len("https:") + (2 + path.count("/")) * _MAX_SLASH_BYTES + len(netloc) + len(path) + 12
