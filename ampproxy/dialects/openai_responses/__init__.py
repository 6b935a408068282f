"""OpenAI Responses: ``POST /v1/responses``.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects import openai
from ampproxy.dialects.base import Compacting, Dialect, anyhow, bodies, one_of, translation
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH
from ampproxy.model.base import RESPONSES
from ampproxy.wire.late import Late

DIALECT = Dialect(
    name=RESPONSES,
    passthrough=PASSTHROUGH,
    **translation(__name__),
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
    for_others=Late(f"{__name__}.for_others", "self_contained"),
    stream_parser=Late(f"{__name__}.stream_in", "ResponsesStreamParser"),
    stream_renderer=Late(f"{__name__}.compaction", "stream_renderer"),
    count_request=Late(f"{__name__}.request_out", "for_counting"),
    **{
        **bodies(openai),
        "models_body": openai.codex_models_body,
        "error_event": Late(f"{__name__}.stream_out", "error_event"),
    },
)
