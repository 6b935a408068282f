"""Anthropic Messages.

Source: the vendor's API reference and the type definitions of its SDK. Each direction is loaded when it is
first needed: where bytes pass, none is.
"""

from __future__ import annotations

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
from ampproxy.dialects.base import Dialect, translation
from ampproxy.model.base import ANTHROPIC
from ampproxy.wire.late import Late


def _as_elsewhere(thinking: bytes) -> bool:
    # No other vendor has a place for thinking between calls alone.
    return b'"between_tools"' not in thinking


DIALECT = Dialect(
    name=ANTHROPIC,
    passthrough=PASSTHROUGH,
    **translation(__name__),
    # The client's own words, beside ``ChatRequest.thinking`` that means the same.
    harmless={"thinking": _as_elsewhere},
    for_others=Late(f"{__name__}.request_in", "for_others"),
    stream_parser=Late(f"{__name__}.stream_in", "AnthropicStreamParser"),
    stream_renderer=Late(f"{__name__}.stream_out", "AnthropicStreamRenderer"),
    error_body=error_body,
    error_event=error_event,
    parse_error=parse_error,
    models_body=models_body,
    model_body=model_body,
    count_request=Late(f"{__name__}.request_out", "for_counting"),
    parse_count=parse_count,
    count_body=count_body,
)
