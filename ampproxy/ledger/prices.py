"""What models cost: the user's own table, what is published, and the shipped table for what that lacks."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ampproxy.catalog.names import spellings
from ampproxy.config import document, fields, files
from ampproxy.config.parsing import (
    InvalidValue,
    ListOf,
    Location,
    ParseContext,
    ParsedSection,
    Reader,
    Section,
    Setting,
)
from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import STEPS
from ampproxy.ledger.price import USUAL, Case, Price
from ampproxy.ledger.published import Published
from ampproxy.model.base import Value
from ampproxy.wire.wildcard import matches_wildcard

SHIPPED = Path(__file__).with_name("prices.yaml")

_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?\Z")


class Row(NamedTuple):
    """A price of some models, and where it holds.

    :ivar pattern: in lower case.
    :ivar since: from this day on, in days since the epoch.
    :ivar prompt_over: for prompts of more tokens than these.
    :ivar tier: where it was served so; empty: however it was.
    """

    pattern: str
    price: Price
    since: int = 0
    prompt_over: int = 0
    tier: str = ""

    def holds(self, case: Case) -> bool:
        """Whether it is for this case; :meth:`rank` says which of several is."""
        same = self.tier in ("", case.tier)
        return same and self.since <= case.day and self.prompt_over <= case.prompt_over

    @property
    def rank(self) -> tuple[bool, int, bool, int, int]:
        """The more is said of where it holds, the higher: first of the name, last of the day."""
        exact = "*" not in self.pattern
        return exact, len(self.pattern), bool(self.tier), self.prompt_over, self.since


class Prices(Value, frozen=True):
    """A table of prices.

    :param models: of two that are the same the first counts.
    :param flat: labels of accounts, with ``*``, that cost nothing by the token.
    :param amp_factor: what Amp bills in terms of these prices; ``None``: not said.
    :param as_of: the day of the prices, as the file says it.
    :param sources: where they are from.
    """

    models: tuple[Row, ...] = ()
    flat: tuple[str, ...] = ()
    amp_factor: float | None = None
    as_of: str = ""
    sources: tuple[str, ...] = ()

    def find(self, model: str, case: Case = USUAL) -> Price | None:
        """The price of a model by its name, with or without a thinking suffix; ``None`` if it is not known.

        The whole name is looked for first, then without what other vendors put before it, then with dashes
        in its version: ``us.anthropic.claude-opus-4.6`` is ``claude-opus-4-6``.
        """
        rows = next((found for name in spellings(model) if (found := self._rows(name))), [])
        # Of those that are the same the first counts.
        best = max((row for row in rows if row.holds(case)), key=lambda row: row.rank, default=None)
        return None if best is None else best.price

    def changes(self, model: str) -> Iterator[int]:
        """The days, since the epoch, from which a model's price is another."""
        rows = (row for name in spellings(model) for row in self._rows(name))
        return (row.since for row in rows if row.since)

    def _rows(self, name: str) -> list[Row]:
        return [row for row in self.models if matches_wildcard(row.pattern, name)]

    def is_flat(self, account: str) -> bool:
        """Whether an account costs nothing by the token."""
        return any(matches_wildcard(pattern, account) for pattern in self.flat)


