"""How a ledger's database is, for who looks for what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from ampproxy.config.schema import Config
from ampproxy.ledger import LedgerError
from ampproxy.ledger.place import SPOOL, Place, place_of
from ampproxy.model.ledger import DatabaseState

#: Whether the connection is encrypted, or does not leave the machine.
_STATE = """
SELECT current_setting('server_version'),
    CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION),
    (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),
    inet_client_addr() IS NULL OR inet_client_addr() << '127.0.0.0/8' OR inet_client_addr() = '::1'
"""


def database_state(
    config: Config, folder: Path, wall: Callable[[], float] = time.time
) -> DatabaseState | None:
    """Look at the database of a configuration; ``None``: it names none. Blocks.

    :param folder: of the service's state.
    """
    place = place_of(config, folder)
    if place.database is None or not config.ledger.enable:
        return None
    return replace(_asked(place, wall), waiting=_waiting(folder / SPOOL))


def _asked(place: Place, wall: Callable[[], float]) -> DatabaseState:
    try:
        with closing(place.open()) as ledger, ledger.moment():
            before = wall()
            ((version, clock, encrypted, local),) = ledger.rows(_STATE)
            skew = clock - (before + wall()) / 2
    except LedgerError as error:
        return DatabaseState(name=place.name, why=str(error))
    exposed = not (encrypted or local)
    return DatabaseState(name=place.name, server=f"PostgreSQL {version}", exposed=exposed, skew=skew)


def _waiting(folder: Path) -> int:
    total = 0
    try:
        for path in folder.iterdir():
            total += path.stat().st_size
    except OSError:
        pass  # none waits, or the service is another user's
    return total
