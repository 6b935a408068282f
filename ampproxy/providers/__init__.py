"""The vendors: a small file each. A new one is a file and a row of :mod:`ampproxy.catalog.kinds`."""

from __future__ import annotations

from importlib import import_module

from ampproxy.catalog.kinds import KINDS, Kind
from ampproxy.config.schema import AccountKind
from ampproxy.providers.base import Call, Provider

__all__ = ["PROVIDERS", "Call", "Provider"]


def _provider(kind: Kind) -> type[Provider]:
    """The class that a kind's row names.

    :raises TypeError: it is none of :class:`Provider`.
    """
    module, _, name = kind.provider.partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), name)
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise TypeError(f"{kind.name}: {kind.provider} is no Provider")
    return found


#: The kind of an account -> what reaches its vendor; called with the account.
PROVIDERS: dict[AccountKind, type[Provider]] = {name: _provider(kind) for name, kind in KINDS.items()}
