"""What models cost: the shipped table, and the user's own before it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ampproxy.catalog.names import spellings
from ampproxy.config import document, files, readers
from ampproxy.config.reading import Found, ListOf, Place, Reader, Reading, Section, Setting, Wrong
from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Tokens
from ampproxy.routing.catalog import matches_wildcard

SHIPPED = Path(__file__).with_name("prices.yaml")

_MILLION = 1_000_000
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?\Z")


class Price(NamedTuple):
    """US dollars for a million tokens of each class. Reasoning is output."""

    input: float
    cache_read: float
    cache_write: float
    output: float

    def of(self, tokens: Tokens) -> float:
        """What these tokens cost, in US dollars."""
        parts = (
            self.input * tokens.input,
            self.cache_read * tokens.cache_read,
            self.cache_write * tokens.cache_write,
            self.output * tokens.output,
        )
        return math.fsum(parts) / _MILLION


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of prices.

    :param models: a pattern in lower case, and its price; of two that are the same the first counts.
    :param flat: labels of accounts, with ``*``, that cost nothing by the token.
    :param amp_factor: what Amp bills in terms of these prices; ``None``: not said.
    :param as_of: the day of the prices, as the file says it.
    :param sources: where they are from.
    """

    models: tuple[tuple[str, Price], ...] = ()
    flat: tuple[str, ...] = ()
    amp_factor: float | None = None
    as_of: str = ""
    sources: tuple[str, ...] = ()

    def find(self, model: str) -> Price | None:
        """The price of a model by its name, with or without a thinking suffix; ``None`` if it is not known.

        The whole name is looked for first, then without what other vendors put before it, then with dashes
        in its version: ``us.anthropic.claude-opus-4.6`` is ``claude-opus-4-6``.
        """
        return next((price for name in spellings(model) if (price := self._find(name))), None)

    def _find(self, name: str) -> Price | None:
        best, price = "", None
        for pattern, candidate in self.models:
            if matches_wildcard(pattern, name):
                if "*" not in pattern:
                    return candidate
                if price is None or len(pattern) > len(best):
                    best, price = pattern, candidate
        return price

    def is_flat(self, account: str) -> bool:
        """Whether an account costs nothing by the token."""
        return any(matches_wildcard(pattern, account) for pattern in self.flat)


class PriceBook:
    """The prices in force: the user's own table before the shipped one.

    :param own: the user's table, if there is one.
    :param flat: labels of accounts that are known to cost nothing by the token.
    :param labels: the labels of the accounts that are configured, by the names that the ledger has for them.
    """

    def __init__(
        self,
        own: Prices | None,
        shipped: Prices,
        flat: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.own, self.shipped = own, shipped
        self._both = [table for table in (own, shipped) if table is not None]
        self._flat = frozenset(flat)
        self._labels = labels or {}
        self.find = lru_cache(maxsize=None)(self._find)

    @property
    def amp_factor(self) -> float:
        """What Amp bills in terms of the prices."""
        return next((table.amp_factor for table in self._both if table.amp_factor is not None), 1.0)

    def label(self, account: str) -> str:
        """The label of an account that is configured; of another one the name that the ledger has for it."""
        return self._labels.get(account, account)

    def is_flat(self, account: str) -> bool:
        """Whether an account costs nothing by the token."""
        label = self.label(account)
        return label in self._flat or any(table.is_flat(label) for table in self._both)

    def _find(self, model: str) -> Price | None:
        """The price of a model: the user's, whatever fits; else the shipped one."""
        for table in self._both:
            price = table.find(model)
            if price is not None:
                return price
        return None


def read_prices(path: Path) -> Prices:
    """The prices of a YAML or JSON file.

    :raises LedgerError: it cannot be read, or is wrong; says every mistake with its line.
    """
    try:
        text = files.read(path, files.MAX_CONFIG).decode("utf-8-sig")
    except OSError as error:
        raise LedgerError(f"{path}: the prices cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise LedgerError(f"{path}: the prices are not UTF-8 text: save them as UTF-8") from None
    return parse_prices(text, str(path))


def parse_prices(text: str, name: str) -> Prices:
    """The prices of a file's text.

    :param name: what complaints call the file.
    :raises LedgerError: something is wrong. What is not known is wrong, too: a slip would price nothing.
    """
    reading = Reading(name, {}, Path("/"), read_secret=str, read_pem=Path.read_bytes)
    root = document.compose(text, reading.complain)
    prices: Prices | None = None
    if root is not None:
        prices, _ = Place(root, "", 1, reading).attempt(_PRICES)
    elif not reading.complaints:
        reading.complain(1, "file", "holds no prices: expected a list of models")
    remarks = sorted({*reading.complaints, *reading.warnings})
    if remarks or prices is None:
        raise LedgerError("\n".join(message for _, message in remarks))
    return prices


def _amount(place: Place) -> float:
    text = place.text("a number, 0 or more")
    if not _AMOUNT.match(text):
        raise Wrong("expected a number, 0 or more, such as 2.5")
    return float(text)


def _model(found: Found) -> list[tuple[str, Price]]:
    values: dict[str, Any] = found.values
    cost = values["input"]
    price = Price(cost, values.get("cache_read", cost), values.get("cache_write", cost), values["output"])
    return [(pattern, price) for pattern in values["names"]]


_AMOUNT_READER = Reader("number", _amount)
_MODEL = Section(
    _model,
    (
        Setting("names", "names", readers.WILDCARDS, "The models.", required=True),
        Setting("input", "input", _AMOUNT_READER, "Of uncached input.", required=True),
        Setting("cache-read", "cache_read", _AMOUNT_READER, "Of input from the cache."),
        Setting("cache-write", "cache_write", _AMOUNT_READER, "Of input into the cache."),
        Setting("output", "output", _AMOUNT_READER, "Of output.", required=True),
    ),
)
_PRICES = Section(
    lambda found: Prices(
        models=tuple(pair for pairs in found.values.get("models", ()) for pair in pairs),
        flat=found.values.get("flat", ()),
        amp_factor=found.values.get("amp_factor"),
        as_of=found.values.get("as_of", ""),
        sources=found.values.get("sources", ()),
    ),
    (
        Setting("as-of", "as_of", readers.TEXT, "The day of the prices."),
        Setting("sources", "sources", ListOf(readers.TEXT, "a list of addresses"), "Where they are from."),
        Setting("amp-factor", "amp_factor", _AMOUNT_READER, "What Amp bills in terms of them."),
        Setting("flat", "flat", ListOf(readers.NAME, "a list of accounts"), "Accounts that cost nothing."),
        Setting("models", "models", ListOf(_MODEL, "a list of models with their prices"), "The prices."),
    ),
)
