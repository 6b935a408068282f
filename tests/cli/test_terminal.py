"""What fits a terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.cli.terminal import (
    Column,
    Progress,
    Table,
    cells,
    shortened,
    wants_colour,
    width,
    wrapped,
)


def lines(columns: list[Column], rows: list[tuple[str, ...]], room: int | None) -> list[str]:
    return [click.unstyle(line) for line in Table(columns, rows, room).lines(rows)]


def test_wrapped() -> None:
    """Between words; the lines after the first hang; what is to be copied stays whole."""
    assert wrapped("one two three", None) == ["one two three"]
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("one two three", 9, "- ", "    ") == ["- one two", "    three"]
    path = "/a/very/long/path/that/is/copied"
    assert wrapped(f"see {path} now", 10) == ["see", path, "now"]
    assert wrapped("", 10) == [""]


def test_columns_that_characters_take() -> None:
    """Two for East Asian ones, none for those that combine."""
    assert [cells("abc"), cells("模型"), cells("e\u0301")] == [3, 4, 1]
    assert wrapped("模型 模型", 8) == ["模型", "模型"]
    assert shortened("模型模型", 5) == "模型…"
    assert shortened("abc", 3) == "abc"


def test_a_table_as_wide_as_it_is() -> None:
    """Without a terminal nothing is left out."""
    assert lines([Column("a"), Column("n", right=True)], [("x", "1"), ("yy", "22")], None) == [
        "a    n",
        "x    1",
        "yy  22",
    ]


def test_columns_are_left_out_by_rank() -> None:
    """The highest first, and only as many as it takes."""
    columns = [Column("keep"), Column("last", rank=1), Column("first", rank=2)]
    row = ("k" * 8, "l" * 8, "f" * 8)
    assert lines(columns, [row], 28)[1] == "  ".join(row)
    assert lines(columns, [row], 27)[1] == "  ".join(row[:2])
    assert lines(columns, [row], 17)[1] == row[0]
    assert lines(columns, [row], 3)[1] == row[0]


def test_cells_are_shortened_before_a_column_is_left_out() -> None:
    """The widest that may be; words of a column that wraps go on below."""
    columns = [Column("a", least=4), Column("b", rank=1), Column("c", least=6, wraps=True)]
    row = ("abcdefgh", "bbb", "one two three")
    found = lines(columns, [row], 20)
    assert max(map(cells, found)) <= 20
    assert found[0].split() == ["a", "b", "c"]
    assert [line[-7:].strip() for line in found[1:]] == ["one two", "three"]
    assert "…" in lines(columns, [row], 17)[1]
    assert lines(columns, [row], 12)[0].split() == ["a", "c"]


def test_a_long_word_in_a_cell() -> None:
    """It is broken: a cell has no other place for it."""
    found = lines([Column("a", least=5, wraps=True)], [("abcdefghij",)], 5)
    assert found == ["a", "abcde", "fghij"]


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, None),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, None),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, None),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours(environ: dict[str, str], wanted: bool | None) -> None:
    """By the two customs; without them, on a terminal alone."""
    assert wants_colour(environ) is wanted


@pytest.mark.parametrize(("name", "painted"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_colours_of_a_verb(name: str, painted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb goes by them."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, "1")
    file = tmp_path / "a.yaml"
    file.write_text("claude-api-key: [{api-key: canary-1}]\n")
    done = CliRunner().invoke(main, ["check", str(file)])
    assert ("\x1b[32mready\x1b[0m" in done.stdout) == painted


def test_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal's; ``COLUMNS`` goes before it, and nothing else is a width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width(io.StringIO()) is None
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 91, 0, 0))
        with open(slave, "w", closefd=False) as stream:
            assert width(stream) == 91
            monkeypatch.setenv("COLUMNS", "70")
            assert width(stream) == 70
            monkeypatch.setenv("COLUMNS", "wide")
            assert width(stream) == 91
    finally:
        os.close(master)
        os.close(slave)


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line that is replaced, and erased at the end; elsewhere a line each; or none."""
    monkeypatch.setenv("COLUMNS", "12")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress() as progress:
        progress("Asking the first")
        progress("Done")
    assert terminal.getvalue() == "\r\x1b[KAsking the…\r\x1b[KDone\r\x1b[K"
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with Progress() as progress:
        progress("Asking the first")
    with Progress(quiet=True) as progress:
        progress("nothing")
    assert pipe.getvalue() == "Asking the first\n"
