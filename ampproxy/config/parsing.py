"""How a tree of nodes becomes values: places, readers, and tables of settings.

A :class:`Setting` is one row: its key, the field it fills, how it is read, and one line of
documentation. A :class:`Section` reads a mapping by its rows. Parsing, the check for unknown keys,
its suggestions and the reference documentation all follow from the rows, so that adding a setting is adding
one row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingOf
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import msgspec

from ampproxy.config.document import KINDS, Entry, Node, Scalar, Sequence, YamlMapping, below
from ampproxy.config.secrets import BadReference, NotHere, expand, is_reference, resolve
from ampproxy.model.base import Value
from ampproxy.wire.redact import Unseen

#: What is said of a setting of CLIProxyAPI that means nothing here.
NOT_SUPPORTED = "is not supported by ampproxy and has no effect"


class InvalidValue(Exception):
    """A value is not what its key expects. The message is a complaint and never shows a secret."""


class AlreadyReported(InvalidValue):
    """Something inside was wrong and has been reported already."""


class Absent(InvalidValue):
    """What the value refers to is not here: see :meth:`Location.unseen`.

    :ivar what: the variable or the file.
    """

    def __init__(self, error: NotHere) -> None:
        super().__init__(str(error))
        self.what = error.what


#: So many complaints about a file are listed, and as many warnings; further ones are counted.
MAX_REMARKS = 100

#: A complaint, or what makes it: finding a name that was meant takes longer than all else.
Words: TypeAlias = "str | Callable[[], str]"


class Remarks:
    """What a file is found fault with for, in the order in which it was found.

    :param name: what complaints call the file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._listed: list[tuple[int, str]] = []
        self._more = 0
        self._at = 0

    def add(self, line: int, key: str, words: Words) -> None:
        """Note one. Its words are not made where it is not listed."""
        if len(self._listed) < MAX_REMARKS:
            text = words if isinstance(words, str) else words()
            self._listed.append((line, f"{self._name}:{line}: {key}: {text}"))
            return
        self._more += 1
        self._at = self._at or line

    def __bool__(self) -> bool:
        return bool(self._listed)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Each with its line, and how many there are besides, which comes last in the order of lines."""
        yield from self._listed
        if self._more:
            message = f"and {self._more} more are not listed, here and elsewhere: fix these first"
            yield sys.maxsize, f"{self._name}:{self._at}: file: {message}"


class ParseContext:
    """What reading one file needs from outside, and what it has found fault with so far.

    :param folder: where relative paths begin.
    :param elsewhere: variables that are looked for behind those of ``environ``.
    :param lenient: whether a secret that is not here is no error: a stand-in takes its place.
    :param pems: whether the listener's certificate and key have to be there.
    :ivar unseen: what stand-ins were put in for.
    :ivar literal: the settings whose secrets stand in the file itself.
    """

    def __init__(
        self,
        name: str,
        environ: MappingOf[str, str],
        home: Path,
        read_secret: Callable[[Path], str],
        read_pem: Callable[[Path], bytes],
        folder: Path = Path("/"),
        elsewhere: MappingOf[str, str] = MappingProxyType({}),
        lenient: bool = False,
        pems: bool = True,
    ) -> None:
        self.name = name
        self.environ = environ
        self.home = home
        self.read_secret = read_secret
        self.read_pem = read_pem
        self.folder = folder
        self.elsewhere = elsewhere
        self.lenient = lenient
        self.pems = pems
        self.unseen: list[Unseen] = []
        self.literal: list[str] = []
        self.complaints = Remarks(name)
        self.warnings = Remarks(name)

    def complain(self, line: int, key: str, message: Words) -> None:
        """Note what keeps the configuration from being used."""
        self.complaints.add(line, key, message)

    def warn(self, line: int, key: str, message: Words) -> None:
        """Note what is odd but does no harm."""
        self.warnings.add(line, key, message)


class Location(Value, frozen=True):
    """A value in the file: its node, its whole key, and the line where a user would look for it."""

    node: Node
    key: str
    line: int
    reading: ParseContext

    def complain(self, message: str) -> None:
        """Report an error here."""
        self.reading.complain(self.line, self.key, message)

    def warn(self, message: Words) -> None:
        """Report a warning here."""
        self.reading.warn(self.line, self.key, message)

    def complain_below(self, key: str, message: str) -> None:
        """Report an error at a key of this mapping, or here where it has none of that name."""
        entry = self.node.get(key) if isinstance(self.node, YamlMapping) else None
        line = self.line if entry is None else entry.line
        self.reading.complain(line, below(self.key, key), message)

    def child(self, entry: Entry) -> Location:
        """The place of a key of this mapping."""
        return Location(entry.node, entry.shown or below(self.key, entry.key), entry.line, self.reading)

    def items(self, expected: str) -> list[Location]:
        """The places of this list's items.

        :raises Wrong: it is no list.
        """
        if not isinstance(self.node, Sequence):
            raise InvalidValue(f"expected {expected}, found {KINDS[type(self.node)]}")
        shown = self.node.shown or tuple(f"{self.key}[{index}]" for index in range(len(self.node.items)))
        return [
            Location(node, key, node.line, self.reading)
            for node, key in zip(self.node.items, shown, strict=True)
        ]

    def scalar(self, expected: str) -> Scalar:
        """The single value that stands here.

        :raises Wrong: it is a list, a mapping, or nothing.
        """
        if not isinstance(self.node, Scalar):
            raise InvalidValue(f"expected {expected}, found {KINDS[type(self.node)]}")
        if self.node.type == "null":
            raise InvalidValue(f"expected {expected}, found nothing")
        return self.node

    def text(self, expected: str = "text") -> str:
        """The value as stripped text, environment variables filled in.

        A plain number is its text; a plain ``yes`` or ``true`` is not, for it is rarely meant.

        :raises Wrong: it is not text, or a variable is not set.
        """
        scalar = self.scalar(expected)
        if scalar.type == "bool" and scalar.plain:
            raise InvalidValue(
                f"expected {expected}, found a true or false value: put it in quotes if it is meant as text"
            )
        return self.expanded(scalar)

    def expanded(self, scalar: Scalar) -> str:
        """``scalar`` with environment variables filled in.

        :raises Wrong: one of them is not set.
        """
        environ, elsewhere = self.reading.environ, self.reading.elsewhere
        variables = environ if not elsewhere else {**elsewhere, **environ}
        try:
            return expand(scalar.text, variables).strip()
        except NotHere as error:
            raise Absent(error) from None
        except BadReference as error:
            raise InvalidValue(str(error)) from None

    def secret_text(self) -> str:
        """The value of a secret: written here, in a variable, or in the file that ``file:`` names.

        :raises Absent: it is not here.
        :raises Wrong: it cannot be had.
        """
        try:
            text = resolve(self.text("a secret"), self.reading.home, self.reading.read_secret).strip()
        except NotHere as error:
            raise Absent(error) from None
        except BadReference as error:
            raise InvalidValue(str(error)) from None
        if text and not is_reference(self.scalar("a secret").text):
            self.reading.literal.append(self.key)
        return text

    def unseen(self, absent: Absent) -> Unseen:
        """Take note that a stand-in takes the place of what is not here.

        :raises Absent: nothing can, in a strict reading.
        """
        if not self.reading.lenient:
            raise absent
        return self.missing(absent.what)

    def missing(self, what: str) -> Unseen:
        """A stand-in for the value of this place, taken note of.

        :param what: the variable or the file that is not to be had.
        """
        reference = self.node.text if isinstance(self.node, Scalar) else ""
        found = Unseen(reference, self.key, what)
        if str(found) not in map(str, self.reading.unseen):
            self.reading.unseen.append(found)
        return found

    def attempt(self, reader: Reads) -> tuple[Any, bool]:
        """Read the value; what is wrong with it is reported.

        :returns: the value, and whether there is one.
        """
        try:
            return reader(self), True
        except AlreadyReported:
            return None, False
        except InvalidValue as wrong:
            self.complain(str(wrong))
            return None, False


class Reads(Protocol):
    """A reader of one value. ``type`` is how the documentation names what it accepts."""

    @property
    def type(self) -> str:
        """What it accepts, for people."""

    def __call__(self, place: Location) -> Any:
        """Read it.

        :raises Wrong: it is not what was expected.
        """


class Reader(Value, frozen=True):
    """A reader made of a function.

    :param words: for a choice: every word that it takes, in lower case.
    """

    type: str
    read: Callable[[Location], Any]
    words: tuple[str, ...] = ()

    def __call__(self, place: Location) -> Any:
        """Call the function."""
        return self.read(place)


class ListOf(Value, frozen=True):
    """A list whose items one reader reads; all are looked at, also after one that is wrong."""

    item: Reads
    type: str

    def __call__(self, place: Location) -> tuple[Any, ...]:
        """Read every item."""
        results = [item.attempt(self.item) for item in place.items(self.type)]
        if not all(good for _, good in results):
            raise AlreadyReported
        return tuple(value for value, _ in results)


class Setting(Value, frozen=True):
    """One row of a table of settings.

    :param name: the key, as written in its section.
    :param field: what it fills in the section's result; empty: what is called as the key is.
    :param doc: one line for the documentation.
    :param default: what absence means, for the documentation.
    :param required: whether absence is wrong.
    :param blank: whether empty text says something of its own; else it is the same as absence.
    :param hollow: whether the key may stand there with nothing, which is the same as absence; not where
        absence allows more than anything that somebody may have meant to write.
    """

    name: str
    reader: Reads
    doc: str
    default: str = "none"
    required: bool = False
    blank: bool = False
    hollow: bool = True
    field: str = ""

    def __post_init__(self) -> None:
        if not self.field:
            msgspec.structs.force_setattr(self, "field", self.name.replace("-", "_"))


class ParsedSection(Value, frozen=True):
    """What a section of the file holds.

    :ivar values: by field; what was absent or wrong is missing.
    :ivar places: by field, of every known key that stands in the file, right or wrong.
    """

    place: Location
    values: dict[str, Any]
    places: dict[str, Location]

    def at(self, field: str) -> Location:
        """Where to complain about that field: its own key, else the section."""
        return self.places.get(field, self.place)

    def broken(self, field: str) -> bool:
        """Whether the key stands there with a wrong value, so that nothing follows from its absence."""
        return field in self.places and field not in self.values


class Section(Value, frozen=True):
    """A mapping with known keys.

    :param build: makes the section's value of what was found; may complain at its places.
    :param unsupported: keys that mean something elsewhere and nothing here, with what to say of it.
    """

    build: Callable[[ParsedSection], Any]
    rows: tuple[Setting, ...]
    unsupported: MappingOf[str, str] = msgspec.field(default_factory=dict)
    type: str = "section"

    def __call__(self, place: Location) -> Any:
        """Read every key, then build.

        :raises Reported: a required setting is missing or wrong.
        """
        if not isinstance(place.node, YamlMapping):
            raise InvalidValue(f"expected keys and values, found {KINDS[type(place.node)]}")
        found = self._find(place, place.node)
        for row in self.rows:
            if row.required and row.field not in found.places:
                key = f"{place.key}.{row.name}" if place.key else row.name
                place.reading.complain(place.line, key, f"is missing, expected {row.reader.type}: {row.doc}")
        if any(row.required and row.field not in found.values for row in self.rows):
            raise AlreadyReported
        return self.build(found)

    def _find(self, place: Location, node: YamlMapping) -> ParsedSection:
        rows = {row.name: row for row in self.rows}
        found = ParsedSection(place, {}, {})
        for entry in node:
            at = place.child(entry)
            row = rows.get(entry.key)
            if row is None:
                at.warn(partial(self.without_effect, entry.key))
            elif row.required or not _absent(entry.node, row):
                found.places[row.field] = at
                value, good = at.attempt(row.reader)
                if good:
                    found.values[row.field] = value
            elif not row.hollow:
                found.places[row.field] = at
                at.complain(f"is empty: expected {row.reader.type}, or leave it out for {row.default}")
        return found

    @property
    def names(self) -> frozenset[str]:
        """The keys that it knows."""
        return frozenset(row.name for row in self.rows)

    def without_effect(self, key: str) -> str:
        """What is said of a key that it does not know, or that means something elsewhere alone."""
        why = self.unsupported.get(key)
        if why is not None:
            return f"{NOT_SUPPORTED}: {why}"
        near = suggest(key, [row.name for row in self.rows]) or self._elsewhere(key)
        return f"is not a known setting and has no effect{near}"

    def _elsewhere(self, key: str) -> str:
        """``: did you mean SECTION.KEY?`` if a section within has that key, else nothing."""
        for path, _, row in walk(self):
            if path and "[" not in path and row.name == key:
                return f": did you mean {path}.{key}?"
        return ""


def _absent(node: Node, row: Setting) -> bool:
    """Whether the key stands there with nothing, as templates have it: ``key:`` or ``key: ""``."""
    if not isinstance(node, Scalar):
        return False
    return node.type == "null" or (not row.blank and not node.text.strip())


def suggest(key: str, names: list[str]) -> str:
    """``: did you mean X?`` if a name is near ``key``, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(key.strip().lower().replace("_", "-"), names, n=1, cutoff=0.7)
    return f": did you mean {near[0]}?" if near else ""


def walk(section: Section, path: str = "") -> Iterator[tuple[str, Section, Setting]]:
    """Every setting of a section and of those within: ``(path of its section, section, row)``.

    A list's items are named by ``[]``: ``ampcode.model-mappings[]``.
    """
    for row in section.rows:
        yield path, section, row
        reader, inner = row.reader, f"{path}.{row.name}" if path else row.name
        item = getattr(reader, "item", None)
        if isinstance(reader, Section):
            yield from walk(reader, inner)
        elif isinstance(item, Section):
            yield from walk(item, inner + "[]")
