"""OpenAI Chat Completions, for clients and for accounts: OpenAI's own and the many servers that follow it."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, anyhow, one_of
from ampproxy.dialects.later import later
from ampproxy.dialects.openai import OPENAI, error_event, uncounted
from ampproxy.dialects.openai_chat.passthrough import PASSTHROUGH
from ampproxy.model.base import CHAT

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
    parse_request=later(__name__, "request_in.parse_request"),
    render_request=later(__name__, "request_out.render_request"),
    parse_response=later(__name__, "response.parse_response"),
    render_response=later(__name__, "response.render_response"),
    stream_parser=later(__name__, "stream_in.ChatStreamParser"),
    stream_renderer=later(__name__, "stream_out.ChatStreamRenderer"),
    error_event=error_event,
    count_request=uncounted,
    **OPENAI,
)
