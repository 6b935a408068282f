"""Which account a vendor's other calls go to: the one that keeps what they name, else one that may."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Account
from ampproxy.credentials.pins import Pins
from ampproxy.errors import ClientFault
from ampproxy.providers import Provider
from ampproxy.relay.pinning import shown
from ampproxy.routing.route import Route, RouteTarget

#: Whether a client may use an account.
MayUse = Callable[[Account], bool]
_HOSTS = {kind.vendor: urlsplit(kind.base_url).hostname for kind in KINDS.values() if kind.section}


class VendorAccounts:
    """The accounts of one configuration, as far as they have their vendor's other calls.

    :param pins: knows which account keeps what; ``None``: that is switched off.
    """

    def __init__(
        self, accounts: Iterable[Account], providers: Mapping[str, Provider], pins: Pins | None
    ) -> None:
        self._providers = providers
        self._pins = pins
        self._by_vendor: dict[str, list[Account]] = {}
        for account in accounts:
            if vendor := providers[account.label].VENDOR:
                self._by_vendor.setdefault(vendor, []).append(account)
        for vendor, found in self._by_vendor.items():
            found.sort(key=lambda account: (_rank(account, vendor), -account.priority))

    def keeping(self, vendor: str, things: Sequence[str], may_use: MayUse) -> Account | None:
        """The account that keeps what a request refers to; ``None``: it refers to nothing that is known.

        :raises ClientFault: status 404: the account is gone, or not for this client; status 400: there are
            several.
        """
        pins = self._pins
        if pins is None:
            return None
        owners = {owner: thing for thing in things if (owner := pins.owner(thing)) is not None}
        if len(owners) > 1:
            both = " and ".join(shown(thing) for thing in list(owners.values())[:2])
            raise ClientFault.of(
                "invalid_request", f"{both} are stored at different accounts: none has both."
            )
        for owner, thing in owners.items():
            for account in self._by_vendor.get(vendor, ()):
                if self._providers[account.label].name == owner and may_use(account):
                    return account
            raise ClientFault.of(
                "not_found",
                f"{shown(thing)} is not found: it is stored at an account that is no longer configured, or"
                " that this client may not use.",
            )
        return None

    def first(self, vendor: str, thing: str, may_use: MayUse) -> Account:
        """The account for a request that names no model and nothing that is known: the only one, or, where
        it refers to nothing at all, the first.

        :param thing: what the path names; empty: nothing.
        :raises ClientFault: status 404: no account is known to have that, or has the vendor's calls.
        """
        homes = self._homes(vendor, may_use)
        if not homes and thing:
            kept = " Translated answers are kept only with the setting limits.max-stored."
            raise ClientFault.of(
                "not_found",
                f"{shown(thing)} is not found: no account here has it."
                + (kept if thing.startswith("resp_") else ""),
                code="not_found",
            )
        if not homes:
            raise ClientFault.of(
                "not_found",
                f"No account here has this call: it needs one of {_NAMES[vendor]}.",
                code="not_found",
            )
        if thing and len(homes) > 1:
            raise ClientFault.of("not_found", self._unknown(thing, homes), code="not_found")
        return homes[0]

    def offers(self, vendor: str, route: Route, may_use: MayUse) -> tuple[RouteTarget, ...]:
        """The accounts of a model's route that have the vendor's calls; of a model that no route has,
        those of the vendor itself: its lists leave some out.
        """
        having = {account.label for account in self._by_vendor.get(vendor, ()) if may_use(account)}
        found = tuple(offer for offer in route.offers if offer.account.label in having)
        if found or route.offers:
            return found
        homes = self._homes(vendor, may_use)
        return tuple(
            RouteTarget(account, route.requested_model) for account in homes if _rank(account, vendor) < _ELSE
        )

    def _homes(self, vendor: str, may_use: MayUse) -> list[Account]:
        """The accounts that are most likely to have a vendor's calls."""
        found = [account for account in self._by_vendor.get(vendor, ()) if may_use(account)]
        return [account for account in found if _rank(account, vendor) == _rank(found[0], vendor)]

    def _unknown(self, thing: str, homes: Sequence[Account]) -> str:
        if self._pins is None:
            why = "which account keeps what is not noted (setting: routing.max-pins)"
        else:
            why = "it was not made through this gateway, or too long ago (setting: routing.pin-ttl)"
        return (
            f"{shown(thing)} is not found: {len(homes)} accounts could have it, and {why}. A client key that"
            " may use only one account is sent there (setting: api-keys[].accounts)."
        )


#: Accounts at their vendor's own host, at others, and servers that only speak its dialect.
_OWN, _OTHER, _ELSE = range(3)
_NAMES = {
    "openai": "OpenAI (codex-api-key, openai-compatibility)",
    "anthropic": "Anthropic (claude-api-key)",
    "google": "Google (gemini-api-key)",
}


def _rank(account: Account, vendor: str) -> int:
    if urlsplit(account.base_url).hostname == _HOSTS.get(vendor):
        return _OWN
    return _OTHER if KINDS[account.kind].vendor == vendor else _ELSE
