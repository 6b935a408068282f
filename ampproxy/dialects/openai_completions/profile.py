"""What the old completions take."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DRAWING, DialectProfile
from ampproxy.model.base import COMPLETIONS

PROFILE: Final = DialectProfile(
    dialect=COMPLETIONS,
    vendor="Completions",
    sampling=DRAWING - {"top_k"} | {"max_tokens", "stop", "seed", "candidates"},
    stops=4,
    top_logprobs=5,
    user=64,
)
