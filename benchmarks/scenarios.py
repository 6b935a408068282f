"""What is measured: one row for each scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.contenders import (
    BEFORE,
    CLIENT_KEY,
    PEER,
    TLS,
    UNOBSERVED,
    WATCHED,
    WITHOUT_LEDGER,
    account,
    is_gateway,
)
from benchmarks.load import Ask
from benchmarks.payloads import request_body, text_deltas
from benchmarks.vendor import BULK_EVENTS

MEGABYTE = 1_000_000

#: In this order, over and over.
ALL_PROXIES = ("plain", "ampproxy", "nginx", BEFORE)
SIDE_BY_SIDE = (*ALL_PROXIES, PEER)
GATEWAYS_ONLY = ("ampproxy", BEFORE, PEER)


@dataclass(frozen=True)
class Scenario:
    """Something that is measured for each contender.

    :param unit: what the figures are for.
    :param units: how many of it are in one answer.
    :param ask: the request, for a contender's name.
    :param connections: how many ask at a time.
    :param marks: how many pieces of text must arrive; 0 where there are none.
    :param seconds: how long a round lasts.
    :param paced: whether the answers come slowly; then all ask once, and a part of that time is measured.
    :param base: the scenario that this one is compared with, where it is not a contender that it is
        compared with.
    :param rival: the contender that the gateway is compared with.
    :param ours: the contender that is this checkout's gateway.
    :param rounds: how many times as many rounds as others have: for a small difference.
    """

    name: str
    title: str
    unit: str
    units: float
    ask: Callable[[str], Ask]
    connections: int
    marks: int = 0
    seconds: float = 0.5
    paced: bool = False
    contenders: tuple[str, ...] = SIDE_BY_SIDE
    base: str = ""
    rival: str = "plain"
    ours: str = "ampproxy"
    rounds: int = 1


#: How Amp's clients reach a dialect at the gateway, and where a vendor has it.
_PATHS = {
    "anthropic": ("/api/provider/anthropic/v1/messages", "/v1/messages"),
    "openai-chat": ("/api/provider/openai/v1/chat/completions", "/v1/chat/completions"),
}

_HEADERS = (
    ("Authorization", f"Bearer {CLIENT_KEY}"),
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "benchmark/1.0"),
    ("Accept-Language", "*"),
    ("anthropic-version", "2023-06-01"),
    ("X-Stainless-Lang", "js"),
    ("X-Stainless-Package-Version", "0.60.0"),
    ("X-Stainless-Retry-Count", "0"),
    ("X-Stainless-Timeout", "600"),
)


def _question(dialect: str, behaviour: str, size: int = 2048, *, vendor: str = "") -> Callable[[str], Ask]:
    """A question to a model.

    :param dialect: what the client speaks.
    :param vendor: what the account speaks, if something else.
    """

    def ask(contender: str) -> Ask:
        ours, theirs = _PATHS[dialect]
        path = ours if is_gateway(contender) else theirs if contender == PEER else f"/{behaviour}{theirs}"
        model = account(vendor or dialect, behaviour).asked
        body = request_body(dialect, model, stream=behaviour != "json", size=size)
        return Ask("POST", path, _HEADERS, body)

    return ask


#: A stream that stays open and says nothing.
held_stream = _question("anthropic", "held")

#: As large as a conversation with images.
large_question = _question("anthropic", "json", 4_000_000)


def _transfer(method: str, answer: int, body: int = 0) -> Callable[[str], Ask]:
    """A request of Amp's own, handed on to the Amp upstream."""
    ask = Ask(method, f"/api/bench/{answer}", _HEADERS, bytes(body))
    return lambda contender: ask


def _json(connections: int) -> Scenario:
    noun = "connection" if connections == 1 else "connections"
    title = f"JSON, {connections} {noun}"
    return Scenario(f"json-{connections}", title, "request", 1, _question("anthropic", "json"), connections)


def _body(label: str, size: int) -> Scenario:
    title = f"body of {label.upper()}B"
    return Scenario(f"body-{label}", title, "request", 1, _question("anthropic", "json", size), 1)


