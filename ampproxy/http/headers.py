"""Twisted's headers over one dict of lower-case names, made at once of what a parser found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import NotImplementedType
from typing import AnyStr, Protocol, TypeVar, overload

from twisted.web.http_headers import Headers

_T = TypeVar("_T")

#: Names that are remembered, and how long each may be: others choose them.
_MAX_NAMES = 4096
_MAX_NAME_BYTES = 64


class _Lower(dict[str | bytes, bytes]):
    """Any spelling of a name -> its lower case."""

    def __missing__(self, name: str | bytes) -> bytes:
        # Twisted's own check of what may be a name.
        Headers().addRawHeader(name, b"")
        lower = (name.encode("iso-8859-1") if isinstance(name, str) else name).lower()
        return _remember(self, name, lower)


class _Canonical(dict[bytes, bytes]):
    """A name in lower case -> as Twisted spells it."""

    def __missing__(self, lower: bytes) -> bytes:
        spelt = Headers()
        spelt.addRawHeader(lower, b"")
        ((canonical, _),) = spelt.getAllRawHeaders()
        return _remember(self, lower, canonical)


class _Begun(dict[bytes, bytes]):
    """A name in lower case -> the beginning of its line."""

    def __missing__(self, lower: bytes) -> bytes:
        return _remember(self, lower, _canonical[lower] + b": ")


def _remember(known: dict[_T, bytes], name: _T, value: bytes) -> bytes:
    if len(value) <= _MAX_NAME_BYTES:
        if len(known) >= _MAX_NAMES:
            # Somebody makes names up; the usual ones are soon back.
            known.clear()
        known[name] = value
    return value


_lower = _Lower()
_canonical = _Canonical()
_begun = _Begun()


class LowerHeaders(Headers):
    """Twisted's ``Headers`` in all that is public: names in any case, given out as Twisted spells them.

    Beside it, headers are made of a parser's pairs and read as pairs, both without a call for each.

    :ivar by_name: the values of each header, names in lower case: to be looked at without a call. Whoever
        sets some leaves no line's end in them, and never an empty list.
    :raises twisted.web.http_headers.InvalidHeaderName: by each method that takes a name; it is no token.
    """

    __slots__ = ("by_name",)

    by_name: dict[bytes, list[bytes]]

    # Not the base class's, which fills an attribute of its own.
    def __init__(self, rawHeaders: Mapping[AnyStr, Sequence[AnyStr]] | None = None) -> None:
        self.by_name = {}
        if rawHeaders is not None:
            for name, values in rawHeaders.items():
                self.setRawHeaders(name, values)

    @classmethod
    def of_pairs(cls, pairs: Collection[tuple[bytes, bytes]]) -> LowerHeaders:
        """Headers of a message, as its parser found them: names that are tokens, and values without control
        characters. Blanks around a value are no part of it (RFC 9112, section 5.1).
        """
        self = cls.__new__(cls)
        lower = _lower
        self.by_name = values = {lower[name]: [value.strip(b" \t")] for name, value in pairs}
        if len(values) < len(pairs):
            self.by_name = values = {}
            for name, value in pairs:
                values.setdefault(lower[name], []).append(value.strip(b" \t"))
        return self

    @classmethod
    def of_known(cls, pairs: Sequence[tuple[bytes, bytes]]) -> LowerHeaders:
        """Headers that somebody has made: names in lower case that are tokens, values without line ends."""
        self = cls.__new__(cls)
        self.by_name = {name: [value] for name, value in pairs}
        if len(self.by_name) < len(pairs):
            self.by_name = {}
            for name, value in pairs:
                self.by_name.setdefault(name, []).append(value)
        return self

    @classmethod
    def of_lines(cls, lines: Iterable[bytes]) -> LowerHeaders:
        """Headers of the lines of a message's head, without their ends and without control characters.

        :raises ValueError: one of them is no header.
        """
        self = cls.__new__(cls)
        values: dict[bytes, list[bytes]] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise ValueError("no colon")
            lower = _lower[name]
            if lower in values:
                values[lower].append(value.strip(b" \t"))
            else:
                values[lower] = [value.strip(b" \t")]
        self.by_name = values
        return self

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """All headers, names in lower case, in the order in which the names came first."""
        try:
            return [(name, value) for name, (value,) in self.by_name.items()]
        except ValueError:  # A name has several values.
            return [(name, value) for name, values in self.by_name.items() for value in values]

    def those(self, names: Iterable[bytes]) -> list[tuple[bytes, Sequence[bytes]]]:
        """Those of these headers that are there, with their values; names in lower case."""
        values = self.by_name
        return [(name, values[name]) for name in names if name in values]

    def lines(self) -> list[bytes]:
        """The lines of all headers as they are sent, without their ends."""
        begun = _begun
        try:
            return [begun[name] + value for name, (value,) in self.by_name.items()]
        except ValueError:  # A name has several values.
            return [begun[name] + value for name, values in self.by_name.items() for value in values]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.getAllRawHeaders())!r})"

    def __cmp__(self, other: object) -> int | NotImplementedType:
        if not isinstance(other, Headers):
            return NotImplemented  # type: ignore[no-any-return]  # python/mypy#18914
        mine, others = sorted(self.getAllRawHeaders()), sorted(other.getAllRawHeaders())
        return (mine > others) - (mine < others)

    def copy(self) -> LowerHeaders:
        """Headers of their own with the same names and values."""
        new = type(self).__new__(type(self))
        new.by_name = {name: values[:] for name, values in self.by_name.items()}
        return new

    def hasHeader(self, name: AnyStr) -> bool:
        """Whether there is such a header."""
        return _lower[name] in self.by_name

    def removeHeader(self, name: AnyStr) -> None:
        """Remove all values of a header."""
        self.by_name.pop(_lower[name], None)

    def setRawHeaders(self, name: str | bytes, values: Sequence[str | bytes]) -> None:
        """Set all values of a header; see :meth:`addRawHeader`."""
        value = values[0] if len(values) == 1 else None
        if isinstance(value, bytes) and b"\n" not in value and b"\r" not in value:
            # Nearly all that is set: no call for it.
            self.by_name[_lower[name]] = [value]
        else:
            self.by_name[_lower[name]] = [_one_line(each) for each in values]

    def addRawHeader(self, name: str | bytes, value: str | bytes) -> None:
        """Add a value. Line ends in it become spaces; text becomes UTF-8."""
        self.by_name.setdefault(_lower[name], []).append(_one_line(value))

    @overload
    def getRawHeaders(self, name: AnyStr) -> Sequence[AnyStr] | None: ...

    @overload
    def getRawHeaders(self, name: AnyStr, default: _T) -> Sequence[AnyStr] | _T: ...

    def getRawHeaders(self, name: AnyStr, default: _T | None = None) -> Sequence[AnyStr] | _T | None:
        """The values of a header, as text where its name is text; ``default`` if there are none."""
        values = self.by_name.get(_lower[name])
        if not values:
            return default
        if isinstance(name, str):
            return [value.decode("utf8") for value in values]
        return values

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """Each name, as Twisted spells it, with its values."""
        return iter([(_canonical[name], values) for name, values in self.by_name.items()])


class FixedHeaders(LowerHeaders):
    """Headers that are sent again and again, and that nobody changes: their lines are made once.

    :param pairs: names in lower case that are tokens, values without line ends.
    """

    __slots__ = ("_lines",)

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self.by_name = LowerHeaders.of_known(pairs).by_name
        self._lines = super().lines()

    def lines(self) -> list[bytes]:
        """See :meth:`LowerHeaders.lines`. Not to be changed either."""
        return self._lines

    def copy(self) -> LowerHeaders:
        """Headers of their own with the same names and values, which may be changed."""
        return LowerHeaders.of_known(self.pairs())

    def removeHeader(self, name: AnyStr) -> None:
        """Refuse to."""
        raise TypeError("These headers are not to be changed.")

    def setRawHeaders(self, name: str | bytes, values: Sequence[str | bytes]) -> None:
        """Refuse to."""
        raise TypeError("These headers are not to be changed.")

    def addRawHeader(self, name: str | bytes, value: str | bytes) -> None:
        """Refuse to."""
        raise TypeError("These headers are not to be changed.")


class HasHeaders(Protocol):
    """Headers that are only looked at: ``twisted.web.http_headers.Headers``."""

    def getRawHeaders(self, name: bytes) -> Sequence[bytes] | None:
        """All values of a header."""


def has_any(headers: HasHeaders, names: frozenset[bytes]) -> bool:
    """Whether there is any of these headers, their names being in lower case."""
    if isinstance(headers, LowerHeaders):
        return not names.isdisjoint(headers.by_name)
    return any(map(headers.getRawHeaders, names))


def those_of(headers: Headers, names: Iterable[bytes]) -> list[tuple[bytes, Sequence[bytes]]]:
    """Those of these headers that are there; see :meth:`LowerHeaders.those`."""
    if isinstance(headers, LowerHeaders):
        return headers.those(names)
    return [(name, values) for name in names if (values := headers.getRawHeaders(name))]


def lines_of(headers: Headers) -> list[bytes]:
    """The lines of any headers; see :meth:`LowerHeaders.lines`."""
    if isinstance(headers, LowerHeaders):
        return headers.lines()
    return [name + b": " + value for name, values in headers.getAllRawHeaders() for value in values]


def _one_line(value: str | bytes) -> bytes:
    data = value.encode("utf8") if isinstance(value, str) else value
    return b" ".join(data.splitlines()) if b"\n" in data or b"\r" in data else data
