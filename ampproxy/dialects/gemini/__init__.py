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
from ampproxy.dialects.gemini.request_in import parse_request
from ampproxy.dialects.gemini.request_out import for_counting, render_request
from ampproxy.dialects.gemini.response import parse_response, render_response
from ampproxy.dialects.gemini.stream_in import GeminiStreamParser
from ampproxy.dialects.gemini.stream_out import GeminiStreamRenderer
from ampproxy.model.base import GEMINI

DIALECT = Dialect(
    name=GEMINI,
    passthrough=PASSTHROUGH,
    parse_request=parse_request,
    render_request=render_request,
    parse_response=parse_response,
    render_response=render_response,
    stream_parser=GeminiStreamParser,
    stream_renderer=GeminiStreamRenderer,
    error_body=error_body,
    error_event=error_event,
    parse_error=parse_error,
    models_body=models_body,
    model_body=model_body,
    count_request=for_counting,
    parse_count=parse_count,
    count_body=count_body,
)
