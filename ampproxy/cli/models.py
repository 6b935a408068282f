"""``ampproxy models``: the models that clients see, and who serves them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from ampproxy.cli.configured import config_option, read_config
from ampproxy.config.schema import Account, Config
from ampproxy.routing.catalog import FAMILIES, Catalog


@click.command("models")
@config_option
def command(file: Path | None) -> None:
    """List the models that clients see, each with the accounts that serve it and what those speak.

    An account without a list of models serves its vendor's family of names, which is shown as a pattern.
    """
    rows = model_rows(read_config(file))
    if not rows:
        click.echo("No account serves any model: add one to the configuration.")
    widths = [max(len(row[column]) for row in rows) for column in range(2)] if rows else []
    for model, dialects, accounts in rows:
        click.echo(f"{model:<{widths[0]}}  {dialects:<{widths[1]}}  {accounts}")


def model_rows(config: Config) -> list[tuple[str, str, str]]:
    """Model or pattern of models, dialects, account labels; named models first, in config order, and the
    accounts of each in the order in which they are tried."""
    catalog = Catalog(config)
    rows = [_row(model.id, (offer.account for offer in catalog.find(model.id))) for model in catalog.models()]
    families: dict[str, list[Account]] = {}
    for account in config.accounts:
        for pattern in _patterns(account, force_prefix=config.force_model_prefix):
            families.setdefault(pattern, []).append(account)
    return rows + [_row(pattern, accounts) for pattern, accounts in families.items()]


def _patterns(account: Account, *, force_prefix: bool) -> list[str]:
    if account.models:
        return []
    plain = list(FAMILIES[account.kind])
    prefixed = [f"{account.prefix}/{pattern}" for pattern in plain if account.prefix]
    return prefixed if account.prefix and force_prefix else plain + prefixed


def _row(model: str, accounts: Iterable[Account]) -> tuple[str, str, str]:
    ranked = sorted(accounts, key=lambda account: -account.priority)
    pairs = dict.fromkeys((account.label, account.dialect) for account in ranked)
    dialects = ", ".join(dict.fromkeys(dialect for _, dialect in pairs))
    return model, dialects, ", ".join(label for label, _ in pairs)
