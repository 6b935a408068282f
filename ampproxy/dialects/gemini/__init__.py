"""Google's ``generateContent``, as the Gemini API and Vertex AI speak it.

The model and whether to stream are in the path.
"""

from __future__ import annotations

from ampproxy.dialects.base import Dialect
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
from ampproxy.dialects.later import later
from ampproxy.model.base import GEMINI

DIALECT = Dialect(
    name=GEMINI,
    passthrough=PASSTHROUGH,
    parse_request=later(__name__, "request_in.parse_request"),
    render_request=later(__name__, "request_out.render_request"),
    parse_response=later(__name__, "response.parse_response"),
    render_response=later(__name__, "response.render_response"),
    stream_parser=later(__name__, "stream_in.GeminiStreamParser"),
    stream_renderer=later(__name__, "stream_out.GeminiStreamRenderer"),
    error_body=error_body,
    error_event=error_event,
    parse_error=parse_error,
    models_body=models_body,
    model_body=model_body,
    count_request=later(__name__, "request_out.for_counting"),
    parse_count=parse_count,
    count_body=count_body,
)
