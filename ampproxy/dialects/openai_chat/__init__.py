"""OpenAI Chat Completions, for clients and for accounts: OpenAI's own and the many servers that follow it.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects import openai
from ampproxy.dialects.base import Dialect, anyhow, bodies, one_of, translation
from ampproxy.dialects.openai_chat.passthrough import PASSTHROUGH
from ampproxy.model.base import CHAT
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=CHAT,
    passthrough=PASSTHROUGH,
    unmarked_thoughts=True,
    **translation(__name__),
    harmless={
        "functions": anyhow,
        "safety_identifier": anyhow,
        "stream_options": anyhow,
        "prompt_cache_retention": anyhow,
        "store": one_of(b"false"),
    },
    for_others=Late(f"{__name__}.request_in", "for_others"),
    stream_parser=Late(f"{__name__}.stream_in", "ChatStreamParser"),
    stream_renderer=Late(f"{__name__}.stream_out", "ChatStreamRenderer"),
    **bodies(openai),
)
