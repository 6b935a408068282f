"""What Responses take, as far as it is no matter of a single model."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DialectProfile
from ampproxy.model.base import CHAT, RESPONSES

PROFILE: Final = DialectProfile(
    dialect=RESPONSES,
    kin=frozenset((CHAT, RESPONSES)),
    vendor="Responses",
    sampling=frozenset(("max_tokens", "temperature", "top_p", "logprobs", "top_logprobs", "candidates")),
    drawing=frozenset(("temperature", "top_p")),
    candidates=1,
    least_output=16,
    user=64,
    metadata=(16, 64, 512),
    tiers={name: name for name in ("auto", "default", "flex", "priority", "scale", "fast")},
    cache_key=True,
)
