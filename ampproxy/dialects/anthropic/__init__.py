"""Anthropic Messages.

Source: the vendor's API reference and the type definitions of its SDK.
"""

from __future__ import annotations

from ampproxy.dialects.anthropic.client_tools import as_functions
from ampproxy.dialects.anthropic.errors import (
    count_body,
    error_body,
    error_event,
    model_body,
    models_body,
    parse_count,
    parse_error,
)
from ampproxy.dialects.anthropic.passthrough import PASSTHROUGH
from ampproxy.dialects.anthropic.request_in import parse_request
from ampproxy.dialects.anthropic.request_out import for_counting, render_request
from ampproxy.dialects.anthropic.response import parse_response, render_response
from ampproxy.dialects.anthropic.stream_in import AnthropicStreamParser
from ampproxy.dialects.anthropic.stream_out import AnthropicStreamRenderer
from ampproxy.dialects.base import Dialect
from ampproxy.model.base import ANTHROPIC


def _as_elsewhere(thinking: bytes) -> bool:
    # No other vendor has a place for thinking between calls alone.
    return b'"between_tools"' not in thinking


DIALECT = Dialect(
    name=ANTHROPIC,
    passthrough=PASSTHROUGH,
    # The client's own words, beside ``ChatRequest.thinking`` that says the same.
    harmless={"thinking": _as_elsewhere},
    parse_request=parse_request,
    for_others=as_functions,
    render_request=render_request,
    parse_response=parse_response,
    render_response=render_response,
    stream_parser=AnthropicStreamParser,
    stream_renderer=AnthropicStreamRenderer,
    error_body=error_body,
    error_event=error_event,
    parse_error=parse_error,
    models_body=models_body,
    model_body=model_body,
    count_request=for_counting,
    parse_count=parse_count,
    count_body=count_body,
)
