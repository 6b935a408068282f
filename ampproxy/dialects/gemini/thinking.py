"""Writes a wish for thinking as ``thinkingConfig``."""

from __future__ import annotations

from typing import Any

from ampproxy.model.request import Thinking


def thinking_config(wish: Thinking | None) -> dict[str, Any]:
    """The members of ``thinkingConfig``; none where there is nothing to say.

    :param wish: as :func:`ampproxy.adapt.thinking.settle_amount` gives it.
    """
    if wish is None:
        return {}
    found: dict[str, Any] = {}
    if wish.mode == "off":
        found["thinkingBudget"] = 0
    elif wish.mode == "budget":
        found["thinkingBudget"] = wish.budget
    elif wish.mode == "level" and wish.level is not None:
        found["thinkingLevel"] = wish.level.upper()
    if wish.show is not None and found.get("thinkingBudget") != 0:
        found["includeThoughts"] = wish.show
    return found
