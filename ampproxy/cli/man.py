"""``ampproxy man``: the manual page, made of what ``--help`` shows (``man(7)``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from ampproxy import __version__

_FILES = (
    ("~/.config/ampproxy/config.yaml", "The configuration."),
    ("/etc/ampproxy/config.yaml", "The configuration of the whole system, where the user has none."),
    ("~/.local/state/ampproxy", "The ledger, and what else is kept (setting: state-dir)."),
)
_ENVIRONMENT = (
    ("AMPPROXY_API_KEY", "A client key for the commands, where the configuration holds hashes alone."),
    ("NO_COLOR, FORCE_COLOR", "No colours; colours also where the output is no terminal."),
    ("COLUMNS", "The width that output is fitted to."),
)
_STATUSES = (
    ("0", "Done, and all is well."),
    ("1", "It failed, or something is wrong."),
    ("2", "A wrong option or argument."),
    ("3", "The service is not running."),
)


@click.command("man")
@click.pass_context
def command(context: click.Context) -> None:
    """Print the manual page: ampproxy man > ampproxy.1; man ./ampproxy.1"""
    main = context.find_root().command
    for line in page(click.Context(main, info_name="ampproxy", **main.context_settings)):
        click.echo(line)


def page(root: click.Context) -> Iterator[str]:
    """The page in roff.

    :param root: of the command ``ampproxy``.
    """
    yield f'.TH AMPPROXY 1 "" "ampproxy {__version__}" "User commands"'
    yield ".SH NAME"
    yield r"ampproxy \- run the Amp coding agent on the model accounts you already have"
    yield ".SH SYNOPSIS"
    yield ".B ampproxy"
    yield "VERB [OPTIONS]"
    yield ".SH DESCRIPTION"
    yield from _text(root.command.help or "")
    yield ".SH VERBS"
    for context in _commands(root):
        yield from _verb(context)
    for title, rows in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT), ("EXIT STATUS", _STATUSES)):
        yield f".SH {title}"
        yield from _rows(rows)


def _commands(above: click.Context) -> Iterator[click.Context]:
    """Every verb, and those below it."""
    group = above.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(above):
        found = group.get_command(above, name)
        assert found is not None
        context = click.Context(found, info_name=name, parent=above)
        yield context
        yield from _commands(context)


def _verb(context: click.Context) -> Iterator[str]:
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield f".SS {_escaped(context.command_path)} {_escaped(usage)}"
    yield from _text(context.command.help or "")
    records = [param.get_help_record(context) for param in context.command.params]
    yield from _rows([record for record in records if record is not None])


def _rows(rows: object) -> Iterator[str]:
    for name, text in rows:  # type: ignore[attr-defined]
        yield ".TP"
        yield f".B {_escaped(name)}"
        yield from _text(text)


def _text(text: str) -> Iterator[str]:
    r"""Paragraphs; one that begins with a ``\b`` of its own keeps its lines."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\f", "").strip())
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        lines = [line.strip() for line in paragraph.splitlines() if line.strip("\b ")]
        if "\b" in paragraph:
            yield ".nf"
            yield from map(_escaped, lines)
            yield ".fi"
        else:
            yield _escaped(" ".join(lines))


def _escaped(text: str) -> str:
    """Text that is no request, whatever it begins with."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text
