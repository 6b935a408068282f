"""The section ``ledger``: what is kept of each exchange, where it ends, and how it is priced."""

from __future__ import annotations

from urllib.parse import urlsplit

from ampproxy.config import fields
from ampproxy.config.parsing import (
    Absent,
    AlreadyReported,
    InvalidValue,
    Location,
    ParsedSection,
    Reader,
    Setting,
)
from ampproxy.config.switched import SectionOrFlag
from ampproxy.model.databases import passwords_in
from ampproxy.model.ledger import Ledger
from ampproxy.wire.redact import Secret

#: Below this the file's own structure would leave no room for rows.
_SMALLEST = 1024 * 1024


_SCHEMES = ("postgresql", "postgres")
#: Below this not even one second of a busy service would fit.
_SMALLEST_SPOOL = 1024 * 1024


def _database(place: Location) -> Secret:
    """A URL as libpq takes it: hosts may be several, or the folder of a socket. It is a secret as a whole,
    for it may come from the environment with a password in it.
    """
    literal = list(place.reading.literal)
    try:
        text = place.secret_text()
    except Absent as absent:
        return place.unseen(absent)
    parts = urlsplit(text) if text.isascii() and text.isprintable() and " " not in text else None
    if parts is None or parts.scheme not in _SCHEMES or "://" not in text:
        raise InvalidValue("is not a supported URL: expected postgresql://USER@HOST/DATABASE, in ASCII")
    if parts.fragment:
        raise InvalidValue("has a fragment (#...): write # as %23")
    if not passwords_in(text):
        # Nothing in it has to be kept from who may read the file.
        place.reading.literal[:] = literal
    return Secret(text)


def _ledger(found: ParsedSection) -> Ledger:
    if found.values.get("max_size", _SMALLEST) < _SMALLEST:
        found.at("max_size").complain("leaves no room for anything: expected 1MiB or more")
        raise AlreadyReported
    if found.values.get("spool_size", _SMALLEST_SPOOL) < _SMALLEST_SPOOL:
        found.at("spool_size").complain("leaves no room for anything: expected 1MiB or more")
        raise AlreadyReported
    if "password" in found.places and "url" not in found.places:
        found.at("password").warn("has no effect without url")
    return Ledger(**found.values)


LEDGER = SectionOrFlag(
    _ledger,
    (
        Setting("enable", fields.FLAG, "Keep a ledger. `ledger: false` is the same.", "true"),
        Setting("max-age", fields.duration(), "How long an exchange is kept.", "365d"),
        Setting(
            "max-size",
            fields.SIZE,
            "The maximum size of the file (not of a database); the oldest exchanges are removed first, their"
            " daily totals stay.",
            "1GiB",
        ),
        Setting(
            "management",
            fields.FLAG,
            "Also record requests on Amp's own routes, which involve no model.",
            "false",
        ),
        Setting(
            "prices",
            fields.PATH,
            "A YAML or JSON file with your own prices for `ampproxy usage`; they override the shipped ones.",
        ),
        Setting(
            "url",
            Reader("URL of PostgreSQL, or file:/path", _database),
            "A database at PostgreSQL in place of the file, for several replicas:"
            " `postgresql://USER@HOST/DATABASE`, with what else libpq takes. Treated as a secret:"
            " `${ENV_VAR}` and `file:/path` work.",
        ),
        Setting("password", fields.GIVEN_SECRET, "The password for it.", "that in `url`"),
        Setting(
            "timeout",
            fields.duration(),
            "How long a transaction there may take, the time to connect included. Reading may take six times"
            " as long.",
            "10s",
        ),
        Setting(
            "spool-size",
            fields.SIZE,
            "How much may wait in `state-dir` while the database is away.",
            "256MiB",
        ),
        Setting(
            "max-series",
            fields.POSITIVE,
            "So many combinations of client, model, account and the like count apart on one day; further"
            " ones are counted as one.",
            "2000, with `url` 50000",
        ),
    ),
    flag=lambda enable: Ledger(enable=enable),
)
