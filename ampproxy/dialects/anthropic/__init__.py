"""Anthropic Messages.

Source: the vendor's API reference and the type definitions of its SDK. Each direction is loaded when it is
first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects.anthropic import errors
from ampproxy.dialects.anthropic.passthrough import PASSTHROUGH
from ampproxy.dialects.base import Dialect, bodies, translation
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
    **bodies(errors),
    count_request=Late(f"{__name__}.request_out", "for_counting"),
)
