"""Readers of single values: numbers, durations, sizes, URLs, hosts, headers, names.

Each says in its type what it accepts. A complaint quotes what was written only where no secret can
stand: never of URLs, headers or secrets, and never what an environment variable held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ampproxy.config.document import KINDS, Scalar, YamlMapping, is_null
from ampproxy.config.parsing import Absent, AlreadyReported, InvalidValue, ListOf, Location, Reader
from ampproxy.config.secrets import expand_home
from ampproxy.wire.authority import parse_authority, shown_authority
from ampproxy.wire.headers import CONNECTION
from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import Secret

_WHOLE = LatePattern(r"[-+]?[0-9]{1,18}\Z")
_NUMBER = LatePattern(r"[0-9]{1,12}(\.[0-9]{0,9})?\Z")
#: Go's time.ParseDuration: a sequence of decimal numbers, each with a unit; and days, which it has not.
_GO_DURATION = LatePattern(r"\+?(?:[0-9]{1,12}(?:\.[0-9]*)?(?:ns|us|µs|μs|ms|s|m|h|d))+\Z")
_GO_PART = LatePattern(r"(?<![0-9.])([0-9.]+)(ns|us|µs|μs|ms|s|m|h|d)")
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_SIZE = LatePattern(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)\Z")
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_TRUE = {"true", "yes", "on"}
_FALSE = {"false", "no", "off"}
_HOST = LatePattern(r"(?!-)[A-Za-z0-9_.-]{1,253}\Z")
#: RFC 9110, section 5.6.2: a field name is a token.
_TOKEN = LatePattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
#: What a header's value must not hold: RFC 9110, section 5.5, and anything that is not ASCII.
_NOT_IN_HEADER = LatePattern(r"[^\x20-\x7e\t]")
#: Headers that belong to the connection or to the body's framing, not to an account.
_FRAMING = {*map(bytes.decode, CONNECTION), "content-length", "host"}
#: Where vendors take keys.
_KEY_HEADERS = {"authorization", "x-api-key", "x-goog-api-key", "api-key"}
#: Where clients carry what is meant for the gateway, or for a site, alone.
_CREDENTIAL_HEADERS = _KEY_HEADERS | {"cookie", "proxy-authorization"}
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")

#: Stand-ins for what is not here, in a lenient reading: a host that can have no address (RFC 6761, 6.4), a
#: path where nothing is.
UNSEEN_HOST = "unseen.invalid"
_UNSEEN_URL = f"https://{UNSEEN_HOST}"
_UNSEEN_TEXT = "unseen"
UNSEEN_PATH = Path("/nonexistent/unseen")


def _or(stand_in: object, read: Callable[[Location], Any]) -> Callable[[Location], Any]:
    """The same reader, with a stand-in for what is not here where the reading is lenient."""

    def lenient(place: Location) -> Any:
        try:
            return read(place)
        except Absent as absent:
            place.unseen(absent)
            return stand_in

    return lenient


def _shown(scalar: Scalar) -> str:
    """What was written, variables not filled in; not if it could be a key that stands in the wrong place."""
    return "other text" if len(scalar.text) > 16 or "@" in scalar.text else repr(scalar.text)


def _plain_text(place: Location, expected: str, fits: Callable[[str], object]) -> tuple[Scalar, str]:
    """A value that must not be quoted, unless an environment variable gives it.

    :param fits: whether a text would do without quotes.
    """
    scalar = place.scalar(expected)
    if not scalar.plain and "${" not in scalar.text and fits(scalar.text.strip()):
        raise InvalidValue(f"expected {expected}, found text: remove the quotes")
    return scalar, place.expanded(scalar)


def whole(expected: str, low: int, high: int, *, clamp: bool = False) -> Reader:
    """A whole number from ``low`` to ``high``; with ``clamp`` a smaller one counts as ``low``."""

    def read(place: Location) -> int:
        scalar, text = _plain_text(place, expected, _WHOLE.match)
        if not _WHOLE.match(text):
            raise InvalidValue(f"expected {expected}, found {_shown(scalar)}")
        value = int(text)
        if value < low and clamp:
            place.warn(f"is below {low} and counts as {low}")
            return low
        if not low <= value <= high:
            raise InvalidValue(f"expected {expected}, found {_shown(scalar)}")
        return value

    return Reader(expected, read)


#: The most processes that may serve: sockets of that many are passed in one message.
MAX_WORKERS = 64


def _workers(place: Location) -> int:
    expected = f"a number from 1 to {MAX_WORKERS}, or auto"
    scalar = place.scalar(expected)
    text = place.expanded(scalar).strip()
    if text.lower() == "auto":
        return 0
    if not _WHOLE.match(text) or not 1 <= int(text) <= MAX_WORKERS:
        raise InvalidValue(f"expected {expected}, found {_shown(scalar)}")
    return int(text)


WORKERS = Reader(f"a number from 1 to {MAX_WORKERS}, or auto", _workers)


def _flag(place: Location) -> bool:
    scalar, text = _plain_text(place, "true or false", lambda text: text.lower() in _TRUE | _FALSE)
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise InvalidValue(f"expected true or false, found {_shown(scalar)}")
    return word in _TRUE


def choice(*known: str, also: Mapping[str, str] = {}) -> Reader:
    """One of several words, in any case.

    :param also: what else may be written -> which of them it means.
    """
    words = {**{word: word for word in known}, **also}
    expected = " or ".join(known)

    def read(place: Location) -> str:
        scalar = place.scalar(expected)
        value = words.get(place.text(expected).lower())
        if value is None:
            raise InvalidValue(f"expected {expected}, found {_shown(scalar)}")
        return value

    return Reader(expected, read, tuple(words))


def duration(*, zero: bool = False) -> Reader:
    """A time span in seconds: a number of them, or a Go duration such as ``1h30m``."""
    expected = "a duration: seconds, or such as 1h30m or 500ms"

    def read(place: Location) -> float:
        scalar = place.scalar(expected)
        text = place.expanded(scalar)
        if _NUMBER.match(text):
            seconds = float(text)
        elif _GO_DURATION.match(text):
            try:
                seconds = sum(float(n) * _SECONDS[unit] for n, unit in _GO_PART.findall(text))
            except ValueError:  # "1..5s"
                raise InvalidValue(f"expected {expected}, found {_shown(scalar)}") from None
        else:
            raise InvalidValue(f"expected {expected}, found {_shown(scalar)}")
        if seconds == 0 and not zero:
            raise InvalidValue(f"expected {expected}, longer than 0, found {_shown(scalar)}")
        return seconds

    return Reader("duration", read)


def _size(place: Location) -> int:
    return _bytes(place, "a size above 0: bytes, or such as 512KiB or 64MiB", 1)


def _size_or_nothing(place: Location) -> int:
    return _bytes(place, "a size: bytes, or such as 512KiB or 64MiB; or 0", 0)


def _bytes(place: Location, expected: str, least: int) -> int:
    scalar = place.scalar(expected)
    match = _SIZE.match(place.expanded(scalar))
    factor = _BYTES.get(match.group(2).lower()) if match else None
    value = -1 if match is None or factor is None else int(float(match.group(1)) * factor)
    if value < least:
        raise InvalidValue(f"expected {expected}, found {_shown(scalar)}")
    return value


def _line_of_text(place: Location) -> str:
    """Text without control characters."""
    text = place.text()
    if not text.isprintable():
        raise InvalidValue("contains a line break or another control character: remove it")
    return text


def _name(place: Location) -> str:
    text = _line_of_text(place)
    if not text:
        raise InvalidValue("is empty, expected text")
    return text


def _secret(place: Location) -> Secret:
    try:
        text = place.secret_text()
    except Absent as absent:
        return place.unseen(absent)
    if _NOT_IN_HEADER.search(text):
        raise InvalidValue(
            "contains a character that is not allowed in HTTP headers: expected printable ASCII on one line"
        )
    return Secret(text)


def _given_secret(place: Location) -> Secret:
    secret = _secret(place)
    if not secret:
        raise InvalidValue("is empty, expected a secret: text, ${ENV_VAR} or file:/path")
    return secret


def _path(place: Location) -> Path:
    """A path; a relative one begins at the file's own folder, wherever the service or a command runs."""
    text = place.text("a path")
    if not text or "\0" in text:
        raise InvalidValue("expected a path")
    return place.reading.folder / expand_home(text, place.reading.home)


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """Take a URL apart.

    :raises Wrong: not one of these schemes, no host, or a bad port. The URL itself is not shown,
        for it may hold a password.
    """
    listed = ", ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InvalidValue("is not a URL: its host or its port cannot be read") from None
    if parts.scheme not in schemes or "://" not in text:
        raise InvalidValue(f"is not a supported URL: expected it to begin with {listed}")
    if not host or not text.isascii() or any(c.isspace() for c in text) or not text.isprintable():
        raise InvalidValue(
            f"is not a complete URL: expected for example {schemes[-1]}://HOST/PATH, in ASCII, without spaces"
        )
    if port == 0:
        raise InvalidValue("has port 0: expected 1 to 65535")
    return parts


