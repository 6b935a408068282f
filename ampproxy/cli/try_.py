"""``ampproxy try``: one streamed request through the running service, and what became of it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import click

from ampproxy.cli.configured import config_option, read_config, with_logins
from ampproxy.cli.log import members
from ampproxy.cli.service_client import NotAnswered, ServiceClient, at_option, not_running
from ampproxy.cli.terminal import sentence
from ampproxy.config.schema import Config
from ampproxy.demo.streamed import text_of
from ampproxy.ledger import LedgerError
from ampproxy.ledger.book import price_book
from ampproxy.ledger.place import Place, place_of
from ampproxy.ledger.rows import Rows, Wanted
from ampproxy.ledger.text import count, dollars
from ampproxy.wire.redact import printable
from ampproxy.wire.sse import EventReader

#: Seconds without a byte after which nothing is expected any more: a model may think for long.
_TIMEOUT = 300.0
#: Seconds in which the service has written the exchange into its ledger.
_WRITTEN = 5.0
_PAUSE = 0.1
_LARGEST_ERROR = 64 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    """How a dialect is asked.

    :param path: of the vendors' own SDKs; ``amp``: as Amp's clients ask.
    :param body: makes the request of a model, a text and a number of tokens.
    """

    path: str
    amp: str
    body: Callable[[str, str, int], dict[str, Any]]


def _turns(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


FORMS: Mapping[str, Form] = {
    "anthropic": Form(
        "/v1/messages",
        "/api/provider/anthropic/v1/messages",
        lambda model, text, most: {
            "model": model,
            "max_tokens": most,
            "stream": True,
            "messages": _turns(text),
        },
    ),
    "chat": Form(
        "/v1/chat/completions",
        "/api/provider/openai/v1/chat/completions",
        lambda model, text, most: {
            "model": model,
            "max_completion_tokens": most,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": _turns(text),
        },
    ),
    "responses": Form(
        "/v1/responses",
        "/api/provider/openai/v1/responses",
        lambda model, text, most: {"model": model, "max_output_tokens": most, "stream": True, "input": text},
    ),
    "gemini": Form(
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        "/api/provider/google/v1beta/models/{model}:streamGenerateContent?alt=sse",
        lambda model, text, most: {
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "generationConfig": {"maxOutputTokens": most},
        },
    ),
}


@dataclass(slots=True)
class Tried:
    """What became of it.

    :param first_ms: until the first byte of the body.
    :param error: the service's words; empty: all went well.
    :param exchange: what the ledger has of it; ``None``: nothing, or not yet.
    """

    status: int = 0
    route: str = ""
    text: str = ""
    first_ms: int | None = None
    total_ms: int = 0
    error: str = ""
    exchange: dict[str, Any] | None = None


@click.command("try")
@click.argument("model")
@click.argument("text", default="Greet me in five words.")
@click.option("--dialect", type=click.Choice(list(FORMS)), default="chat", show_default=True)
@click.option(
    "--as-amp",
    is_flag=True,
    help="Ask as Amp's clients do: mappings count, and it may go to Amp, where it costs credits.",
)
@click.option("--max-tokens", type=click.IntRange(1), default=1024, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON when it has ended.")
@config_option
@at_option
def command(
    model: str,
    text: str,
    dialect: str,
    as_amp: bool,
    max_tokens: int,
    as_json: bool,
    file: Path | None,
    at: str,
) -> None:
    """Send one request for MODEL through the running service, and print the answer as it comes.

    Then: the route, the account, the time to the first byte, the whole time, tokens and cost. It costs what
    such a request costs. Exit status 0 if the answer came whole, 1 if not, 3 if the service does not run.
    """
    config = read_config(file, at=at)
    asker = ServiceClient(config, at)
    thread = f"T-{uuid4()}"
    form = FORMS[dialect]
    path = (form.amp if as_amp else form.path).format(model=quote(model, safe=""))
    show = (lambda piece: None) if as_json else partial(click.echo, nl=False)
    try:
        status = asker.mine()
        tried = ask(asker, path, form.body(model, text, max_tokens), thread, show)
    except NotAnswered as error:
        raise not_running(error, f"cannot reach the service: {error}") from None
    if status.state_dir and tried.route not in ("", "none"):
        ledger = place_of(config, Path(status.state_dir))
        tried.exchange = _exchange(with_logins(config), ledger, thread, time.sleep)
    if as_json:
        click.echo(json.dumps(asdict(tried), indent=2))
    else:
        _conclude(tried)
        if tried.route == "none" and not as_amp and (config.ampcode.mappings or config.ampcode.upstream_url):
            sentence(f"As Amp's clients ask, by your model mappings: ampproxy try --as-amp {model}")
    if tried.error:
        raise SystemExit(1)


def ask(
    asker: ServiceClient, path: str, body: Mapping[str, Any], thread: str, show: Callable[[str], object]
) -> Tried:
    """Send the request, and read the answer to its end.

    :param show: called with each piece of text as it comes.
    :raises NotAnswered: it could not be sent.
    """
    headers = {"Content-Type": "application/json", "X-Amp-Thread-Id": thread}
    tried, begun = Tried(), time.monotonic()
    with asker.stream(path, json.dumps(body).encode(), headers, _TIMEOUT) as answer:
        tried.status, tried.route = answer.status, answer.headers.get("X-Ampproxy-Route", "")
        try:
            if answer.status == 200:
                _read(answer, tried, begun, show)
            else:
                tried.error = _message(answer.read(_LARGEST_ERROR))
        except (OSError, http.client.HTTPException, ValueError) as error:
            cut = isinstance(error, http.client.IncompleteRead)
            why = "the connection was closed before its end" if cut else error or type(error).__name__
            tried.error = f"the answer broke off: {why}"
    tried.total_ms = int((time.monotonic() - begun) * 1000)
    return tried


def _read(
    answer: http.client.HTTPResponse, tried: Tried, begun: float, show: Callable[[str], object]
) -> None:
    reader = EventReader()
    while data := answer.read1(65536):
        if tried.first_ms is None:
            tried.first_ms = int((time.monotonic() - begun) * 1000)
        for _, event in reader.feed(data):
            piece = text_of(event)
            tried.text += piece
            show("\n".join(map(printable, piece.split("\n"))))
            tried.error = tried.error or _error_in(event)
    reader.end()


def _error_in(event: bytes) -> str:
    """The message of an event that is an error; empty for any other."""
    if b'"error"' not in event:
        return ""
    try:
        found = json.loads(event).get("error")
    except (ValueError, AttributeError):
        return ""
    return "" if not found else str(found.get("message", found) if isinstance(found, dict) else found)


def _message(body: bytes) -> str:
    return _error_in(body) or body.decode("utf-8", "replace").strip()[:500] or "an answer without a word"


def _exchange(
    config: Config, ledger: Place, thread: str, pause: Callable[[float], None]
) -> dict[str, Any] | None:
    """What the service's ledger has of a thread of one exchange, waited for."""
    since = int((time.time() - 3600) * 1_000_000)
    for _ in range(round(_WRITTEN / _PAUSE)):
        try:
            prices = price_book(config)
            with closing(ledger.open()) as opened:
                found = Rows(opened, Wanted(thread=thread, since=since)).newest(1)
        except LedgerError:
            return None
        if found:
            return members(found[0], prices)
        pause(_PAUSE)
    return None