class PriceBook:
    """The prices in force: the user's own table, what is published, and the shipped table.

    :param own: the user's table, if there is one.
    :param flat: labels of accounts that are known to cost nothing by the token.
    :param labels: the labels of the accounts that are configured, by the names that the ledger has for them.
    :param urls: their base URLs, likewise.
    :param published: ``None``: only the tables count.
    """

    def __init__(
        self,
        own: Prices | None,
        shipped: Prices,
        flat: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        urls: Mapping[str, str] | None = None,
        published: Published | None = None,
    ) -> None:
        self.own, self.shipped, self.published = own, shipped, published
        self._both = [table for table in (own, shipped) if table is not None]
        self._flat = frozenset(flat)
        self._labels = labels or {}
        self._urls = urls or {}
        self.find = lru_cache(maxsize=None)(self._find)
        self.changes = lru_cache(maxsize=None)(self._changes)

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

    def url(self, account: str) -> str:
        """The base URL of an account that is configured; prices differ by it."""
        return self._urls.get(account, "")

    def _find(self, model: str, case: Case = USUAL, url: str = "") -> Price | None:
        """The price of a model: the user's, whatever fits; else what is published; else the shipped one.

        :param url: of the account that served it.
        """
        if self.own is not None and (price := self.own.find(model, case)) is not None:
            return price
        if self.published is not None and (price := self.published.find(model, case, url)) is not None:
            return price
        return self.shipped.find(model, case)

    def _changes(self, model: str, url: str = "") -> frozenset[int]:
        """The days, since the epoch, from which a model's price may be another."""
        days = {day for table in self._both for day in table.changes(model)}
        if self.published is not None:
            days.update(self.published.changes(model, url))
        return frozenset(days)


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
    reading = ParseContext(name, {}, Path("/"), read_secret=str, read_pem=Path.read_bytes)
    root = document.compose(text, reading.complain)
    prices: Prices | None = None
    if root is not None:
        prices, _ = Location(root, "", 1, reading).attempt(_PRICES)
    elif not reading.complaints:
        reading.complain(1, "file", "contains no prices: expected a list of models")
    remarks = sorted({*reading.complaints, *reading.warnings})
    if remarks or prices is None:
        raise LedgerError("\n".join(message for _, message in remarks))
    return prices


def _amount(place: Location) -> float:
    text = place.text("a number, 0 or more")
    if not _AMOUNT.match(text):
        raise InvalidValue("expected a number, 0 or more, such as 2.5")
    return float(text)


def _day(place: Location) -> int:
    try:
        day = datetime.date.fromisoformat(place.text("a day"))
    except ValueError:
        raise InvalidValue("expected a day, such as 2026-12-01") from None
    return (day - _EPOCH).days


def _step(place: Location) -> int:
    tokens: int = fields.POSITIVE(place)
    if tokens not in STEPS:
        steps = ", ".join(map(str, STEPS))
        raise InvalidValue(f"the ledger distinguishes prompts only at these lengths: {steps}")
    return tokens


def _model(found: ParsedSection) -> list[Row]:
    values: dict[str, Any] = found.values
    cost = values["input"]
    price = Price(
        cost,
        values.get("cache_read", cost),
        values.get("cache_write", cost),
        values["output"],
        values.get("cache_write_1h"),
    )
    where = values.get("since", 0), values.get("prompt_over", 0), values.get("tier", "")
    return [Row(pattern, price, *where) for pattern in values["names"]]


_EPOCH = datetime.date(1970, 1, 1)
_AMOUNT_READER = Reader("number", _amount)
_MODEL = Section(
    _model,
    (
        Setting("names", fields.WILDCARDS, "The models.", required=True),
        Setting("from", Reader("day", _day), "The day from which on it holds.", field="since"),
        Setting("prompt-over", Reader("number", _step), "For prompts of more tokens."),
        Setting(
            "tier",
            fields.choice("batch", "fast", "flex", "priority", "ultrafast"),
            "For what was served so.",
        ),
        Setting("input", _AMOUNT_READER, "Of uncached input.", required=True),
        Setting("cache-read", _AMOUNT_READER, "Of input from the cache."),
        Setting("cache-write", _AMOUNT_READER, "Of input into the cache."),
        Setting("cache-write-1h", _AMOUNT_READER, "Of input that is kept for an hour."),
        Setting("output", _AMOUNT_READER, "Of output.", required=True),
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
        Setting("as-of", fields.TEXT, "The day of the prices."),
        Setting("sources", ListOf(fields.TEXT, "a list of addresses"), "Where they are from."),
        Setting("amp-factor", _AMOUNT_READER, "What Amp bills in terms of them."),
        Setting("flat", ListOf(fields.NAME, "a list of accounts"), "Accounts that cost nothing."),
        Setting("models", ListOf(_MODEL, "a list of models with their prices"), "The prices."),
    ),
)
