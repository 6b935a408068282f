"""What models cost, as limits in dollars need it."""

from __future__ import annotations

from typing import Protocol

from ampproxy.config.schema import Account, Config
from ampproxy.model.events import Usage


class Costs(Protocol):
    """What models cost, under one configuration; in millionths of a US dollar."""

    def most(self, account: Account | None, model: str, input: int, output: int) -> int | None:
        """The most that so many tokens cost at an account; ``None``: it is not known.

        :param account: ``None``: Amp's upstream.
        :param model: the vendor's name of it.
        """

    def of(self, account: Account | None, model: str, usage: Usage) -> int | None:
        """What an answer cost there; ``None``: it is not known."""


class NoCosts:
    """Nothing is known of prices."""

    def most(self, account: Account | None, model: str, input: int, output: int) -> int | None:
        """Not known."""
        return None

    def of(self, account: Account | None, model: str, usage: Usage) -> int | None:
        """Not known."""
        return None


def needs_costs(config: Config) -> bool:
    """Whether any client has a limit in dollars."""
    return any(limit.unit == "usd" for client in config.all_clients for limit in client.limits)
