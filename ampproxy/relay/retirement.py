"""The answer of a vendor that a model is gone: told as that, with what to ask instead."""

from __future__ import annotations

import datetime

import msgspec

from ampproxy.catalog.families import Families
from ampproxy.catalog.lifecycle import Ending, mapping_line
from ampproxy.credentials.outcomes import RETIRED, Action, Verdict
from ampproxy.model.events import WireError
from ampproxy.wire.redact import printable

#: What a vendor answers where it has no such model, in any of their ways.
MODEL_STATUSES = frozenset((400, 403, 404, 410, 422))
_WORDS = 300


def retired(
    status: int,
    error: WireError,
    verdict: Verdict,
    model: str,
    families: Families,
    today: datetime.date,
    *,
    asked: str,
    mappable: bool,
) -> tuple[WireError, Verdict]:
    """The error and its meaning for the account; the same where it is not about a model that is gone.

    It is if the vendor says so, or if it has no such model and the catalogue knows that it is gone.

    :param model: the vendor's name; ``asked``: the client's.
    :param mappable: whether mappings count where the request came in.
    """
    family = families.find(model)
    lacks = verdict.action is Action.REST_MODEL and verdict.per_operation and status in MODEL_STATUSES
    if verdict is not RETIRED and not (lacks and family.gone(today)):
        return error, verdict
    end = Ending(model, family.retires, True, family.successor)
    message = f"{printable(model)} {end.clause(today)}. {_instead(end, asked, mappable=mappable)}"
    words = " ".join(error.message.split())[:_WORDS]
    answer = f"{message} Its vendor answered: {words}" if words else message
    return msgspec.structs.replace(error, kind="not_found", status=404, message=answer), RETIRED


def _instead(end: Ending, asked: str, *, mappable: bool) -> str:
    if not end.successor:
        return "Use another model: ampproxy models lists those that are served."
    if not mappable:
        return f"Use its successor, {end.successor}."
    line = mapping_line(printable(asked), end.successor)
    return f"Map it to its successor, under ampcode.model-mappings: {line}."
