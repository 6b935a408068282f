"""What Messages takes, as far as it is no matter of a single model."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DialectProfile
from ampproxy.model.base import ANTHROPIC

PROFILE: Final = DialectProfile(
    dialect=ANTHROPIC,
    vendor="Anthropic",
    sampling=frozenset(("max_tokens", "temperature", "top_p", "top_k", "stop")),
    drawing=frozenset(("temperature", "top_p", "top_k")),
    temperature=1,
    one_of_draws=True,
    blank_stops=False,
    trusted_output=True,
    user=256,
    tiers={"auto": "auto", "default": "standard_only"},
)
