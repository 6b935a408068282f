"""What ``generateContent`` takes, as far as it is no matter of a single model."""

from __future__ import annotations

from typing import Final

from ampproxy.adapt.profile import DRAWING, DialectProfile
from ampproxy.model.base import GEMINI

PROFILE: Final = DialectProfile(
    dialect=GEMINI,
    vendor="Gemini",
    sampling=DRAWING - {"logit_bias"} | {"max_tokens", "stop", "seed", "candidates"},
    drawing=frozenset(("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")),
    drawing_kind="sampling",
    stops=5,
    candidates=8,
    tiers={"auto": "", "default": ""},
    modalities=True,
)
