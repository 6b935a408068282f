"""OpenAI's old completions, for clients that still speak them: a prompt in, text out.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects import openai
from ampproxy.dialects.base import Dialect, anyhow, bodies, translation
from ampproxy.dialects.openai_completions.passthrough import PASSTHROUGH
from ampproxy.model.base import COMPLETIONS
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=COMPLETIONS,
    passthrough=PASSTHROUGH,
    **translation(__name__),
    # The answer's renderer repeats the prompt.
    harmless={"echo": anyhow},
    stream_parser=Late(f"{__name__}.stream_in", "CompletionsStreamParser"),
    stream_renderer=Late(f"{__name__}.stream_out", "CompletionsStreamRenderer"),
    **bodies(openai),
)
