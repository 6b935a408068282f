"""Secrets that cannot be shown by accident."""

from __future__ import annotations

import hmac
import json
import re
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

from ampproxy.wire.late import LatePattern


class Secret:
    """A credential. ``repr``, ``str`` and formatting never show it; only :meth:`reveal` does.

    Compared by value in constant time, and hashed by it, so that it can be looked up. Clients' keys are not
    compared at all: the guard looks them up by a keyed digest.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: for the one header it belongs into."""
        return self._value

    def matches(self, candidate: bytes) -> bool:
        """Whether ``candidate`` is this secret, in time that does not tell how much of it is right."""
        return hmac.compare_digest(self._value.encode(), candidate)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


class Unseen(Secret):
    """A secret that a configuration names and that is not to be had here: a variable that is not set, a file
    that cannot be read. It stands for the secret where none is needed, equals no real one, and can be sent
    nowhere.

    :param reference: what stands in the file; two of the same text are the same secret.
    :ivar place: the setting, such as ``api-keys[0]``.
    :ivar what: the variable, or the file and what the system says of it.
    """

    __slots__ = ("place", "what")

    def __init__(self, reference: str, place: str, what: str) -> None:
        # No secret of a file begins so: no HTTP header could carry it.
        super().__init__(f"\0{reference}")
        self.place = place
        self.what = what

    def reveal(self) -> str:
        """
        :raises SecretUnseen: always.
        """
        raise SecretUnseen(self)

    def __str__(self) -> str:
        return f"{self.place} ({self.what})"


#: So many are named; of more, their number.
_NAMED = 5


def listed(unseen: Sequence[Unseen]) -> str:
    """Each with what it comes from: ``api-keys[0] (CLIENT_KEY), ...``."""
    more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
    return ", ".join(map(str, unseen[:_NAMED])) + more


def not_looked_at(unseen: Sequence[Unseen]) -> str:
    """What was not looked at, as a sentence without a full stop."""
    count = len(unseen)
    what = "1 secret comes" if count == 1 else f"{count} secrets come"
    was = "was" if count == 1 else "were"
    return f"{what} from the environment or from files and {was} not looked at: {listed(unseen)}"


class SecretUnseen(Exception):
    """A secret is needed that is not to be had here."""

    def __init__(self, secret: Unseen) -> None:
        super().__init__(f"this needs a secret that is not to be had here: {secret}")


class Redactor:
    """Cuts secrets out of texts that others wrote, before a log, an error or a page shows them.

    Known secrets go by value (plain and percent-encoded); unknown ones by their usual shapes and by the
    names they stand behind. Secrets shorter than six characters are not searched for: they would
    blot out ordinary words.

    The time grows with the length of a text and no faster, whoever wrote it; :meth:`shown` bounds the length.
    """

    __slots__ = ("_beyond", "_known", "_shortest")

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        values = {secret.reveal() for secret in secrets}
        forms = {form for value in values if len(value) >= _MIN_SECRET_CHARS for form in _forms(value)}
        # Longest first: a secret may be the beginning of another.
        self._known = sorted(forms, key=len, reverse=True)
        self._shortest = len(self._known[-1]) if self._known else sys.maxsize
        longest = max(len(self._known[0]) if self._known else 0, _MAX_SHAPE_CHARS)
        # A cut may make a text longer, by a third at the most: "key=x&" becomes "key=***&".
        self._beyond = longest * 4 // 3

    def known(self, text: str) -> str:
        """The same text with ``***`` in place of the known secrets only: JSON stays JSON."""
        if len(text) < self._shortest:
            return text
        for form in self._known:
            if form in text:
                text = text.replace(form, _CUT)
        return text

    def text(self, text: str) -> str:
        """The same text with ``***`` in place of every secret."""
        text = self.known(text)
        lower = text.lower()
        if not any(map(lower.__contains__, _WORD_HINTS if text.isalnum() else _HINTS)):
            return text
        for hints, pattern, kept in _shapes():
            if any(hint in lower for hint in hints):
                text = pattern.sub(kept, text)
        return text

    def shown(self, text: str, most: int) -> str:
        """The beginning of a text with ``***`` in place of every secret.

        No more is looked through than ``most`` characters and what a secret that begins there may take
        beyond them, however long the text is.

        :param most: characters that are shown at the most; fewer where a longer text had secrets.
        """
        window = most + self._beyond
        if len(text) <= window:
            return self.text(text)[:most]
        clean = self.text(text[:window])
        # Near the end of the window may stand the first half of a secret, which looks like none.
        return clean[: max(0, min(most, len(clean) - self._beyond))]


