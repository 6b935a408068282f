"""The section ``ledger``: what is kept of each exchange, where it ends, and how it is priced."""

from __future__ import annotations

from ampproxy.config import fields
from ampproxy.config.parsing import AlreadyReported, ParsedSection, Setting
from ampproxy.config.schema import Ledger
from ampproxy.config.switched import SectionOrFlag

#: Below this the file's own structure would leave no room for rows.
_SMALLEST = 1024 * 1024


def _ledger(found: ParsedSection) -> Ledger:
    if found.values.get("max_size", _SMALLEST) < _SMALLEST:
        found.at("max_size").complain("leaves no room for anything: expected 1MiB or more")
        raise AlreadyReported
    return Ledger(**found.values)


LEDGER = SectionOrFlag(
    _ledger,
    (
        Setting("enable", "enable", fields.FLAG, "Keep a ledger. `ledger: false` is the same.", "true"),
        Setting("max-age", "max_age", fields.duration(), "How long an exchange is kept.", "365d"),
        Setting(
            "max-size",
            "max_size",
            fields.SIZE,
            "The maximum size of the file; the oldest exchanges are removed first, their daily totals stay.",
            "1GiB",
        ),
        Setting(
            "management",
            "management",
            fields.FLAG,
            "Also record requests on Amp's own routes, which involve no model.",
            "false",
        ),
        Setting(
            "prices",
            "prices",
            fields.PATH,
            "A YAML or JSON file with your own prices for `ampproxy usage`; they override the shipped ones.",
        ),
    ),
    flag=lambda enable: Ledger(enable=enable),
)
