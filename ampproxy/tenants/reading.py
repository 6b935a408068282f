"""Reading what clients have used of their limits, beside the service that counts it: for pages, commands."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from ampproxy.model.clients import KeyLimit, Period
from ampproxy.model.sharing import StateSettings
from ampproxy.tenants.counting import NOTHING, Amounts, windows_of
from ampproxy.tenants.store import NAME, Counts


class ReadCounts(Protocol):
    """What can be read."""

    def used(self, tenant: str, limits: Iterable[KeyLimit]) -> dict[Period, Amounts]:
        """What a client has used and reserved in the present periods.

        :raises CountsFailed: that cannot be read.
        """

    def close(self) -> None:
        """Let go of it."""


class _Uncounted:
    """Nothing was counted yet."""

    def __init__(self, wall: float) -> None:
        self._wall = wall

    def used(self, tenant: str, limits: Iterable[KeyLimit]) -> dict[Period, Amounts]:
        """Nothing."""
        return {period: NOTHING for period, _ in windows_of(limits, self._wall)}

    def close(self) -> None:
        """There is nothing."""


def counts_to_read(
    folder: Path, shared: StateSettings | None, wall: float
) -> AbstractContextManager[ReadCounts]:
    """The counts of a service. Made and read in a thread, for it waits.

    :param folder: of the state; its file counts where nothing is shared.
    :param shared: by what the counts are shared.
    :param wall: seconds since the epoch.
    """
    if shared is not None:
        # Not at the top: most gateways have no Redis, and not its client library.
        from ampproxy.tenants.shared_counts import SharedCounts

        # Where it is away, nothing that is right can be shown.
        return closing(SharedCounts(replace(shared, when_away="fail-closed"), lambda ahead: wall + ahead))
    if not (folder / NAME).exists():
        return closing(_Uncounted(wall))
    return closing(Counts(folder, lambda: wall))
