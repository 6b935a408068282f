"""The section ``ledger``: what is kept of each exchange, where it ends, and how it is priced."""

from __future__ import annotations

from dataclasses import dataclass

from ampproxy.config import fields
from ampproxy.config.document import Scalar
from ampproxy.config.parsing import AlreadyReported, Location, ParsedSection, Section, Setting
from ampproxy.config.schema import Ledger

#: Below this the file's own structure would leave no room for rows.
_SMALLEST = 1024 * 1024


def _ledger(found: ParsedSection) -> Ledger:
    if found.values.get("max_size", _SMALLEST) < _SMALLEST:
        found.at("max_size").complain("leaves no room for anything: expected 1MiB or more")
        raise AlreadyReported
    return Ledger(**found.values)


@dataclass(frozen=True, slots=True)
class _SectionOrFlag(Section):
    """A section that ``false`` alone switches off."""

    type: str = "section, or false"

    def __call__(self, place: Location) -> Ledger:
        if isinstance(place.node, Scalar) and place.node.type != "null":
            return Ledger(enable=fields.FLAG(place))
        ledger: Ledger = Section.__call__(self, place)
        return ledger


LEDGER = _SectionOrFlag(
    _ledger,
    (
        Setting("enable", "enable", fields.FLAG, "Keep a ledger. `ledger: false` is the same.", "true"),
        Setting("max-age", "max_age", fields.duration(), "How long an exchange is remembered.", "365d"),
        Setting(
            "max-size",
            "max_size",
            fields.SIZE,
            "How large the file may become; the oldest exchanges make room, their daily totals stay.",
            "1GiB",
        ),
        Setting(
            "management",
            "management",
            fields.FLAG,
            "Keep requests on Amp's own routes, too, which ask for no model.",
            "false",
        ),
        Setting(
            "prices",
            "prices",
            fields.PATH,
            "Your own prices for `ampproxy usage`, a YAML or JSON file; they go before the shipped ones.",
        ),
    ),
)
