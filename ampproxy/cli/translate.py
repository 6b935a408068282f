"""``ampproxy translate``: a request or an answer from one dialect to another, and what is lost on the way.

Nothing is read but the file and nothing is asked of anybody: neither a configuration nor a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, BinaryIO

import click
import msgspec

from ampproxy.catalog.hosts import shipped_hosts
from ampproxy.dialects.base import AnswerContext, Dialect
from ampproxy.dialects.registry import DIALECTS, ROWS
from ampproxy.errors import ExchangeError
from ampproxy.model.events import ChatResponse, WireError
from ampproxy.model.fold import fold, unfold
from ampproxy.model.loss import Loss
from ampproxy.model.request import ChatRequest
from ampproxy.relay.losses import listed, of_answer, refusing
from ampproxy.relay.settle import Settling
from ampproxy.relay.translate import ToolNameRestorer, TranslatedStream, read_question, render_for
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable

#: Short names of dialects.
ALIASES: Mapping[str, str] = {row.short or row.name: row.name for row in ROWS}
#: The model of a request or an answer that names none (Gemini has it in the path).
_NAMELESS = "model"


@dataclass(frozen=True, kw_only=True)
class Translation:
    """What came of it.

    :param body: the request's or the answer's JSON, or the bytes of an event stream.
    :param names: tool names that had to change, as sent -> as the client knows them.
    :param headers: request headers that the body needs.
    :param broken: how a stream broke off; what came before is in ``body``.
    """

    body: bytes
    losses: tuple[Loss, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: WireError | None = None


class _DialectName(click.ParamType):  # type: ignore[type-arg]  # not generic in older releases
    name = "dialect"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The short names, which help shows."""
        return f"[{'|'.join(ALIASES)}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The dialect's full name."""
        name = ALIASES.get(value.lower(), value.lower())
        if name not in DIALECTS:
            known = ", ".join(dict.fromkeys((*ALIASES, *DIALECTS)))
            self.fail(f"{printable(value)} is no dialect; one of {known} was expected.", param, ctx)
        return name


@click.command("translate")
@click.option("--from", "source", type=_DialectName(), required=True, help="The dialect of FILE.")
@click.option("--to", "target", type=_DialectName(), required=True, help="The dialect to translate to.")
@click.option("--response", "whole", is_flag=True, help="FILE is a vendor's whole answer, not a request.")
@click.option("--stream", "stream", is_flag=True, help="FILE is a vendor's event stream, not a request.")
@click.option(
    "--model",
    metavar="NAME",
    help="The model that is asked, thinking suffix and all, or that the answer names. Otherwise FILE's own.",
)
@click.option(
    "--profile",
    type=click.Choice(tuple(shipped_hosts().profiles)),
    metavar="NAME",
    help="The kind of server that is asked: a host profile.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result and losses as one JSON object.")
@click.option("--strict", is_flag=True, help="Exit with 2 if 'translation: strict' would refuse the request.")
@click.argument("file", type=click.File("rb"))
def command(
    source: str,
    target: str,
    whole: bool,
    stream: bool,
    model: str | None,
    profile: str | None,
    as_json: bool,
    strict: bool,
    file: BinaryIO,
) -> None:
    """Translate FILE (- for standard input) and say on standard error what could not be said.

    The result shows everything that FILE holds: look for keys and private texts before you publish it.

    Exit status 0; 1 if FILE is not valid in its dialect; 2 with --strict if something was lost.
    """
    kind = "stream" if stream else "answer" if whole else "request"
    show = _show_json if as_json else _show_plain
    about = {"from": source, "to": target, "kind": kind}
    try:
        make = partial(translate_request, profile=profile or "") if kind == "request" else _MAKE[kind]
        made = make(file.read(), DIALECTS[source], DIALECTS[target], model)
    except ExchangeError as refusal:
        _refuse(about, refusal.error, as_json=as_json)
        raise SystemExit(1) from None
    show(about, made)
    if made.broken is not None:
        raise SystemExit(1)
    if strict and refusing(made.losses):
        raise SystemExit(2)


