"""A routing decision, with its reasons: the one object that every view of it shows."""

from __future__ import annotations

import enum

from ampproxy.config.schema import Account, FallbackRule, ModelMapping
from ampproxy.model.base import Value


class RouteKind(enum.Enum):
    """Where a request goes. The values are what the response header and the log have.

    :ivar text: the value, which an enumeration gives by two calls.
    """

    LOCAL = "local"
    MAPPED = "mapped"
    AMP = "amp"
    NONE = "none"

    def __init__(self, text: str) -> None:
        self.text = text


class RouteTarget(Value, frozen=True):
    """An account that serves a model, and the vendor's own name of that model there."""

    account: Account
    upstream_model: str


class Route(Value, frozen=True, kw_only=True):
    """Where a request for a model goes, and why.

    :param requested_model: the name as the client sent it, thinking suffix included; empty if it sent none.
    :param resolved_model: the visible name that is served (the asked one, or the mapping's target), with its
        thinking suffix; empty unless local or mapped.
    :param suffix: the thinking suffix in force, without parentheses; ``None`` if there is none.
    :param offers: the accounts that can serve it, best priority first, config order within; several of
        one account where an alias is a pool.
    :param reasons: the steps of the decision, in order, each a sentence.
    :param suggested_config: for ``AMP`` and ``NONE``: the YAML that would serve the model locally.
    :param role: what Amp uses the model for; empty if nothing tells.
    :param fallback: for ``AMP``: the rule that lets it go there; for ``NONE``: the one that keeps it from it.
    :param served_here: likewise, how many models are served here by name.
    :param nearest: for ``AMP`` and ``NONE``: the models served here whose names are most like it.
    :param slow: for ``NONE``: the mapping whose pattern takes too long for the name.
    """

    kind: RouteKind
    requested_model: str
    resolved_model: str = ""
    suffix: str | None = None
    offers: tuple[RouteTarget, ...] = ()
    reasons: tuple[str, ...] = ()
    suggested_config: str = ""
    role: str = ""
    fallback: FallbackRule | None = None
    nearest: tuple[str, ...] = ()
    served_here: int = 0
    slow: ModelMapping | None = None