_CUT = "***"
_MIN_SECRET_CHARS = 6
#: So long is a secret that is known by its shape alone, at the most: the part of it that makes the shape. The
#: head of a JSON Web Token with a chain of certificates is the longest.
_MAX_SHAPE_CHARS = 4096

#: So much of a text of somebody else's is worth a look when it is to be told in a line: more than any line
#: shows (4,000 characters), so that whoever cuts secrets out of it finds those at the end, too.
LOOKED_AT = 10_000


def _forms(value: str) -> tuple[str, ...]:
    """How a value may stand in a text: plain, in a URL, in a JSON string."""
    return value, quote(value, safe=""), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]


#: A value behind a name, with or without quotes: ends at white space, a quote, a comma or the like. What
#: only stands for a value, as in a piece of YAML that would help, stays; so does the first word of what is
#: said of a setting (``api-key: is empty``).
_COMPLAINT = r"(?:a|are|changed|contains|expected|has|is|needs|removed|set|the)(?![^\s,;])"
_VALUE = rf"(?!YOUR-KEY\b|\$\{{|file:/|{_COMPLAINT})[^\s\"'\\,;&<>]+"
#: Between a name and its value. Not a line's end: what stands in the next line is something else.
_IS = r"\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?"
#: What a text in lower case must have anywhere (any of these; a search for them costs next to nothing), the
#: shape, and what takes its place. Each is linear: where one begins, no other can begin before it has ended,
#: or it looks at a bounded number of characters; ``tests/test_patterns.py`` measures it.
_SHAPES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("authorization",),
        rf"\b((?:proxy-)?authorization)({_IS})(?:(bearer|basic)[ \t]+)?{_VALUE}",
        rf"\1\2{_CUT}",
    ),
    (("bearer",), rf"\b(bearer\s+){_VALUE}", rf"\1{_CUT}"),
    (
        ("key", "token", "secret", "passw"),
        r"\b((?:x-goog-|x-)?api[-_]?key|x-goog-api-key|(?:access|refresh|auth|id)[-_]?token|client[-_]?secret"
        rf"|passw(?:or)?d)({_IS}){_VALUE}",
        rf"\1\2{_CUT}",
    ),
    # Without a telling name only where it looks like a query: "unknown key: x" is no secret.
    (("key=",), rf"\b(key=){_VALUE}", rf"\1{_CUT}"),
    # A cookie is several pairs; all of them go.
    (("cookie",), rf"\b((?:set-)?cookie)({_IS})[^\r\n\"']+", rf"\1\2{_CUT}"),
    # The user and the password of a URL.
    (("://",), r"(://)[^\s/@:\"']+:[^\s/@\"']+(?=@)", rf"\1{_CUT}"),
    (("sk-",), r"\bsk-[a-z0-9_-]{6,}", _CUT),
    (("aiza",), r"\bAIza[a-z0-9_-]{10,}", _CUT),
    (("ya29.",), r"\bya29\.[a-z0-9_.-]{6,}", _CUT),
    (("sgamp_",), r"\bsgamp_[a-z0-9_-]{6,}", _CUT),
    # A JSON Web Token. It is looked for once in each run of its characters, at the first "eyJ": if that has
    # no dot behind it, no later one has. To try each of them would be quadratic.
    (
        ("eyj",),
        r"(?<![a-z0-9_-])((?:(?!\beyJ)[a-z0-9_-])*)eyJ[a-z0-9_-]{8,}\.[a-z0-9_-]{4,}(?:\.[a-z0-9_-]*)?",
        rf"\1{_CUT}",
    ),
)
_HINTS = tuple(dict.fromkeys(hint for hints, _, _ in _SHAPES for hint in hints))
#: Those of shapes without any mark: letters and digits alone, as most ids are, have no other.
_WORD_HINTS = ("aiza",)


@lru_cache(maxsize=1)
def _shapes() -> tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...]:
    """Compiled when a text has to be looked through for the first time."""
    return tuple((hints, re.compile(pattern, re.IGNORECASE), kept) for hints, pattern, kept in _SHAPES)


def printable(text: str) -> str:
    r"""A text from others in one line: control characters, line and bidi marks as ``\x1b`` and the like."""
    # What Python calls printable has none of them; that is asked in a fraction of the time.
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


_CONTROL = LatePattern("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _escaped(match: re.Match[str]) -> str:
    point = ord(match.group())
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"