def check_url(text: str) -> SplitResult:
    """Take an ``http`` or ``https`` URL apart.

    :raises InvalidValue: it is none, or has a user name or a password. It is not shown.
    """
    parts = _split(text, ("http", "https"))
    if parts.username is not None or parts.password is not None:
        raise InvalidValue(
            "has a user name or a password in it: remove them, credentials have keys of their own"
        )
    return parts


def _origin(place: Location, *, query: bool) -> str:
    text = place.text("a URL")
    parts = check_url(text)
    if parts.fragment or (parts.query and not query):
        raise InvalidValue("has a query or a fragment: expected it to end with the path")
    return text.rstrip("/") if not parts.query else text


def _upstream_url(place: Location) -> str:
    return _origin(place, query=True) if place.text("a URL") else ""


def _proxy(place: Location) -> str | None:
    """``direct`` for no proxy at all, ``None`` for nothing said."""
    text = place.text("a URL, or direct")
    if text.lower() in {"direct", "none"}:
        return "direct"
    if not text:
        return None
    _split(text, _PROXY_SCHEMES)
    return text


def is_loopback(host: str) -> bool:
    """Whether a listener bound to ``host`` can be reached from this machine only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(place: Location) -> str:
    """A host name or an address, without brackets; empty for every interface."""
    text = place.text("a host name or an address").removeprefix("[").removesuffix("]")
    if text == "*":
        return ""
    if not text:
        return text
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if not _HOST.match(text) or text.rsplit(".", 1)[-1].isdigit():
        scalar = place.scalar("a host name or an address")
        raise InvalidValue(
            f"expected a host name or an address without scheme, port or path, found {_shown(scalar)}"
        )
    return text


#: A host with a port: of two colons and more an IPv6 address is made, unless it has brackets.
_WITH_PORT = LatePattern(r"(?:\[[^\[\]]*\]|[^:\[\]/@]+):\d+")


def _allowed_host(place: Location) -> str:
    found = _WITH_PORT.fullmatch(place.text("a host name or an address"))
    if found is not None:
        authority = parse_authority(found[0])
        if authority is None:
            raise InvalidValue(
                f"expected a host and a port from 1 to 65535, found {_shown(place.scalar('a host'))}"
            )
        return shown_authority(authority)
    host = _host(place)
    if not host:
        raise InvalidValue(
            "expected the name of one host; any host would let web pages reach the gateway (DNS rebinding)"
        )
    return host.lower().rstrip(".")


def _headers(place: Location) -> tuple[tuple[str, str], ...]:
    """Header names and values, trimmed; a pair with an empty half is left out."""
    if not isinstance(place.node, YamlMapping):
        raise InvalidValue(f"expected header names and values, found {KINDS[type(place.node)]}")
    headers: dict[str, tuple[str, str]] = {}
    good = True
    for entry in place.node:
        at, name = place.child(entry), entry.key.strip()
        value, read = ("", True) if is_null(entry.node) else at.attempt(_HEADER_VALUE)
        fault = _header_fault(name, headers) or (copy_fault(name, value) if _copies(value) else "")
        if fault:
            at.complain(fault)
        good = good and read and not fault
        if name and value:
            headers[name.lower()] = (name, value)
    if not good:
        raise AlreadyReported
    return tuple(headers.values())


def _copies(value: str | None) -> bool:
    return value is not None and value.startswith("$")


def _header_fault(name: str, seen: dict[str, tuple[str, str]]) -> str:
    if name and not _TOKEN.match(name):
        return "is not a header name: expected letters, digits and hyphens"
    if name.lower() in _FRAMING:
        return "belongs to the connection and cannot be set here: remove it"
    if name.lower() in seen:
        return "is listed twice, in different case: keep one of them"
    return ""


def _header_value(place: Location) -> str:
    scalar = place.scalar("text")
    text = place.expanded(scalar)
    if _NOT_IN_HEADER.search(text):
        raise InvalidValue(
            "contains a character that is not allowed in HTTP headers: expected printable ASCII on one line"
        )
    if text.startswith("$") and "${" in scalar.text:
        raise InvalidValue(
            "would begin with $, which means a header of the client's: such a value cannot be sent"
        )
    return text


def copy_fault(name: str, value: str) -> str:
    """What is wrong with a header that takes its value from the client (``$NAME``); empty: nothing."""
    source = value[1:].lower()
    if not _TOKEN.match(source):
        return "begins with $, which copies the client's header of that name: expected a header name after it"
    if source in _CREDENTIAL_HEADERS:
        return "would send the client's own key or cookie to the vendor: name another header after the $"
    if name.lower() in _KEY_HEADERS:
        return "carries the account's key, which cannot come from the client: write the key"
    return ""


def _wildcards(place: Location) -> tuple[str, ...]:
    """Lower-case patterns, each once, in order."""
    return tuple(dict.fromkeys(text.lower() for text in _TEXTS(place) if text))


def _prefix(place: Location) -> str:
    text = _line_of_text(place).strip(" /")
    if "/" in text:
        place.warn("has a slash inside and is ignored: expected one word, as in WORD/model")
        return ""
    return text


_HEADER_VALUE = Reader("text", _or(_UNSEEN_TEXT, _header_value))
FLAG = Reader("true or false", _flag)
PORT = whole("a port from 0 to 65535", 0, 65535)
COUNT = whole("a whole number, 0 or more", 0, 10**9, clamp=True)
POSITIVE = whole("a whole number, 1 or more", 1, 10**9)
WEIGHT = whole("a whole number up to 1000000", -(10**9), 10**6)
INTEGER = whole("a whole number", -(10**9), 10**9)
SIZE = Reader("size", _size)
SIZE_OR_NOTHING = Reader("size, or 0", _size_or_nothing)
TEXT = Reader("text", _or(_UNSEEN_TEXT, _line_of_text))
NAME = Reader("text", _or(_UNSEEN_TEXT, _name))
SECRET = Reader("secret", _secret)
GIVEN_SECRET = Reader("secret", _given_secret)
SECRETS = ListOf(SECRET, "a list of secrets")
PATH = Reader("path", _or(UNSEEN_PATH, _path))
BASE_URL = Reader("URL", _or(_UNSEEN_URL, lambda place: _origin(place, query=False)))
UPSTREAM_URL = Reader("URL", _or(_UNSEEN_URL, _upstream_url))
PROXY = Reader("URL, or direct", _or(_UNSEEN_URL, _proxy))
HOST = Reader("host", _host)
ALLOWED_HOSTS = ListOf(Reader("host", _allowed_host), "a list of hosts")
HEADERS = Reader("header names and values", _headers)
PREFIX = Reader("text", _prefix)
_TEXTS = ListOf(TEXT, "a list of patterns")
WILDCARDS = Reader("a list of patterns", _wildcards)
