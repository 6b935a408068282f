"""Google's ``generateContent``, as the Gemini API and Vertex AI speak it.

The model and whether to stream are in the path. Each direction is loaded when it is first needed: where bytes
pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, translation
from ampproxy.dialects.gemini.errors import (
    count_body,
    error_body,
    error_event,
    model_body,
    models_body,
    parse_count,
    parse_error,
)
from ampproxy.dialects.gemini.passthrough import PASSTHROUGH
from ampproxy.model.base import GEMINI
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=GEMINI,
    passthrough=PASSTHROUGH,
    **translation(__name__),
    stream_parser=Late(f"{__name__}.stream_in", "GeminiStreamParser"),
    stream_renderer=Late(f"{__name__}.stream_out", "GeminiStreamRenderer"),
    error_body=error_body,
    error_event=error_event,
    parse_error=parse_error,
    models_body=models_body,
    model_body=model_body,
    count_request=Late(f"{__name__}.request_out", "for_counting"),
    parse_count=parse_count,
    count_body=count_body,
)
