"""What a request may say to a model: the catalogue's family of it, as the renderers' :class:`Target`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ampproxy.catalog.families import Families, shipped
from ampproxy.catalog.names import without_suffix
from ampproxy.dialects.base import Target

#: Members of a family that a target has as well, and that hold in the family's own dialects.
_OF_REQUESTS = (
    "thinking",
    "budget",
    "levels",
    "thinks_unasked",
    "can_disable",
    "between_tools",
    "forced_tools",
    "chat_tools",
    "prefill",
    "sampling",
    "penalties",
    "candidates",
    "max_output",
)
#: Those that hold wherever the model is asked.
_EVERYWHERE = ("openai_members", "searches", "wants_reasoning")


#: Where OpenAI's own rules hold; who sells its models elsewhere has rules of its own.
_OPENAI_HOST = "api.openai.com"


def target_at(base_url: str, target: Target) -> Target:
    """What a model takes at an address: what only its vendor refuses is no matter elsewhere."""
    if target.chat_tools == "always" or urlsplit(base_url).hostname == _OPENAI_HOST:
        return target
    return msgspec.structs.replace(target, chat_tools="always")


@lru_cache(maxsize=256)
def target_for(dialect: str, model: str, families: Families | None = None) -> Target:
    """What a model takes when it is asked in a dialect.

    :param model: the vendor's name of it. A thinking suffix is not part of it and is cut off; a path
        before it (``anthropic/``, ``publishers/google/models/``) is kept but not looked at.
    :param families: what is known of models; ``None``: the shipped table.
    """
    family = (families or shipped()).find(model)
    names = _OF_REQUESTS + _EVERYWHERE if family.holds_in(dialect) else _EVERYWHERE
    known: dict[str, Any] = {name: value for name in names if (value := getattr(family, name)) is not None}
    return msgspec.structs.replace(Target(without_suffix(model)), **known)