def translate_request(
    body: bytes, client: Dialect, spoken: Dialect, model: str | None, profile: str = ""
) -> Translation:
    """A client's request, as an account is asked it.

    :param profile: the host profile of the server; empty: any server.

    :raises ampproxy.errors.ExchangeError: it is not valid in the client's dialect.
    """
    in_path = None if client.passthrough.model_in_body else _NAMELESS
    asked = read_question(body, client, spoken, model=model or in_path, stream=None)
    name, suffix = split_suffix(model or asked.model)
    rendered = render_for(asked, spoken, name, suffix, profile=profile)
    return Translation(
        body=rendered.body, losses=rendered.losses, names=rendered.names, headers=rendered.headers
    )


def translate_answer(body: bytes, vendor: Dialect, client: Dialect, model: str | None) -> Translation:
    """A vendor's whole answer, as a client gets it.

    :raises ampproxy.errors.ExchangeError: it is no answer in the vendor's dialect.
    """
    settling = _settling(vendor, client)
    response: ChatResponse = fold(settling.feed(unfold(vendor.parse_response(body))))
    name = model or response.model or _NAMELESS
    out = client.render_response(response, _context(name))
    losses = (*of_answer(response, client, _context(name)), *settling.losses)
    return Translation(body=out, losses=losses)


def _settling(vendor: Dialect, client: Dialect) -> Settling:
    return Settling(one=False, client="" if vendor.name == client.name else client.name)


def translate_stream(data: bytes, vendor: Dialect, client: Dialect, model: str | None) -> Translation:
    """A vendor's event stream, as a client gets it; if it breaks off or tells an error, up to there."""
    empty_request = ChatRequest(dialect=client.name, model=model or _NAMELESS, turns=())
    renderer = client.stream_renderer(_context(model or _NAMELESS))
    names = ToolNameRestorer({}, empty_request, frozenset())
    stream = TranslatedStream(vendor.stream_parser(), renderer, names, _settling(vendor, client))
    out, broken = b"", None
    try:
        out = stream.feed(data)
        out += stream.end()
    except ExchangeError as fault:
        broken = fault.error
        out += fault.sent_before + stream.error(broken)
    return Translation(body=out, losses=stream.losses, broken=broken)


_MAKE: Mapping[str, Callable[[bytes, Dialect, Dialect, str | None], Translation]] = {
    "answer": translate_answer,
    "stream": translate_stream,
}


def _context(model: str) -> AnswerContext:
    """Countable ids and no time: the same file gives the same result."""
    numbers = count(1)
    return AnswerContext(model, 0, lambda prefix: f"{prefix}{next(numbers):024d}")


def _show_plain(about: Mapping[str, str], made: Translation) -> None:
    stream = about["kind"] == "stream"
    click.echo(made.body if stream else msgspec.json.format(made.body, indent=2), nl=not stream)
    for sent, name in made.names.items():
        click.echo(f"tool name: {printable(name)} is sent as {printable(sent)}", err=True)
    for header, value in made.headers.items():
        click.echo(f"header: {header}: {printable(value)}", err=True)
    lines = listed(made.losses)
    click.echo(f"{len(lines)} lost:" if lines else "nothing is lost", err=True)
    for line in lines:
        click.echo(f"  {line}", err=True)
    if made.broken is not None:
        click.echo(f"broken off: {printable(made.broken.message)}", err=True)


def _show_json(about: Mapping[str, str], made: Translation) -> None:
    text = about["kind"] == "stream"
    counting = set(refusing(made.losses))
    _echo_json(
        {
            **about,
            "result": made.body.decode("utf-8", "replace") if text else msgspec.Raw(made.body),
            "losses": [
                {"kind": loss.kind, "path": loss.path, "why": loss.why, "strict": loss in counting}
                for loss in made.losses
            ],
            "names": dict(made.names),
            "headers": dict(made.headers),
            "error": None if made.broken is None else _error_members(made.broken),
        }
    )


def _refuse(about: Mapping[str, str], error: WireError, *, as_json: bool) -> None:
    if as_json:
        _echo_json({**about, "error": _error_members(error)})
        return
    where = f" (at {printable(error.param)})" if error.param and error.param not in error.message else ""
    click.echo(f"{about['from']} {about['kind']}: {printable(error.message)}{where}", err=True)


def _error_members(error: WireError) -> dict[str, Any]:
    return {"kind": error.kind, "message": error.message, "param": error.param, "status": error.status}


def _echo_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
