"""OpenAI's old completions, for clients that still speak them: a prompt in, text out."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, anyhow
from ampproxy.dialects.openai import OPENAI, error_event, uncounted
from ampproxy.dialects.openai_completions.passthrough import PASSTHROUGH
from ampproxy.dialects.openai_completions.request_in import parse_request
from ampproxy.dialects.openai_completions.request_out import render_request
from ampproxy.dialects.openai_completions.response import parse_response, render_response
from ampproxy.dialects.openai_completions.stream_in import CompletionsStreamParser
from ampproxy.dialects.openai_completions.stream_out import CompletionsStreamRenderer
from ampproxy.model.base import COMPLETIONS

DIALECT = Dialect(
    name=COMPLETIONS,
    passthrough=PASSTHROUGH,
    # The answer's renderer repeats the prompt.
    harmless={"echo": anyhow},
    parse_request=parse_request,
    render_request=render_request,
    parse_response=parse_response,
    render_response=render_response,
    stream_parser=CompletionsStreamParser,
    stream_renderer=CompletionsStreamRenderer,
    error_event=error_event,
    count_request=uncounted,
    **OPENAI,
)