def show_error(tried: Tried) -> None:
    """Print what went wrong."""
    status = "" if tried.status == 200 else f" (status {tried.status})"
    first, *more = tried.error.split("\n")
    sentence(f"Error{status}: {printable(first)}", err=True)
    for line in more:
        # As it is: it may be YAML, to be copied.
        click.echo(printable(line), err=True)


def _conclude(tried: Tried) -> None:
    if tried.text:
        click.echo("\n")
    if tried.error:
        show_error(tried)
    for line in conclusion(tried):
        sentence(line)


def conclusion(tried: Tried) -> list[str]:
    """What became of it, in sentences."""
    found = tried.exchange
    parts = [f"route {tried.route or '-'}"]
    if found and found["account"]:
        served = f" as {found['served']}" if found["served"] != found["asked"] else ""
        parts.append(f"served by {printable(found['account'])}{printable(served)}")
    if tried.first_ms is not None:
        parts.append(f"first byte after {tried.first_ms} ms")
    parts.append(f"{tried.total_ms} ms in all")
    tokens = found and found["tokens"]
    if found and tokens:
        prompt = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
        parts.append(f"{count(prompt)} tokens in, {count(tokens['output'])} out")
        cost = found["cost_usd"]
        parts.append("cost unknown" if cost is None else f"cost {dollars(cost)}")
    return ["; ".join(parts)]
