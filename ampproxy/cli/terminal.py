"""The terminal: how wide it is, words wrapped at its edge, tables that fit it, colours, and progress.

What is not printed on a terminal is for programs: its lines are as long as they are, unless ``COLUMNS`` gives
a width, and without colours, unless ``FORCE_COLOR`` is set. ``NO_COLOR`` turns colours off.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

import click

#: Columns to which sentences are wrapped, however wide the terminal is: longer lines are hard to read.
MOST_COLUMNS = 100
#: Between two columns of a table.
_GAP = "  "
_SHORTENED = "…"
#: Erases the line of a terminal and goes to its beginning (ECMA-48: EL).
_ERASE = "\r\x1b[K"


def width(stream: TextIO | None = None) -> int | None:
    """The columns of the terminal that a stream goes to, by default the standard output; ``None``: it goes to
    none, and ``COLUMNS`` is not set.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    stream = stream or sys.stdout
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None
    except (OSError, ValueError, AttributeError):
        return None  # a stream of Python's own, or one that is closed


def reading_width(room: int | None) -> int | None:
    """Columns for sentences on a terminal of so many: no more than :data:`MOST_COLUMNS`."""
    return None if room is None else min(room, MOST_COLUMNS)


def wants_colour(environ: Mapping[str, str]) -> bool | None:
    """Whether the user wants colours; ``None``: on a terminal alone (no-color.org, force-color.org)."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return None


def cells(text: str) -> int:
    """The columns that a text takes: East Asian characters take two, those that combine none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def shortened(text: str, room: int) -> str:
    """A text, cut at its end if it takes more columns than there are."""
    if cells(text) <= room:
        return text
    kept = text[: max(room - 1, 0)]
    while kept and cells(kept) > room - 1:
        kept = kept[:-1]
    return f"{kept}{_SHORTENED}"[: max(room, 0)]


def wrapped(text: str, room: int | None, indent: str = "", hang: str | None = None) -> list[str]:
    """A text in lines that break between words. A word that is longer than a line, such as a path or an
    address, stays whole: it is to be copied.

    :param room: columns; ``None``: as many as it takes.
    :param indent: before the first line; its spaces before the others, unless ``hang`` is given.
    """
    if room is None or cells(indent) + cells(text) <= room:
        return [f"{indent}{text}".rstrip()]
    hang = " " * cells(indent) if hang is None else hang
    lines: list[str] = []
    line, at, empty = indent, cells(indent), True
    for word in text.split():
        size = cells(word)
        if not empty and at + 1 + size > room:
            lines.append(line)
            line, at, empty = hang, cells(hang), True
        line, at = (f"{line}{word}", at + size) if empty else (f"{line} {word}", at + 1 + size)
        empty = False
    return [*lines, line.rstrip()]


def sentence(text: str, indent: str = "", hang: str | None = None, *, err: bool = False) -> None:
    """Print a text, wrapped at the terminal's edge, and at :data:`MOST_COLUMNS` on a wider one."""
    room = reading_width(width(sys.stderr if err else sys.stdout))
    for line in wrapped(text, room, indent, hang):
        click.echo(line, err=err)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    :param title: what stands above it.
    :param rank: the column of the highest is left out first where the terminal is too narrow; 0: it stays.
    :param least: columns to which it may be shortened; 0: it is never shortened.
    :param wraps: its words go on in further lines instead of being cut off.
    :param room: columns that it takes at least, for rows that are still to come.
    :param colour: of a cell, by its text; ``None``: none of its own.
    """

    title: str
    right: bool = False
    rank: int = 0
    least: int = 0
    wraps: bool = False
    room: int = 0
    colour: Callable[[str], str | None] = lambda text: None


class Table:
    """Rows of cells, in columns that fit the terminal.

    :param rows: by which the columns are measured.
    :param room: columns of the terminal; ``None``: as many as it takes.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[str]],
        room: int | None,
        indent: str = "",
        *,
        headed: bool = True,
    ) -> None:
        self._columns, self._indent = columns, indent
        sizes = [max(column.room, cells(column.title) if headed else 0) for column in columns]
        for row in rows:
            sizes = [max(size, cells(cell)) for size, cell in zip(sizes, row, strict=True)]
        left = None if room is None else room - cells(indent)
        self._shown = dict(_fitted(columns, sizes, left))

    def heading(self) -> str:
        """The titles."""
        return click.style(self._line([column.title for column in self._columns], colours=False), bold=True)

    def row(self, row: Sequence[str]) -> Iterator[str]:
        """The lines of a row: several where words wrap."""
        parts = {
            at: wrapped(_broken(row[at], size), size) if self._columns[at].wraps else [row[at]]
            for at, size in self._shown.items()
        }
        for number in range(max(map(len, parts.values()), default=0)):
            yield self._line(
                ["".join(parts[at][number : number + 1]) if at in parts else "" for at in range(len(row))]
            )

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """The titles, and the rows below them."""
        yield self.heading()
        for row in rows:
            yield from self.row(row)

    def _line(self, row: Sequence[str], *, colours: bool = True) -> str:
        found, last = [], max(self._shown, default=0)
        for at, size in self._shown.items():
            column = self._columns[at]
            text = row[at] if column.wraps else shortened(row[at], size)
            space = " " * max(size - cells(text), 0)
            colour = column.colour(row[at]) if colours else None
            painted = click.style(text, fg=colour) if colour else text
            found.append(f"{space}{painted}" if column.right else painted if at == last else painted + space)
        return f"{self._indent}{_GAP.join(found)}".rstrip()


def _broken(text: str, room: int) -> str:
    """A text with its longest words in pieces that fit a cell."""
    if room < 1 or all(cells(word) <= room for word in text.split()):
        return text
    words = ([word[at : at + room] for at in range(0, len(word), room)] for word in text.split())
    return " ".join(piece for pieces in words for piece in pieces)


def _fitted(columns: Sequence[Column], sizes: Sequence[int], room: int | None) -> Iterator[tuple[int, int]]:
    """Which columns are shown, by their places, and how wide each is."""
    shown = dict(enumerate(sizes))
    if room is None:
        return iter(shown.items())
    least = {at: min(size, columns[at].least or size) for at, size in shown.items()}
    while _taken(least) > room:
        first = max(least, key=lambda at: (columns[at].rank, at))
        if not columns[first].rank:
            break
        del least[first], shown[first]
    while _taken(shown) > room:
        widest = max(shown, key=lambda at: shown[at] if shown[at] > least[at] else 0)
        if shown[widest] <= least[widest]:
            break
        shown[widest] -= 1
    return iter(shown.items())


def _taken(sizes: Mapping[int, int]) -> int:
    return sum(sizes.values()) + len(_GAP) * max(len(sizes) - 1, 0)


class Progress:
    """What is being done, on the standard error: on a terminal one line that the next one replaces and the
    end erases, elsewhere a line each.

    :param quiet: show nothing.
    :ivar live: whether it is one line on a terminal.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.live = not quiet and _is_terminal(sys.stderr)
        self._shown = False

    def __call__(self, text: str) -> None:
        """Show what is being done now."""
        if self._quiet:
            return
        if not self.live:
            click.echo(text, err=True)
            return
        room = (width(sys.stderr) or MOST_COLUMNS) - 1
        click.echo(f"{_ERASE}{shortened(text, room)}", nl=False, err=True, color=True)
        self._shown = True

    def clear(self) -> None:
        """Erase the line, so that something else can be printed."""
        if self._shown:
            click.echo(_ERASE, nl=False, err=True, color=True)
            self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False  # it is closed
