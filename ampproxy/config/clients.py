"""``api-keys``: the clients' keys, as texts or as entries with a name, rights and limits."""

from __future__ import annotations

from datetime import datetime, timezone

from msgspec.structs import replace

from ampproxy.config import fields
from ampproxy.config.document import Scalar, Sequence, YamlMapping, is_null
from ampproxy.config.parsing import (
    AlreadyReported,
    InvalidValue,
    Location,
    ParsedSection,
    Reader,
    Reads,
    Section,
    Setting,
    suggest,
)
from ampproxy.model.base import Value
from ampproxy.model.clients import MICRO, ROUTES, ClientKey, KeyLimit, Period, Unit, marks_of
from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import Secret, Unseen

_SERVE_ALL = "put one there, or write api-keys: [] to accept all local requests"
#: What CLIProxyAPI's example holds where the user's own keys belong: anybody knows them.
_PLACEHOLDERS = {f"your-api-key-{number}" for number in (1, 2, 3)}
_NAME = LatePattern(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")
#: How the log names a key without a name.
_DIGEST_NAME = LatePattern(r"key-[0-9a-f]{8}\Z")
_HASH = LatePattern(r"sha256:[0-9a-f]{64}\Z")
_USD = LatePattern(r"[0-9]{1,9}(\.[0-9]{1,6})?\Z")
_AMOUNT = fields.whole("a whole number, 1 or more", 1, 10**12)
#: The amounts that can be limited, by unit; and the periods of each.
_UNITS: dict[Unit, str] = {
    "requests": "requests to models",
    "tokens": "tokens, input and output together,",
    "usd": "US dollars",
}
_PERIODS: dict[Period, str] = {
    "minute": "in a minute",
    "day": "in a day (UTC)",
    "week": "in a week (from Monday on, UTC)",
    "month": "in a calendar month (UTC)",
}


def is_name(text: str) -> bool:
    """Whether a text can be a client's name: it stands in logs, and is none that a digest could be."""
    return _NAME.match(text) is not None and _DIGEST_NAME.match(text) is None


NAME_RULE = (
    "letters, digits and . _ @ + -, at most 64, and not the name that a key without one has (key-1f9a03c2)"
)


def moment(text: str) -> float:
    """A date, or a date with a time, as seconds since the epoch; UTC where it names no zone.

    :raises ValueError: it is none.
    """
    found = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def _name(place: Location) -> str:
    text: str = fields.NAME(place)
    if not is_name(text):
        raise InvalidValue(f"cannot be a client's name: expected {NAME_RULE}")
    return text


def _moment(place: Location) -> float:
    try:
        return moment(place.text("a date"))
    except ValueError:
        raise InvalidValue(
            "expected a date, such as 2027-01-31, or a time, such as 2027-01-31T18:00Z"
        ) from None


def _hash(place: Location) -> str:
    text = place.text("the hash of a key")
    if not _HASH.match(text):
        # Not shown: it may be the key itself.
        raise InvalidValue("expected sha256: and 64 hexadecimal digits, as ampproxy key new writes it")
    return text.partition(":")[2]


def _routes(place: Location) -> tuple[str, ...]:
    if not isinstance(place.node, Sequence):
        raise InvalidValue(f"expected a list of {', '.join(ROUTES)}")
    names = [fields.NAME(item).lower() for item in place.items("a list of routes")]
    if not names:
        raise InvalidValue("is an empty list, so the key would open nothing: leave it out for all")
    for name in names:
        if name not in ROUTES:
            raise InvalidValue(f"expected {', '.join(ROUTES)}{suggest(name, list(ROUTES))}")
    return tuple(route for route in ROUTES if route in names)


def _patterns(place: Location) -> tuple[str, ...]:
    """Not empty: a list that was meant to allow little must not allow everything."""
    found: tuple[str, ...] = fields.WILDCARDS(place)
    if not found:
        raise InvalidValue("is an empty list: expected at least one pattern, or leave it out for all")
    return found


def usd(text: str) -> int:
    """An amount of US dollars as millionths.

    :raises ValueError: it is none, or nothing.
    """
    if not _USD.match(text):
        raise ValueError(text)
    whole, _, rest = text.partition(".")
    amount = int(whole) * MICRO + int(rest.ljust(6, "0"))
    if not amount:
        raise ValueError(text)
    return amount


def _usd(place: Location) -> int:
    try:
        return usd(place.text("an amount"))
    except ValueError:
        raise InvalidValue("expected an amount of US dollars above 0, such as 20 or 2.50") from None


_USD_READER = Reader("US dollars", _usd)


class Limits(Value, frozen=True):
    """The values of an entry's section ``limits``."""

    limits: tuple[KeyLimit, ...] = ()
    concurrent: int | None = None


def _limits(found: ParsedSection) -> Limits:
    limits = tuple(
        KeyLimit(unit, period, found.values[f"{unit}_per_{period}"])
        for unit in _UNITS
        for period in _PERIODS
        if f"{unit}_per_{period}" in found.values
    )
    return Limits(limits, found.values.get("concurrent"))


def _setting(name: str, reader: Reads, doc: str, default: str = "none", *, field: str = "") -> Setting:
    """One that may not stand there with nothing: without it the key opens more."""
    return Setting(name, reader, doc, default, hollow=False, field=field)


def _limit(unit: Unit, period: Period) -> Setting:
    reader = _USD_READER if unit == "usd" else _AMOUNT
    doc = f"The most {_UNITS[unit]} {_PERIODS[period]}."
    return _setting(f"{unit}-per-{period}", reader, doc, "no limit")


LIMITS = Section(
    _limits,
    (
        *(
            _limit(unit, period)
            for unit in _UNITS
            for period in _PERIODS
            if not (unit == "usd" and period == "minute")
        ),
        _setting(
            "concurrent",
            _AMOUNT,
            "The most requests to models at the same time, streamed or not.",
            "no limit",
        ),
    ),
)


def client_key(found: ParsedSection) -> ClientKey:
    """What an entry says.

    :raises Reported: something in it is wrong.
    """
    values = dict(found.values)
    secret, hashed = values.get("secret"), values.get("hash", "")
    _check_complete(found, secret, hashed)
    if values.get("old_hash") and "old_until" not in values:
        found.at("old_hash").complain("needs old-until: the key before a rotation must expire")
        raise AlreadyReported
    if any(map(found.broken, found.places)):
        # A key without the limit that was meant for it would open more than its owner wrote.
        raise AlreadyReported
    limits: Limits = values.pop("limits", Limits())
    return ClientKey(**values, limits=limits.limits, concurrent=limits.concurrent, line=found.place.line)


def _check_complete(found: ParsedSection, secret: Secret | None, hashed: str) -> None:
    """
    :raises Reported: the entry has no key, or two, or only a hash and nothing by which people know it.
    """
    if secret is not None and hashed:
        found.at("secret").complain("is set together with key-hash: expected one of the two")
    elif secret is None and not hashed:
        if not (found.broken("secret") or found.broken("hash")):
            found.place.complain("has no key: expected key or key-hash")
    elif hashed and not found.values.get("name"):
        if not found.broken("name"):
            found.place.complain(
                "has key-hash and no name: expected name, because nothing else identifies its owner"
            )
    else:
        return
    raise AlreadyReported


ENTRY = Section(
    client_key,
    (
        _setting(
            "name",
            Reader("text", _name),
            "The client's name in log, ledger, metrics and limits. It stays the same when the key is "
            "replaced.",
            "a digest of the key",
        ),
        _setting("key", fields.GIVEN_SECRET, "The key.", "see `key-hash`", field="secret"),
        _setting(
            "key-hash",
            Reader("hash", _hash),
            "Instead of `key`: the SHA-256 of the key, as `ampproxy key new` writes it.",
            field="hash",
        ),
        _setting(
            "expires",
            Reader("date or time", _moment),
            "When the key expires; a date means its first moment, in UTC.",
            "never",
        ),
        _setting(
            "old-key-hash",
            Reader("hash", _hash),
            "The key before a rotation; it remains valid until `old-until`.",
            field="old_hash",
        ),
        _setting("old-until", Reader("date or time", _moment), "When `old-key-hash` expires."),
        _setting(
            "models",
            Reader("a list of patterns", _patterns),
            "The models that may serve its requests, by the names that clients use; for a mapped model "
            "the target's name. `*` stands for anything.",
            "all",
        ),
        _setting(
            "accounts",
            Reader("a list of patterns", _patterns),
            "The accounts that may serve its requests, as `ampproxy accounts` names them.",
            "all",
        ),
        _setting(
            "routes",
            Reader("a list of routes", _routes),
            "The routes it opens: `models`; `stored`, what vendors store for an account; `amp`, what is "
            "forwarded to Amp unchanged; `admin`, below "
            "`/ampproxy`.",
            "all",
        ),
        _setting("limits", LIMITS, "How much the key may use."),
        _setting(
            "amp",
            fields.FLAG,
            "Whether requests to models with this key may go to Amp, where they cost credits.",
            "true",
        ),
        _setting(
            "upstream-api-key",
            fields.GIVEN_SECRET,
            "The Amp key sent to Amp with this client's requests.",
            "`ampcode.upstream-api-key`",
            field="upstream",
        ),
    ),
)


class Clients(Value, frozen=True):
    """The clients' keys, each once; ``item`` is what the documentation walks into.

    Blank texts are left out, and the keys of CLIProxyAPI's example refused. A list that names keys and yields
    none is refused: without keys everybody is served, and that has to be meant.
    """

    item: Section = ENTRY
    type: str = "a list of secrets or of entries"

    def __call__(self, place: Location) -> tuple[ClientKey, ...]:
        """Read every item, also after one that is wrong.

        :raises Wrong: it is no list, or holds no key.
        """
        items = place.items("a list of keys")
        kept = _Kept()
        good = True
        for index, item in enumerate(items):
            key, read = self._read(item)
            good = good and read
            if key is not None:
                good = kept.add(item, replace(key, index=index)) and good
        if not good:
            raise AlreadyReported
        if items and not kept.keys:
            raise InvalidValue(f"contains only empty keys: {_SERVE_ALL}")
        return tuple(kept.keys)

    def _read(self, item: Location) -> tuple[ClientKey | None, bool]:
        """An item's key, ``None`` for none; and whether there is nothing wrong with it."""
        if isinstance(item.node, YamlMapping):
            key, read = item.attempt(self.item)
        else:
            key, read = _plain(item)
        if key is None or not _is_placeholder(key.secret):
            return key, read
        item.complain("is a public placeholder from CLIProxyAPI's example: expected a secret of your own")
        return None, False


def _plain(item: Location) -> tuple[ClientKey | None, bool]:
    if is_null(item.node):
        item.warn("is empty and ignored")
        return None, True
    secret, read = item.attempt(fields.SECRET)
    if not read:
        return None, False
    if not secret:
        item.warn("is empty and ignored")
        return None, True
    if isinstance(item.node, Scalar) and item.node.text != item.node.text.strip():
        item.warn("has spaces around it, which are ignored")
    return ClientKey(secret=secret, line=item.line), True


def _is_placeholder(secret: Secret | None) -> bool:
    return secret is not None and not isinstance(secret, Unseen) and secret.reveal() in _PLACEHOLDERS


class _Kept:
    """The keys that have been read, each of which stands once."""

    def __init__(self) -> None:
        self.keys: list[ClientKey] = []
        self._owners: dict[object, tuple[Location, ClientKey]] = {}

    def add(self, item: Location, key: ClientKey) -> bool:
        """Keep a key; whether it may stand where it does. Of two equal texts the second is ignored."""
        marks: list[object] = [*marks_of(key), *([key.name.lower()] if key.name else [])]
        for mark in marks:
            if mark in self._owners:
                place, other = self._owners[mark]
                if key == other and not key.name:
                    item.warn("is listed twice; the second is ignored")
                    return True
                what = "name" if mark == key.name.lower() else "key"
                item.complain(f"has the {what} of {place.key}, too: expected each {what} once")
                return False
        self.keys.append(key)
        self._owners.update(dict.fromkeys(marks, (item, key)))
        return True
