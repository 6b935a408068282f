"""The settings of an entry as options of ``ampproxy key new`` and ``edit``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from ampproxy.config.clients import LIMITS, moment, usd
from ampproxy.model.clients import MICRO, ROUTES

#: The settings in the order in which they are written.
COLLECTED = ("name", "expires", "models", "accounts", "routes", "amp", "upstream-api-key", "limits")
_LIMITS = tuple(sorted(LIMITS.names))
_SPAN = re.compile(r"([0-9]{1,5})([mhdw])\Z")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def lifetime(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """A span of time (``12h``, ``7d``, ``0``) as seconds.

    :raises click.BadParameter: it is none.
    """
    found = _SPAN.match(value)
    if found is None and value != "0":
        raise click.BadParameter(f"{value!r} is no span of time: expected such as 12h, 7d or 0")
    return 0.0 if found is None else int(found[1]) * _SECONDS[found[2]]


def _end(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A date, a time, or a span from now on; as the file has it."""
    found = None if value is None else _SPAN.match(value)
    if found is not None:
        end = time.time() + int(found[1]) * _SECONDS[found[2]]
        return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(end))
    try:
        moment(value or "2000-01-01")
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no date: expected such as 90d, 2027-01-31 or 2027-01-31T18:00Z"
        ) from None
    return value


def _limits(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, int | float | None], ...]:
    """``requests-per-day=100``, or ``=none`` for no such limit."""
    return tuple(map(_limit, values))


def _limit(value: str) -> tuple[str, int | float | None]:
    name, _, text = value.partition("=")
    if name not in _LIMITS:
        raise click.BadParameter(f"{name!r} is no limit: expected one of {', '.join(_LIMITS)}")
    try:
        return name, None if text == "none" else _amount(name, text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no amount: expected such as {name}=100") from None


def _amount(name: str, text: str) -> int | float:
    """
    :raises ValueError: it is none.
    """
    if name.startswith("usd-"):
        micro = usd(text)
        return micro // MICRO if micro % MICRO == 0 else micro / MICRO
    amount = int(text)
    if amount < 1:
        raise ValueError(text)
    return amount


_OPTIONS = (
    click.option("--expires", callback=_end, help="When it expires: 90d, 2027-01-31, 2027-01-31T18:00Z."),
    click.option(
        "--model", "models", multiple=True, help="A model that may serve it: claude-*. May be repeated."
    ),
    click.option(
        "--account", "accounts", multiple=True, help="An account that may serve it. May be repeated."
    ),
    click.option(
        "--route",
        "routes",
        multiple=True,
        type=click.Choice(ROUTES),
        help="A class of routes that it opens. May be repeated.",
    ),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        callback=_limits,
        help="A limit: usd-per-month=50. May be repeated.",
    ),
    click.option("--amp/--no-amp", "amp", default=None, help="Whether its requests to models may go to Amp."),
    click.option(
        "--upstream-api-key",
        "upstream_api_key",
        metavar="REFERENCE",
        help="The Amp key for its requests to Amp: ${VARIABLE} or file:/path.",
    ),
)


def entry_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


unset_option = click.option(
    "--unset",
    multiple=True,
    type=click.Choice(COLLECTED[1:]),
    help="Remove a setting, so that its default applies. May be repeated.",
)


def settings_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that options name, in the order in which they are written."""
    found: dict[str, Any] = {
        "expires": options["expires"],
        "models": list(options["models"]) or None,
        "accounts": list(options["accounts"]) or None,
        "routes": [route for route in ROUTES if route in options["routes"]] or None,
        "amp": options["amp"],
        "upstream-api-key": options["upstream_api_key"],
        "limits": {name: value for name, value in options["limits"] if value is not None} or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def merged_limits(
    before: Mapping[str, Any], changes: tuple[tuple[str, int | float | None], ...]
) -> dict[str, Any] | None:
    """The limits of an entry with some changed; ``None``: none is left."""
    merged = {**before, **dict(changes)}
    return {name: value for name, value in merged.items() if value is not None} or None
