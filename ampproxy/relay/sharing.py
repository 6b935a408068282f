"""The vendors' lists of models among processes (see :mod:`ampproxy.state`): what one was given all have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from ampproxy.config.schema import Account
from ampproxy.credentials.names import account_name
from ampproxy.routing.discovered import Declared, Found
from ampproxy.state.entries import Entry
from ampproxy.state.shared import Shared

MODELS, DECLARED = "models", "declared"
#: Seconds for which a list is worth something: longer than until the vendor is asked again.
LIST_SECONDS = 86400.0
_encode = msgspec.msgpack.Encoder().encode
_BAD = (msgspec.MsgspecError, ValueError, RecursionError)

_T = TypeVar("_T", bound=Found | Declared)


def account_key(account: Account) -> str:
    """What an account is known by among processes."""
    return f"{account_name(account)} {account.tenant}".rstrip()


def place_key(account: Account) -> str:
    """What the vendor of an account is known by among processes."""
    return blake2b(f"{account.kind} {account.base_url}".encode(), digest_size=16).hexdigest()


class ListTopic(Generic[_T]):
    """The lists of accounts, or what vendors declare. A :class:`~ampproxy.state.shared.Topic`.

    :param keys: gives what is looked for here, by the keys that processes share.
    :param known: gives what is known of one of them.
    :param learn: is given what another process knows.
    :param wall: seconds since the epoch.
    """

    def __init__(
        self,
        kind: str,
        form: type[_T],
        keys: Callable[[], Iterable[str]],
        known: Callable[[str], _T | None],
        learn: Callable[[str, _T], None],
        wall: Callable[[], float],
    ) -> None:
        self._kind = kind
        self._decode = msgspec.msgpack.Decoder(form).decode
        self._keys = keys
        self._known = known
        self._learn = learn
        self._wall = wall

    def publish(self, shared: Shared, key: str, found: _T) -> None:
        """A vendor has answered."""
        if shared.active:
            shared.publish(self._kind, key, _timeless(found), LIST_SECONDS)

    def apply(self, entry: Entry) -> None:
        if entry.value is None:
            return
        try:
            found = self._decode(entry.value)
        except _BAD:
            return
        self._learn(entry.key, msgspec.structs.replace(found, at=self._wall() - entry.age))

    def age(self, key: str) -> float | None:
        found = self._known(key)
        return None if found is None else max(0.0, self._wall() - found.at)

    def entries(self) -> Iterator[Entry]:
        for key in tuple(self._keys()):
            found = self._known(key)
            if found is not None and (age := max(0.0, self._wall() - found.at)) < LIST_SECONDS:
                yield Entry(self._kind, key, _timeless(found), LIST_SECONDS - age, age)


def by_key(accounts: Iterable[Account], key: Callable[[Account], str]) -> dict[str, list[Account]]:
    """Accounts by what they, or their vendors, are known by among processes."""
    found: dict[str, list[Account]] = {}
    for account in accounts:
        found.setdefault(key(account), []).append(account)
    return found


def _timeless(found: Found | Declared) -> bytes:
    """The same for all processes that were given the same, so that it need not be sent again."""
    return _encode(msgspec.structs.replace(found, at=0.0))
