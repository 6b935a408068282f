"""``ampproxy models --prices``: how much each model takes, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from ampproxy.catalog.families import Families
from ampproxy.cli.terminal import Column, Table
from ampproxy.config.schema import Account
from ampproxy.ledger.price import USUAL, Price
from ampproxy.ledger.prices import PriceBook
from ampproxy.ledger.text import count
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable

_COLUMNS = (
    Column("MODEL", least=24),
    Column("CONTEXT", right=True, rank=2),
    Column("OUTPUT", right=True, rank=3),
    Column("$ IN", right=True),
    Column("$ CACHED", right=True, rank=1),
    Column("$ CACHE WRITE", right=True, rank=4),
    Column("$ OUT", right=True),
    Column("RETIRES", rank=5),
)
#: What stands for what nobody has said.
_UNKNOWN = "?"


@dataclass(frozen=True)
class Terms:
    """How much a model takes, and what it costs at its first account.

    :param context: tokens of prompt and answer; ``max_output`` those of an answer.
    :param price: US dollars for a million tokens of a short prompt at the vendor's API; ``None``: unknown.
    :param flat: that account is not billed by the token: the price is what it saves.
    """

    model: str
    account: str
    context: int | None
    max_output: int | None
    price: Price | None
    flat: bool
    retires: date | None

    def as_json(self) -> dict[str, Any]:
        """Give the same for programs."""
        price, retires = self.price, self.retires
        return {
            **asdict(self),
            "price": price and price._asdict(),
            "retires": retires and retires.isoformat(),
        }


def terms(model: str, upstream: str, account: Account, families: Families, prices: PriceBook) -> Terms:
    """Look up what is known of a model.

    :param upstream: the name that its account has for it.
    """
    family = families.find(split_suffix(upstream)[0])
    return Terms(
        model=printable(model),
        account=account.label,
        context=family.context,
        max_output=family.max_output,
        price=prices.find(upstream, USUAL, account.base_url),
        flat=prices.is_flat(account.label),
        retires=family.retires,
    )


def price_table(found: Iterable[Terms], room: int | None = None) -> Iterator[str]:
    """A line for each model.

    :param room: columns of the terminal; ``None``: as many as it takes.
    """
    rows = [_cells(one) for one in found]
    yield from Table(_COLUMNS, rows, room).lines(rows)


def price_notes(found: Iterable[Terms]) -> Iterator[str]:
    """What the figures mean, in sentences."""
    shown = list(found)
    yield (
        "US dollars for a million tokens. Longer prompts and other tiers may cost more:"
        " ampproxy usage --prices."
    )
    flat = dict.fromkeys(one.account for one in shown if one.flat)
    if flat:
        yield f"Not billed by the token (a subscription, or a server of your own): {', '.join(flat)}."
    if any(one.price is None and not one.flat for one in shown):
        yield "A price that is not known can be added (setting: ledger.prices)."


def _cells(one: Terms) -> tuple[str, ...]:
    price = one.price
    amounts = (None,) * 4 if price is None else price[:4]
    return (
        one.model,
        _UNKNOWN if one.context is None else count(one.context),
        _UNKNOWN if one.max_output is None else count(one.max_output),
        *(_UNKNOWN if amount is None else _amount(amount) for amount in amounts),
        "" if one.retires is None else one.retires.isoformat(),
    )


def _amount(dollars: float) -> str:
    """A price to the cent, with more places where it has them: ``3.00``, ``0.125``."""
    return f"{dollars:.2f}" if round(dollars, 2) == round(dollars, 4) else f"{dollars:.4f}".rstrip("0")
