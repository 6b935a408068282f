"""OpenAI Chat Completions, for clients and for accounts: OpenAI's own and the many servers that follow it."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, anyhow, one_of
from ampproxy.dialects.openai import OPENAI, error_event, uncounted
from ampproxy.dialects.openai_chat.passthrough import PASSTHROUGH
from ampproxy.dialects.openai_chat.request_in import parse_request
from ampproxy.dialects.openai_chat.request_out import render_request
from ampproxy.dialects.openai_chat.response import parse_response, render_response
from ampproxy.dialects.openai_chat.stream_in import ChatStreamParser
from ampproxy.dialects.openai_chat.stream_out import ChatStreamRenderer
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
    parse_request=parse_request,
    render_request=render_request,
    parse_response=parse_response,
    render_response=render_response,
    stream_parser=ChatStreamParser,
    stream_renderer=ChatStreamRenderer,
    error_event=error_event,
    count_request=uncounted,
    **OPENAI,
)
