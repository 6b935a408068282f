"""Gathers what alerts are decided by: the reports that commands, pages and metrics show."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from ampproxy.alerts.conditions import Facts
from ampproxy.catalog.lifecycle import day_of
from ampproxy.config.certificate import certificate_trouble
from ampproxy.config.schema import FallbackRule
from ampproxy.credentials.kept import InThread
from ampproxy.credentials.names import client_name
from ampproxy.credentials.report import report, with_login_states
from ampproxy.credits.allowance import Used
from ampproxy.errors import GatewayFault
from ampproxy.generation import Generation
from ampproxy.model.clients import ClientKey, Standing
from ampproxy.model.sharing import StateSettings
from ampproxy.relay.retiring import Retiring, retiring
from ampproxy.tenants.counting import standings_of
from ampproxy.tenants.reading import ReadCounts, counts_to_read
from ampproxy.tenants.store import CountsFailed
from ampproxy.tenants.tenant import tenant_id


class Gathering:
    """Looks at the service.

    :param in_thread: runs what waits for the disk.
    """

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._retiring: tuple[object, tuple[Retiring, ...]] = (None, ())

    async def facts(self, generation: Generation, kinds: Collection[str]) -> Facts:
        """How the service is, as far as alerts of these kinds need it."""
        runtime, config = generation.runtime, generation.config
        wall, logins = runtime.wall(), tuple(runtime.login_statuses())
        accounts = report(config.serving, generation.pool.state, runtime.clock.seconds(), wall)
        unknown: set[str] = set()
        credits, standings = None, None
        if "amp-credits" in kinds:
            credits = _credits(generation)
        if "budget" in kinds:
            standings = await self._standings(generation)
        unknown |= {"amp-credits"} if credits is None else set()
        unknown |= {"budget"} if standings is None else set()
        certificate = await self._certificate(generation) if "certificate" in kinds else ""
        unknown |= {"certificate"} if certificate is None else set()
        status = runtime.status()
        return Facts(
            wall=wall,
            accounts=with_login_states(accounts, logins).accounts,
            logins=logins,
            catalog=generation.router.catalog,
            credits=credits or (),
            standings=standings or (),
            retiring=self._ending(generation) if "model-retiring" in kinds else (),
            reload=status.reload,
            shared=runtime.shared.report() if runtime.shared.active else None,
            config=status.config,
            workers=status.workers,
            certificate=certificate or "",
            ledger=status.ledger,
            unknown=frozenset(unknown),
        )

    async def _certificate(self, generation: Generation) -> str | None:
        """What is to be said of the listener's certificate; ``None``: it cannot be read just now."""
        tls = generation.config.tls
        if tls is None:
            return ""
        work = partial(certificate_trouble, tls, generation.runtime.wall())
        try:
            found: str = await self._in_thread(work)
        except (OSError, ValueError, IndexError):
            return None
        return found

    def _ending(self, generation: Generation) -> tuple[Retiring, ...]:
        """They follow from the configuration, what is known of models, and the day."""
        today = day_of(generation.runtime.wall())
        made_of = (generation.router, today)
        if self._retiring[0] != made_of:
            found = retiring(generation.config, generation.router.catalog, generation.families, today, None)
            self._retiring = made_of, tuple(found)
        return self._retiring[1]

    async def _standings(self, generation: Generation) -> tuple[tuple[str, Standing], ...] | None:
        """How clients stand with their limits; ``None``: that cannot be read just now."""
        runtime = generation.runtime
        clients = [client for client in generation.config.all_clients if client.limits]
        if not clients:
            return ()
        shared = generation.config.state
        if runtime.state is None and shared is None:
            return tuple((name, one) for name, all_ in runtime.limiter.last.items() for one in all_)
        try:
            found: tuple[tuple[str, Standing], ...] = await self._in_thread(
                partial(_read, runtime.state or Path(), shared, clients, runtime.names_salt, runtime.wall())
            )
        except CountsFailed:
            return None
        return found


def _credits(generation: Generation) -> tuple[tuple[FallbackRule, Used], ...] | None:
    rules = [rule for rule in generation.config.ampcode.fallback if rule.action == "limit"]
    try:
        return tuple((rule, generation.runtime.allowance.highest(rule)) for rule in rules)
    except GatewayFault:
        return None


def _read(
    folder: Path, shared: StateSettings | None, clients: Collection[ClientKey], salt: bytes, wall: float
) -> tuple[tuple[str, Standing], ...]:
    """What the counts have, beside the limiter, which writes them.

    :raises CountsFailed: they cannot be read.
    """
    with counts_to_read(folder, shared, wall) as counts:
        return tuple(_each(counts, clients, salt, wall))


def _each(
    counts: ReadCounts, clients: Collection[ClientKey], salt: bytes, wall: float
) -> Iterator[tuple[str, Standing]]:
    for client in clients:
        used = counts.used(tenant_id(client, salt), client.limits)
        name = client.name or client_name(client.identity, salt)
        for standing in standings_of(client.limits, used, wall):
            yield name, standing
