"""Google's ``generateContent``, as the Gemini API and Vertex AI speak it.

The model and whether to stream are in the path. Each direction is loaded when it is first needed: where bytes
pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects.base import Dialect, bodies, translation
from ampproxy.dialects.gemini import errors
from ampproxy.dialects.gemini.passthrough import PASSTHROUGH
from ampproxy.model.base import GEMINI
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=GEMINI,
    passthrough=PASSTHROUGH,
    **translation(__name__),
    stream_parser=Late(f"{__name__}.stream_in", "GeminiStreamParser"),
    stream_renderer=Late(f"{__name__}.stream_out", "GeminiStreamRenderer"),
    **bodies(errors),
    count_request=Late(f"{__name__}.request_out", "for_counting"),
)
