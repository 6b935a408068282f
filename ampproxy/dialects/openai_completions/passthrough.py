"""What passes of the old completions: their chunks; there is nothing to be rewritten but the model's name."""

from __future__ import annotations

from ampproxy.dialects.base import Passthrough
from ampproxy.dialects.openai_chunks import EVENTS, answer_usage, ends_well, is_answer
from ampproxy.dialects.openai_limits import limit_headers

PASSTHROUGH = Passthrough(
    events=EVENTS, usage=answer_usage, is_answer=is_answer, ends_well=ends_well, limits=limit_headers
)
