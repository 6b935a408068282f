"""The prices that are in force under a configuration, and what answers cost by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from urllib.parse import urlsplit

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.fields import is_loopback
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.names import account_name
from ampproxy.ledger.entry import STEPS, Tokens
from ampproxy.ledger.price import Case
from ampproxy.ledger.prices import SHIPPED, PriceBook, read_prices
from ampproxy.ledger.published import Published
from ampproxy.model.clients import MICRO
from ampproxy.model.events import Usage


def price_book(config: Config) -> PriceBook:
    """The prices in force under a configuration.

    :raises LedgerError: the user's file cannot be used.
    """
    own = None if config.ledger.prices is None else read_prices(config.ledger.prices)
    flat = [account.label for account in config.accounts if _is_flat(account.kind, account.base_url)]
    labels = {account_name(account): account.label for account in config.accounts}
    urls = {account_name(account): account.base_url for account in config.accounts}
    return PriceBook(own, read_prices(SHIPPED), flat, labels, urls, Published())


def _is_flat(kind: str, base_url: str) -> bool:
    """Whether an account costs nothing by the token: a login is a subscription, and a server on this machine
    is the user's own.
    """
    return bool(KINDS[kind].login) or is_loopback(urlsplit(base_url).hostname or "")


class BookCosts:
    """What answers cost by a book of prices: a provider of :class:`~ampproxy.tenants.costs.Costs`.

    :param wall: seconds since the epoch; prices change with the days.
    """

    def __init__(self, book: PriceBook, wall: Callable[[], float]) -> None:
        self._book = book
        self._wall = wall

    def warm(self) -> None:
        """Load what is published: a quarter of a second, and not the reactor's."""
        self._book.find("warm")

    def most(self, account: Account | None, model: str, input: int, output: int) -> int | None:
        """The most that so many tokens cost, whatever class those of the question are of."""
        classes = (
            Tokens(input=input),
            Tokens(cache_read=input),
            Tokens(cache_write=input),
            Tokens(cache_write=input, cache_write_1h=input),
        )
        case = Case(prompt_over=_step(input), day=self._today)
        costs = [self._cost(account, model, case, tokens._replace(output=output)) for tokens in classes]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    def of(self, account: Account | None, model: str, usage: Usage) -> int | None:
        """What an answer cost, and what its vendor bills beside it."""
        prompt = usage.longest or usage.input + usage.cache_read + usage.cache_write
        tokens = Tokens(
            usage.input,
            usage.cache_read,
            usage.cache_write,
            usage.output,
            cache_write_1h=min(usage.cache_write_1h, usage.cache_write),
        )
        own = self._cost(account, model, Case(usage.tier, _step(prompt), self._today), tokens)
        parts = [own, *(self.of(account, part.model or model, part.usage) for part in usage.beside)]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    @property
    def _today(self) -> int:
        return int(self._wall() // 86400)

    def _cost(self, account: Account | None, model: str, case: Case, tokens: Tokens) -> int | None:
        if account is not None and self._book.is_flat(account_name(account)):
            return 0
        price = self._book.find(model, case, "" if account is None else account.base_url)
        if price is None:
            return None
        factor = self._book.amp_factor if account is None else 1.0
        return math.ceil(price.of(tokens) * factor * MICRO)


def _step(prompt: int) -> int:
    """The largest of the steps at which prices change that a prompt of so many tokens exceeds; 0: none."""
    return next((step for step in reversed(STEPS) if prompt > step), 0)
