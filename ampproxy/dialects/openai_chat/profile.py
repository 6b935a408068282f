"""What Chat Completions take: of OpenAI's own models, and of other servers.

Sources: the docstrings of ``openai.types.chat``; the vendors' error texts. The servers that follow OpenAI
check less, so what obeys these rules is good for them, too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ampproxy.adapt.profile import DRAWING, DialectProfile
from ampproxy.adapt.target import Target
from ampproxy.dialects.openai_chat.rules import knows_new_names
from ampproxy.model.base import CHAT, RESPONSES

_SERVERS: Final = DialectProfile(
    dialect=CHAT,
    kin=frozenset((CHAT, RESPONSES)),
    vendor="A server of Chat Completions",
    sampling=DRAWING - {"top_k"} | {"max_tokens", "stop", "seed", "candidates"},
    drawing=DRAWING - {"top_k"},
    temperature=2,
    stops=4,
    # "string too long"; Anthropic's ids of users are longer.
    user=64,
)
_OPENAI: Final = msgspec.structs.replace(
    _SERVERS,
    vendor="OpenAI",
    sampled_stops=True,
    metadata=(16, 64, 512),
    tiers={name: name for name in ("auto", "default", "flex", "scale", "priority", "fast")},
    cache_key=True,
)


def profile_of(target: Target) -> DialectProfile:
    """The rules that a target's server follows."""
    return _OPENAI if knows_new_names(target) else _SERVERS
