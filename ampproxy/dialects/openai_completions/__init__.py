"""OpenAI's old completions, for clients that still speak them: a prompt in, text out."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, anyhow
from ampproxy.dialects.later import later
from ampproxy.dialects.openai import OPENAI, error_event, uncounted
from ampproxy.dialects.openai_completions.passthrough import PASSTHROUGH
from ampproxy.model.base import COMPLETIONS

DIALECT = Dialect(
    name=COMPLETIONS,
    passthrough=PASSTHROUGH,
    # The answer's renderer repeats the prompt.
    harmless={"echo": anyhow},
    parse_request=later(__name__, "request_in.parse_request"),
    render_request=later(__name__, "request_out.render_request"),
    parse_response=later(__name__, "response.parse_response"),
    render_response=later(__name__, "response.render_response"),
    stream_parser=later(__name__, "stream_in.CompletionsStreamParser"),
    stream_renderer=later(__name__, "stream_out.CompletionsStreamRenderer"),
    error_event=error_event,
    count_request=uncounted,
    **OPENAI,
)
