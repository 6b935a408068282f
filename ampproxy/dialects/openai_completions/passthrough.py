"""What passes of the old completions: their chunks; there is nothing to be rewritten but the model's name."""

from __future__ import annotations

from ampproxy.dialects.base import Passthrough
from ampproxy.dialects.limits import openai_limits
from ampproxy.dialects.openai_chunks import EVENTS, answer_usage, ends_well, is_answer

PASSTHROUGH = Passthrough(
    events=EVENTS, usage=answer_usage, is_answer=is_answer, ends_well=ends_well, limits=openai_limits
)
