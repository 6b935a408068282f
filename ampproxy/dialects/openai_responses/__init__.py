"""OpenAI Responses: ``POST /v1/responses``.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects.base import Compacting, Dialect, anyhow, one_of
from ampproxy.dialects.openai import OPENAI
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH
from ampproxy.model.base import RESPONSES
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=RESPONSES,
    passthrough=PASSTHROUGH,
    compacting=Compacting(
        request=Late(f"{__name__}.compaction", "as_question"),
        answer=Late(f"{__name__}.compaction", "compacted"),
    ),
    harmless={
        "store": one_of(b"false"),
        "background": one_of(b"false"),
        "truncation": one_of(b'"disabled"', b'"auto"'),
        "prompt_cache_retention": anyhow,
        "stream_options": anyhow,
    },
    parse_request=Late(f"{__name__}.request_in", "parse_request"),
    for_others=Late(f"{__name__}.state", "self_contained"),
    render_request=Late(f"{__name__}.request_out", "render_request"),
    parse_response=Late(f"{__name__}.response", "parse_response"),
    render_response=Late(f"{__name__}.response", "render_response"),
    stream_parser=Late(f"{__name__}.stream_in", "ResponsesStreamParser"),
    stream_renderer=Late(f"{__name__}.compaction", "stream_renderer"),
    error_event=Late(f"{__name__}.stream_out", "error_event"),
    count_request=Late(f"{__name__}.request_out", "for_counting"),
    **OPENAI,
)
