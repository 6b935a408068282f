"""What vendors said they serve, and the file that keeps it between two runs.

The file is JSON. It names an account by a salted digest: neither a credential nor a label can be read
out of it, and an account keeps its list when others are added before it in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from hashlib import blake2b
from types import MappingProxyType
from typing import TypeVar

import msgspec

from ampproxy.catalog.families import Family, Layer, Override
from ampproxy.catalog.names import exact
from ampproxy.config.schema import Account
from ampproxy.wire.redact import Unseen

#: Vendors with more models than this are not known; a list with more is cut.
MAX_MODELS = 5000
#: As long as any name that is looked at (see :mod:`ampproxy.routing.decide`).
_MAX_NAME = 512
#: Seconds after which an account that nobody asked for is forgotten.
_KEPT = 30 * 86400.0
_VERSION = 1
_NONE: Mapping[str, Declared] = MappingProxyType({})


class Found(msgspec.Struct, frozen=True):
    """A vendor's answer. ``at``: seconds since the epoch."""

    models: tuple[str, ...]
    at: float


class Declared(msgspec.Struct, frozen=True):
    """What a vendor declared of its models, one row for each. ``at``: seconds since the epoch."""

    families: tuple[Family, ...]
    at: float


class Book(msgspec.Struct, frozen=True):
    """All answers, by :meth:`identity`.

    :param salt: any text that is nobody else's.
    :param places: what vendors declared, by :meth:`place`: accounts of one vendor share it.
    """

    salt: str
    accounts: dict[str, Found] = msgspec.field(default_factory=dict)
    version: int = _VERSION
    places: dict[str, Declared] = msgspec.field(default_factory=dict)

    def identity(self, account: Account) -> str:
        """What an account is known by here: where it is and whose it is."""
        who = account.label if account.token is not None else account.api_key.reveal()
        return self._digest(
            account.kind, account.base_url, account.tenant, who, *map("=".join, account.headers)
        )

    def place(self, account: Account) -> str:
        """What the vendor of an account is known by: its address."""
        return self._digest(account.kind, account.base_url)

    def _digest(self, *parts: str) -> str:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return blake2b(text, key=self.salt.encode()[:64], digest_size=16).hexdigest()

    def models(self, accounts: Iterable[Account]) -> dict[str, tuple[str, ...]]:
        """Of those accounts whose vendor has answered: label -> models."""
        seen = (account for account in accounts if not isinstance(account.api_key, Unseen))
        known = ((account.label, self.accounts.get(self.identity(account))) for account in seen)
        return {label: found.models for label, found in known if found is not None}

    def declared(self, accounts: Iterable[Account]) -> Layer:
        """What the vendors of these accounts declared of models; of two that serve one of the same name, the
        first account's.
        """
        layer: dict[str, Override] = {}
        seen: set[str] = set()
        for account in accounts:
            place = self.place(account)
            if place in seen or (found := self.places.get(place)) is None:
                continue
            seen.add(place)
            origin = f"the list of {account.label}'s vendor, {_day(found.at)}"
            for family in found.families:
                layer.setdefault(exact(family.names[0]), Override(family, origin))
        return layer

    def having(self, accounts: Mapping[str, Found], places: Mapping[str, Declared] = _NONE) -> Book:
        """The same with these answers; of two of one account, or vendor, the later one stays."""
        return msgspec.structs.replace(
            self, accounts=_later(self.accounts, accounts), places=_later(self.places, places)
        )


_T = TypeVar("_T", Found, Declared)


def _later(before: Mapping[str, _T], now: Mapping[str, _T]) -> dict[str, _T]:
    merged = dict(before)
    for key, found in now.items():
        if key not in merged or merged[key].at <= found.at:
            merged[key] = found
    return merged


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")


_decoder = msgspec.json.Decoder(Book)


def load(data: bytes, now: float) -> Book:
    """The book of a file.

    :param now: seconds since the epoch. What is older than a month or comes from the future is left out.
    :raises ValueError: it is none, or one of another version.
    """
    try:
        book = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("not a list of models that this version can read") from None
    if book.version != _VERSION or not book.salt:
        raise ValueError("written by another version")
    fresh = {
        identity: Found(cleaned(found.models), found.at)
        for identity, found in book.accounts.items()
        if now - _KEPT <= found.at <= now
    }
    places = {
        place: Declared(declared(found.families), found.at)
        for place, found in book.places.items()
        if now - _KEPT <= found.at <= now
    }
    return msgspec.structs.replace(book, accounts=fresh, places=places)


def dump(book: Book) -> bytes:
    """The book as a file."""
    return msgspec.json.format(msgspec.json.encode(book), indent=1) + b"\n"


def declared(families: Iterable[Family]) -> tuple[Family, ...]:
    """What is declared of names that could be a model's, each once, the first one."""
    kept: dict[str, Family] = {}
    for family in families:
        if len(family.names) == 1:
            kept.setdefault(family.names[0], family)
    return tuple(kept[name] for name in cleaned(kept))


def cleaned(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once; without those that could be no model's: empty, endless, with control characters."""
    kept = dict.fromkeys(name for name in names if 0 < len(name) <= _MAX_NAME and name.isprintable())
    return tuple(kept)[:MAX_MODELS]