def _bulk(name: str, title: str, dialect: str, vendor: str = "") -> Scenario:
    return Scenario(
        name,
        title,
        "event",
        BULK_EVENTS,
        _question(dialect, "bulk", vendor=vendor),
        8,
        marks=text_deltas(vendor or dialect, BULK_EVENTS),
        contenders=GATEWAYS_ONLY if vendor else SIDE_BY_SIDE,
        base=f"bulk-{'chat' if dialect == 'openai-chat' else dialect}" if vendor else "",
    )


def _paced(name: str, streams: int, contenders: tuple[str, ...]) -> Scenario:
    title, ask = f"{streams:,} paced streams", _question("anthropic", "paced")
    return Scenario(name, title, "event", 1, ask, streams, seconds=2.0, paced=True, contenders=contenders)


def _passed(
    name: str, title: str, unit: str, units: int, ask: Callable[[str], Ask], connections: int
) -> Scenario:
    """One of Amp's own paths, which CLIProxyAPI no longer has."""
    return Scenario(name, title, unit, units, ask, connections, contenders=ALL_PROXIES)


def _on_and_off(name: str, title: str, off: str) -> Scenario:
    """What something costs that can be switched off: the gateway with and without it, in turn."""
    return Scenario(
        name,
        title,
        "request",
        1,
        _question("anthropic", "json"),
        32,
        seconds=1.0,
        contenders=("ampproxy", off),
        rival=off,
        rounds=8,
    )


SCENARIOS = (
    _json(1),
    _json(32),
    _json(256),
    _bulk("bulk-anthropic", "bulk stream, Anthropic", "anthropic"),
    _bulk("bulk-chat", "bulk stream, Chat", "openai-chat"),
    _paced("paced", 150, SIDE_BY_SIDE),
    _paced("paced-1000", 1000, ("ampproxy", BEFORE, PEER)),
    _body("200k", 200_000),
    _body("4m", 4_000_000),
    _passed("upload", "upload of 64 MB", "MB", 64, _transfer("PUT", 2, 64 * MEGABYTE), 1),
    _passed("download", "download of 64 MB", "MB", 64, _transfer("GET", 64 * MEGABYTE), 1),
    _passed("management", "GET of Amp's own", "request", 1, _transfer("GET", 300), 32),
    replace(
        _json(32),
        name="tls",
        title="JSON, TLS on both sides",
        contenders=(f"ampproxy{TLS}", BEFORE + TLS),
        ours=f"ampproxy{TLS}",
        rival=BEFORE + TLS,
    ),
    _on_and_off("ledger", "JSON, ledger on / off", WITHOUT_LEDGER),
    _on_and_off("observed", "JSON, log and metrics on / off", UNOBSERVED),
    replace(
        _on_and_off("observed-stream", "150 paced streams, both on / off", UNOBSERVED),
        unit="event",
        ask=_question("anthropic", "paced"),
        connections=150,
        paced=True,
        rounds=2,
    ),
    replace(
        _on_and_off("watched", "JSON, page open / closed", "ampproxy"),
        contenders=(WATCHED, "ampproxy"),
        ours=WATCHED,
    ),
    _bulk("translated-chat", "Anthropic client, Chat vendor", "anthropic", "openai-chat"),
    _bulk("translated-responses", "Anthropic client, Responses vendor", "anthropic", "openai-responses"),
    _bulk("translated-gemini", "Anthropic client, Gemini vendor", "anthropic", "gemini"),
    _bulk("translated-anthropic", "Chat client, Anthropic vendor", "openai-chat", "anthropic"),
)


def chosen(only: list[str]) -> list[Scenario]:
    """The scenarios whose name begins with one of these, and those that they are compared with; all, if
    nothing is named.
    """
    named = [each for each in SCENARIOS if not only or any(each.name.startswith(name) for name in only)]
    bases = {each.base for each in named}
    return [each for each in SCENARIOS if each in named or each.name in bases]
