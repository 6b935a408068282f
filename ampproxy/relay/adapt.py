"""A request that goes to another model than the client asked for, in its own dialect.

A client knows what the model that it names takes. Where a mapping or an alias has another one answer, the
body is looked at in the light of what that one refuses; what it takes stays as it came, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from ampproxy.adapt.target import target_at, target_for
from ampproxy.catalog.families import Families
from ampproxy.catalog.hosts import Host
from ampproxy.dialects.base import Dialect, Rendered, Target
from ampproxy.model.loss import Loss
from ampproxy.model.request import ChatRequest
from ampproxy.relay.bridge import ModelRequest
from ampproxy.relay.losses import refusing, strict_refusal
from ampproxy.relay.translate import read_question, rendered_for
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.route import RouteTarget
from ampproxy.routing.suffix import split_suffix

_TAKEN = ("never", "not-thinking", "always")
#: What one model may take and another not: (asked, served) -> whether the second takes less.
_NARROWER: tuple[Callable[[Target, Target], bool], ...] = (
    lambda asked, served: served.thinking not in (asked.thinking, "both"),
    lambda asked, served: (
        "budget" not in (asked.thinking, served.thinking) and not set(asked.levels) <= set(served.levels)
    ),
    lambda asked, served: asked.can_disable and not served.can_disable,
    lambda asked, served: asked.between_tools and not served.between_tools,
    lambda asked, served: _TAKEN.index(served.forced_tools) < _TAKEN.index(asked.forced_tools),
    lambda asked, served: served.thinks_unasked and not asked.thinks_unasked,
    lambda asked, served: asked.prefill and not served.prefill,
    lambda asked, served: asked.sampling and not served.sampling,
    lambda asked, served: asked.penalties and not served.penalties,
    lambda asked, served: (served.candidates or 8) < (asked.candidates or 8),
)


def is_narrower(asked: Target, served: Target) -> bool:
    """Whether a model may refuse what another takes. Of models that nobody described that is not known."""
    if "unknown" in (asked.thinking, served.thinking):
        return False
    return any(takes_less(asked, served) for takes_less in _NARROWER)


def may_differ(
    question: ModelRequest, offer: RouteTarget, dialect: Dialect, families: Families | None
) -> bool:
    """Whether the model that serves, or its server, may refuse what the one that was asked for takes.

    :param dialect: of both sides.
    """
    if question.endpoint.operation not in (Operation.GENERATE, Operation.COUNT_TOKENS):
        return False
    account, passes, model = offer.account, dialect.passthrough, offer.upstream_model
    served = target_at(dialect.name, model, account.base_url, account.profile, families)
    if passes.may_not_fit is not None and passes.may_not_fit(question.body, served):
        return True
    asked = question.requested_model
    return asked != model and _is_narrower(dialect.name, asked, model, families)


@lru_cache(maxsize=256)
def _is_narrower(dialect: str, asked: str, served: str, families: Families | None) -> bool:
    """Whether one model may refuse what another takes, both by their names."""
    base = split_suffix(asked)[0]
    return is_narrower(target_for(dialect, base, families), target_for(dialect, served, families))


def _served(offer: RouteTarget, dialect: Dialect, families: Families | None) -> Target:
    account = offer.account
    return target_at(dialect.name, offer.upstream_model, account.base_url, account.profile, families)


def adapted(
    question: ModelRequest, offer: RouteTarget, dialect: Dialect, families: Families | None, *, strict: bool
) -> tuple[bytes, tuple[Loss, ...]]:
    """The body as the serving model takes it, and what that lost; the same object where it takes all of it.

    :param dialect: of both sides.
    :param strict: refuse what cannot be said without loss.
    :raises ampproxy.errors.ExchangeError: it is not valid, or cannot be said whole and must be.
    """
    asked = read_question(
        question.body, dialect, dialect, model=question.endpoint.model, stream=question.stream
    )
    served = _served(offer, dialect, families)
    rendered = rendered_for(asked, dialect, served)
    if not rendered.losses and not _is_bent(question.body, asked, rendered, dialect, served):
        return question.body, ()
    if strict and (lost := refusing(rendered.losses)):
        raise strict_refusal(lost, dialect.name)
    if question.endpoint.operation is Operation.COUNT_TOKENS:
        return dialect.count_request(rendered.body, offer.upstream_model), rendered.losses
    return rendered.body, rendered.losses


def _is_bent(body: bytes, asked: ChatRequest, rendered: Rendered, dialect: Dialect, served: Target) -> bool:
    """Whether the server gets something else than one would that takes all, though nothing is lost."""
    if dialect.passthrough.is_renamed(body, served):
        return True
    if not served.host.known:
        return False
    anywhere = msgspec.structs.replace(served, host=Host())
    return rendered_for(asked, dialect, anywhere).body != rendered.body
