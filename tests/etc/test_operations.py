"""``docs/operations.md`` names what is there."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any

import pytest

from tests.etc import ETC

TREE = ETC.parent
TEXT = (TREE / "docs" / "operations.md").read_text()


def test_files_are_there() -> None:
    """Every file of ``etc/`` that is named exists, and every file that exists is named, in some way."""
    named = {word for word in re.findall(r"(?<![/\w])etc/[\w./-]+", TEXT) if "/" in word[4:]}
    assert len(named) > 8
    assert [name for name in named if not (TREE / name).exists()] == []
    operators = ("systemd", "init.d", "default", "logrotate.d", "nginx", "haproxy", "docker", "launchd")
    there = [path for folder in operators for path in (ETC / folder).rglob("*") if path.is_file()]
    assert [path.name for path in there if str(path.relative_to(TREE)) not in TEXT] == []


@functools.cache
def texts() -> list[str]:
    """Every string of the program, put together where it is written in pieces."""
    # As Python has compiled them, which is read a good deal sooner than the source.
    loaders = (SourceFileLoader("", str(path)) for path in (TREE / "ampproxy").rglob("*.py"))
    return [text for loader in loaders for text in within(loader.get_code(""))]


def within(constant: Any) -> Iterator[str]:
    """The texts of a constant: of a module's code, too, and of all that is in it."""
    if isinstance(constant, str):
        yield constant
    elif isinstance(constant, (tuple, frozenset)):
        for one in constant:
            yield from within(one)
    elif isinstance(constant, CodeType):
        yield from within(constant.co_consts)


FAULTS = [line.split(" | ") for line in TEXT.partition("## Faults")[2].splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("row", FAULTS[2:], ids=lambda row: row[0].strip("| "))
def test_log_lines_are_there(row: list[str]) -> None:
    """What the log is said to say, the program says."""
    said = [words for words in re.findall(r"`([^`]+)`", row[1]) if words != "Watchdog timeout"]
    known = texts()
    assert [words for words in said if not any(words in text for text in known)] == []
    assert len(row) == 4
