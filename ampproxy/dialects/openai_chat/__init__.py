"""OpenAI Chat Completions, for clients and for accounts: OpenAI's own and the many servers that follow it.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, anyhow, one_of
from ampproxy.dialects.openai import OPENAI, error_event, uncounted
from ampproxy.dialects.openai_chat.passthrough import PASSTHROUGH
from ampproxy.model.base import CHAT
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=CHAT,
    passthrough=PASSTHROUGH,
    harmless={
        "functions": anyhow,
        "safety_identifier": anyhow,
        "stream_options": anyhow,
        "prompt_cache_retention": anyhow,
        "store": one_of(b"false"),
    },
    parse_request=Late(f"{__name__}.request_in", "parse_request"),
    render_request=Late(f"{__name__}.request_out", "render_request"),
    parse_response=Late(f"{__name__}.response", "parse_response"),
    render_response=Late(f"{__name__}.response", "render_response"),
    stream_parser=Late(f"{__name__}.stream_in", "ChatStreamParser"),
    stream_renderer=Late(f"{__name__}.stream_out", "ChatStreamRenderer"),
    error_event=error_event,
    count_request=uncounted,
    **OPENAI,
)
