"""Findings on a terminal: the level in its colour, and text and remedy beside it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ampproxy.cli.terminal import wrapped
from ampproxy.desktop.doctor.finding import Finding, Level

#: Where the text stands, right of the level.
_BESIDE = " " * 11
_COLOURS: dict[Level, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "red"}


def finding_lines(finding: Finding, room: int | None) -> Iterator[str]:
    """A finding in lines.

    :param room: columns; ``None``: as many as it takes.
    """
    level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    left = None if room is None else room - len(_BESIDE)
    for number, line in enumerate(wrapped(finding.text, left)):
        yield f"{_BESIDE}{line}" if number else f"  {level} {line}"
    if finding.todo:
        first, *more = finding.todo.split("\n")
        yield from wrapped(f"To do: {first}", room, _BESIDE, f"{_BESIDE}  ")
        for line in more:
            # As it is: it may be YAML, to be copied.
            yield f"{_BESIDE}  {line}"
