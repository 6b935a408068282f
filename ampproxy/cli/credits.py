"""``ampproxy credits``: what may go to Amp, and what has gone there today under the daily limits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ampproxy.cli.configured import config_option, read_config
from ampproxy.config.schema import FallbackRule
from ampproxy.credits.allowance import NAME, name_of
from ampproxy.routing.fallback import limits_of


@click.command("credits")
@config_option
def command(file: Path | None) -> None:
    """List the rules of ampcode.fallback, with what today has used of each daily limit.

    The count is read from the state directory, whether or not the service runs.
    """
    config = read_config(file)
    if not config.ampcode.upstream_url:
        click.echo("Nothing goes to Amp: ampcode.upstream-url is not set.")
        return
    rules = config.ampcode.fallback
    used = _used(config.state_dir / NAME) if any(rule.action == "limit" for rule in rules) else {}
    for line in lines(rules, used):
        click.echo(line)


def lines(rules: Iterable[FallbackRule], used: dict[str, list[tuple[int, int]]]) -> Iterator[str]:
    """One line for each rule, and below it what has been used.

    :param used: by the rule's name: requests and tokens of each client, or of all together.
    """
    number, everything = 0, False
    for number, rule in enumerate(rules, 1):
        models = ", ".join(rule.models) or "every model"
        roles = f" for {', '.join(rule.roles)}" if rule.roles else ""
        yield f"{number}. {models}{roles}: {_action(rule)}"
        everything = everything or not (rule.models or rule.roles)
        if rule.action != "limit":
            continue
        counts = used.get(name_of(rule), [])
        for index, (requests, tokens) in enumerate(counts, 1):
            who = f"client {index}" if rule.per_client else "today"
            yield f"   {who}: {requests} requests, {tokens} tokens"
        if not counts:
            yield "   today: nothing"
    if not everything:
        yield f"{number + 1}. anything else: never goes to Amp"


def _action(rule: FallbackRule) -> str:
    if rule.action == "limit":
        return f"up to {limits_of(rule)}"
    return "goes to Amp" if rule.action == "allow" else "never goes to Amp"


def _used(path: Path) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    if not path.exists():
        return found
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = database.execute(
                "SELECT rule, requests, tokens FROM used WHERE day = ? ORDER BY requests DESC",
                (time.strftime("%Y-%m-%d"),),
            )
            for rule, requests, tokens in rows:
                found.setdefault(rule, []).append((requests, tokens))
        finally:
            database.close()
    except sqlite3.Error as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from None
    return found
