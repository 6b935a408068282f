"""The checks, a row each. To add one is to write a function over the
:class:`~ampproxy.desktop.doctor.context.Context` that yields findings, and to add its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from ampproxy.desktop.doctor import (
    about_agents,
    about_clients,
    about_config,
    about_ledger,
    about_memory,
    about_models,
    about_neo,
)
from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    :param name: in the JSON.
    :param title: for people.
    """

    name: str
    title: str
    run: Callable[[Context], Iterable[Finding]]


CHECKS: tuple[Check, ...] = (
    Check("clients", "Amp's clients on this machine", about_clients.installed),
    Check("addresses", "Where they go", about_clients.addresses),
    Check("keys", "The key that they present", about_clients.keys),
    Check("agents", "Other coding agents", about_agents.agents),
    Check("configuration", "The configuration", about_config.configuration),
    Check("permissions", "Who can read and write what", about_config.permissions),
    Check("service", "The service", about_config.service),
    Check("state", "What is shared with other gateways", about_config.sharing),
    Check("ledger", "The ledger's database", about_ledger.database),
    Check("accounts", "The accounts", about_config.accounts),
    Check("upstreams", "The way to the upstreams", about_models.upstreams),
    Check("mappings", "The model mappings", about_models.mappings),
    Check("models", "The models that Amp asks for", about_models.asked),
    Check("neo", "Amp's cloud", about_neo.neo),
    Check("lifecycle", "Models that are going away", about_models.ends),
    Check("unknown-routes", "Routes that are new", about_memory.unknown_routes),
)


def examine(context: Context, checks: Iterable[Check] = CHECKS) -> tuple[Finding, ...]:
    """Run all checks, in their order."""
    return tuple(_named(context, checks))


def _named(context: Context, checks: Iterable[Check]) -> Iterator[Finding]:
    for check in checks:
        for finding in check.run(context):
            yield msgspec.structs.replace(finding, check=check.name)
