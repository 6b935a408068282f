"""``ampproxy chat``: a conversation with a model through the running service."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import click

from ampproxy.cli.configured import config_option, read_config
from ampproxy.cli.service_client import NotAnswered, ServiceClient, at_option, not_running
from ampproxy.cli.terminal import sentence
from ampproxy.cli.try_ import FORMS, Tried, ask, show_error

_PROMPT = "> "
#: Asks as Amp's clients do, or as the vendors' SDKs.
_FORM = FORMS["chat"]


@click.command("chat")
@click.argument("model")
@click.option("--system", default="", help="Instructions for the model.")
@click.option(
    "--as-amp",
    is_flag=True,
    help="Ask as Amp's clients do: mappings count, and it may go to Amp, where it costs credits.",
)
@click.option("--max-tokens", type=click.IntRange(1), default=4096, show_default=True, help="Of each answer.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON after each turn instead.")
@config_option
@at_option
def command(
    model: str, system: str, as_amp: bool, max_tokens: int, as_json: bool, file: Path | None, at: str
) -> None:
    """Talk with MODEL through the running service. Each line is a turn; Ctrl-D ends.

    A turn that fails is not kept, so that the next line can try again. Each turn costs what such a request
    costs. Exit status 0, 1 if the last turn failed, 3 if the service does not run.
    """
    asker = ServiceClient(read_config(file, at=at), at)
    thread = f"T-{uuid4()}"
    path = _FORM.amp if as_amp else _FORM.path
    show = (lambda piece: None) if as_json else partial(click.echo, nl=False)

    def send(body: dict[str, object]) -> Tried:
        return ask(asker, path, body, thread, show)

    try:
        asker.mine()
        whole = converse(model, system, max_tokens, lines(), send, print_json if as_json else conclude)
    except NotAnswered as error:
        raise not_running(error, f"cannot reach the service: {error}") from None
    if not whole:
        raise SystemExit(1)


def lines() -> Iterator[str]:
    """What the user types, without empty lines, to the end of the input. Prompts on a terminal only."""
    asks = sys.stdin.isatty()
    if asks:
        _with_history()
    while True:
        try:
            line = input(_PROMPT if asks else "").strip()
        except (EOFError, KeyboardInterrupt):
            if asks:
                click.echo()
            return
        if line:
            yield line


def _with_history() -> None:
    """Let the arrow keys edit lines and bring back former ones, where Python has what that takes."""
    try:
        import readline  # noqa: F401
    except ImportError:
        pass


def converse(
    model: str,
    system: str,
    max_tokens: int,
    typed: Iterator[str],
    send: Callable[[dict[str, object]], Tried],
    end: Callable[[Tried], object],
) -> bool:
    """Send each line with all that went before; whether the last answer came whole.

    :param send: sends a Chat Completions request and prints the answer's pieces.
    :param end: called with each answer when it has ended.
    """
    turns = [{"role": "system", "content": system}] if system else []
    whole = True
    for line in typed:
        asked = [*turns, {"role": "user", "content": line}]
        tried = send({"model": model, "max_completion_tokens": max_tokens, "stream": True, "messages": asked})
        end(tried)
        whole = not tried.error
        if whole:
            turns = [*asked, {"role": "assistant", "content": tried.text}]
    return whole


def conclude(tried: Tried) -> None:
    """Print what stands below an answer: an empty line, or what went wrong."""
    if tried.text:
        click.echo("\n")
    if tried.error:
        show_error(tried)
        sentence("That line is not part of the conversation.", err=True)


def print_json(tried: Tried) -> None:
    """Print a turn for programs."""
    members = ("text", "error", "status", "route", "first_ms", "total_ms")
    click.echo(json.dumps({name: getattr(tried, name) for name in members}))
