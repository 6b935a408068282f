"""The client keys, with what is left of their limits. Called in threads: counts are kept on a disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ampproxy.config.schema import Config
from ampproxy.credentials.names import client_name
from ampproxy.dashboard.shapes import Key, Keys, Limit
from ampproxy.model.clients import MICRO, ClientKey, Period, Standing
from ampproxy.tenants.counting import Amounts, standings_of
from ampproxy.tenants.reading import ReadCounts, counts_to_read
from ampproxy.tenants.shown import state_of
from ampproxy.tenants.store import CountsFailed
from ampproxy.tenants.tenant import tenant_id


def keys(folder: Path | None, config: Config, salt: bytes, running: Counter[str], wall: float) -> Keys:
    """All of ``api-keys``, and Amp's cloud.

    :param folder: of the state; ``None``: counts are in memory alone, and not looked at.
    :param running: requests under way, by the id of the client.
    :param wall: seconds since the epoch.
    """
    notes: list[str] = []
    kept = folder is not None or config.state is not None
    found = []
    with counts_to_read(folder or Path(), config.state, wall) as counts:
        for client in config.all_clients:
            used: Mapping[Period, Amounts] | None = {}
            if client.limits:
                used = _used(counts, client, salt, notes) if kept else None
            found.append(_key(client, salt, used, running, wall))
    return Keys(not config.clients, tuple(found), tuple(dict.fromkeys(notes)))


def _used(
    counts: ReadCounts, client: ClientKey, salt: bytes, notes: list[str]
) -> Mapping[Period, Amounts] | None:
    try:
        return counts.used(tenant_id(client, salt), client.limits)
    except CountsFailed as error:
        notes.append(f"What is left cannot be read: {error}.")
        return None


def _key(
    client: ClientKey,
    salt: bytes,
    used: Mapping[Period, Amounts] | None,
    running: Counter[str],
    wall: float,
) -> Key:
    standings = standings_of(client.limits, used or {}, wall)
    known = used is not None
    return Key(
        name=client.name or client_name(client.identity, salt),
        named=bool(client.name),
        state=state_of(client, wall),
        expires_at=client.expires,
        routes=client.routes,
        models=client.models,
        accounts=client.accounts,
        amp=client.amp,
        concurrent=client.concurrent,
        running=running[tenant_id(client, salt)] if client.is_restricted else 0,
        limits=tuple(_limit(standing, known=known) for standing in standings),
    )


def _limit(standing: Standing, *, known: bool) -> Limit:
    limit = standing.limit
    unit = MICRO if limit.unit == "usd" else 1
    left = max(0, standing.left) / unit if known else None
    return Limit(limit.setting, limit.most / unit, left, standing.renews)
