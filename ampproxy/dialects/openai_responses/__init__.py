"""OpenAI Responses: ``POST /v1/responses``.

Beside the dialect, for those who serve it:

- :func:`self_contained` gives a request as another dialect may be asked it, and refuses one that refers
  to what the vendor stores (:func:`require_self_contained` only refuses);
- :func:`without_foreign_proofs` cleans a request that passes through untranslated;
- :func:`ampproxy.dialects.openai_responses.codex.constrain` fits a body to the backend of Codex logins.
"""

from __future__ import annotations

from ampproxy.dialects.base import AnswerContext, Dialect, StreamRenderer, anyhow, one_of
from ampproxy.dialects.openai import OPENAI
from ampproxy.dialects.openai_responses.compaction import Compaction, SummaryRenderer
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH, without_foreign_proofs
from ampproxy.dialects.openai_responses.request_in import parse_request
from ampproxy.dialects.openai_responses.request_out import for_counting, render_request
from ampproxy.dialects.openai_responses.response import parse_response, render_response
from ampproxy.dialects.openai_responses.state import require_self_contained, self_contained, stored_state
from ampproxy.dialects.openai_responses.stream_in import ResponsesStreamParser
from ampproxy.dialects.openai_responses.stream_out import ResponsesStreamRenderer, error_event
from ampproxy.model.base import RESPONSES

__all__ = ["DIALECT", "require_self_contained", "self_contained", "stored_state", "without_foreign_proofs"]


def _stream_renderer(context: AnswerContext) -> StreamRenderer:
    compacts = context.request is not None and context.request.compacts
    return SummaryRenderer(context) if compacts else ResponsesStreamRenderer(context)


DIALECT = Dialect(
    name=RESPONSES,
    passthrough=PASSTHROUGH,
    compacting=Compaction(),
    harmless={
        "store": one_of(b"false"),
        "background": one_of(b"false"),
        "truncation": one_of(b'"disabled"', b'"auto"'),
        "prompt_cache_retention": anyhow,
        "stream_options": anyhow,
    },
    parse_request=parse_request,
    for_others=self_contained,
    render_request=render_request,
    parse_response=parse_response,
    render_response=render_response,
    stream_parser=ResponsesStreamParser,
    stream_renderer=_stream_renderer,
    error_event=error_event,
    count_request=for_counting,
    **OPENAI,
)
