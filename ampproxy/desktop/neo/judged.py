"""What is wrong with connections at Amp that lead here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ampproxy.amp.connections import FORMATS, Connection, taken_before
from ampproxy.wire.redact import printable


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong with a connection: a clause, and what mends it."""

    text: str
    todo: str


def troubles(
    one: Connection, there: Collection[Connection], here: Collection[str], public_url: str
) -> Iterator[Trouble]:
    """What is wrong with a connection.

    :param there: all of the account's.
    :param here: the models that are served here, ``provider/model``.
    :param public_url: where the gateway is.
    """
    for warned in one.warnings:
        yield Trouble(f"Amp warns: {printable(warned.message)}", printable(warned.suggestion))
    wrong = _address(one, public_url)
    if wrong:
        yield Trouble(wrong, "ampproxy neo setup --run makes one with the right address; delete this one")
    try:
        rules = one.rules
    except ValueError as why:
        yield Trouble(f"its mapping cannot be read here: {printable(str(why))}", "ampproxy neo setup --run")
        return
    if not rules or any(not rule.is_exact and not rule.excluded for rule in rules):
        yield Trouble(
            "it takes models by a pattern: those that are not served here are errors in Amp",
            "ampproxy neo setup --run writes exact lines",
        )
    for rule in rules:
        if rule.is_exact and not rule.excluded:
            yield from _model(one, rule.pattern, there, here)


def _address(one: Connection, public_url: str) -> str:
    """What is wrong with where it leads. Amp appends the paths of its format itself."""
    url, api_format = one.config.baseURL.rstrip("/"), one.config.apiFormat
    expected = next((public_url + path for name, _, path in FORMATS if name == api_format), None)
    if expected is None:
        return f"its format {printable(api_format)} is not known here"
    return "" if url == expected else f"its address is {printable(url)}, not {expected}"


def _model(
    one: Connection, model: str, there: Iterable[Connection], here: Collection[str]
) -> Iterator[Trouble]:
    if model not in here:
        yield Trouble(
            f"{printable(model)} is not served here: an error in Amp",
            "ampproxy neo setup --run takes it out of the mapping",
        )
    before = taken_before(one, model, there) if one.active else ()
    if before:
        names = ", ".join(printable(other.name or other.type) for other in before)
        yield Trouble(
            f"{printable(model)} goes to {names} first",
            f"amp config model-providers set-priority {one.id} 0",
        )
