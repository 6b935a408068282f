"""The prices that are in force under a configuration, and what answers cost by them."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.readers import is_loopback
from ampproxy.config.schema import Account, Config
from ampproxy.credentials.names import account_name
from ampproxy.ledger.entry import Tokens
from ampproxy.ledger.prices import SHIPPED, PriceBook, read_prices
from ampproxy.model.clients import MICRO
from ampproxy.model.events import Usage


def price_book(config: Config) -> PriceBook:
    """The prices in force under a configuration.

    :raises LedgerError: the user's file cannot be used.
    """
    own = None if config.ledger.prices is None else read_prices(config.ledger.prices)
    flat = [account.label for account in config.accounts if _is_flat(account.kind, account.base_url)]
    labels = {account_name(account): account.label for account in config.accounts}
    return PriceBook(own, read_prices(SHIPPED), flat, labels)


def _is_flat(kind: str, base_url: str) -> bool:
    """Whether an account costs nothing by the token: a login is a subscription, and a server on this machine
    is the user's own.
    """
    return bool(KINDS[kind].login) or is_loopback(urlsplit(base_url).hostname or "")


class BookCosts:
    """What answers cost by a book of prices: a provider of :class:`~ampproxy.tenants.costs.Costs`."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book

    def most(self, account: Account | None, model: str, input: int, output: int) -> int | None:
        """The most that so many tokens cost, whatever class those of the question are of."""
        classes = (Tokens(input=input), Tokens(cache_read=input), Tokens(cache_write=input))
        costs = [self._cost(account, model, tokens._replace(output=output)) for tokens in classes]
        return None if None in costs else max(cost for cost in costs if cost is not None)

    def of(self, account: Account | None, model: str, usage: Usage) -> int | None:
        """What an answer cost."""
        return self._cost(
            account, model, Tokens(usage.input, usage.cache_read, usage.cache_write, usage.output)
        )

    def _cost(self, account: Account | None, model: str, tokens: Tokens) -> int | None:
        if account is not None and self._book.is_flat(account_name(account)):
            return 0
        price = self._book.find(model)
        if price is None:
            return None
        factor = self._book.amp_factor if account is None else 1.0
        return math.ceil(price.of(tokens) * factor * MICRO)
