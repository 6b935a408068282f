"""A request that goes to another model than the client asked for, in its own dialect.

A client knows what the model that it names takes. Where a mapping or an alias has another one answer, the
body is looked at in the light of what that one refuses; what it takes stays as it came, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.catalog.families import Families
from ampproxy.dialects.base import Dialect, Target
from ampproxy.dialects.targets import target_for
from ampproxy.model.loss import Loss
from ampproxy.relay.bridge import Question
from ampproxy.relay.losses import refusing, strict_refusal
from ampproxy.relay.translate import read_question, said_to
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.route import Offer
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


def may_differ(question: Question, offer: Offer, families: Families | None) -> bool:
    """Whether the model that serves may refuse what the one that was asked for takes."""
    if question.asked == offer.upstream_model or question.endpoint.operation not in (
        Operation.GENERATE,
        Operation.COUNT_TOKENS,
    ):
        return False
    dialect = question.endpoint.dialect
    asked = target_for(dialect, split_suffix(question.asked)[0], families)
    return is_narrower(asked, target_for(dialect, offer.upstream_model, families))


def adapted(
    question: Question, offer: Offer, dialect: Dialect, families: Families | None, *, strict: bool
) -> tuple[bytes, tuple[Loss, ...]]:
    """The body as the serving model takes it, and what that lost; the same object where it takes all of it.

    :param dialect: of both sides.
    :param strict: refuse what cannot be said without loss.
    :raises ampproxy.errors.ExchangeError: it is not valid, or cannot be said whole and must be.
    """
    asked = read_question(
        question.body, dialect, dialect, model=question.endpoint.model, stream=question.stream
    )
    rendered = said_to(asked, dialect, offer.upstream_model, None, families, base_url=offer.account.base_url)
    if not rendered.losses:
        return question.body, ()
    if strict and (lost := refusing(rendered.losses)):
        raise strict_refusal(lost, dialect.name)
    if question.endpoint.operation is Operation.COUNT_TOKENS:
        return dialect.count_request(rendered.body, offer.upstream_model), rendered.losses
    return rendered.body, rendered.losses
