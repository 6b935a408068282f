"""Accounts that have served a worker: the supervisor, which serves none, knows by that that they are well."""

from __future__ import annotations

from ampproxy.generation import Generation
from ampproxy.relay.record import ExchangeRecord, Outcome


class Proofs:
    """Notes each account once under each configuration."""

    def __init__(self) -> None:
        self._under: Generation | None = None
        self._proven: set[str] = set()

    def see(self, current: Generation, record: ExchangeRecord) -> None:
        """An exchange of a worker has ended.

        :param current: the configuration in force.
        """
        if self._under is not current:
            self._under, self._proven = current, set()
        label = record.account
        if not label or label in self._proven:
            return
        if record.outcome is Outcome.COMPLETED and record.status < 400:
            self._proven.add(label)
            state = current.runtime.pool_state
            for account in current.config.accounts:
                if account.label == label:
                    state.health(state.identity(account)).proven = True
