"""OpenAI Responses: ``POST /v1/responses``.

Beside the dialect, for those who serve it:

- :func:`~ampproxy.dialects.openai_responses.state.self_contained` gives a request as another dialect may be
  asked it, and refuses one that refers to what the vendor stores;
- :func:`~ampproxy.dialects.openai_responses.passthrough.without_foreign_proofs` cleans a request that
  passes through untranslated;
- :func:`ampproxy.dialects.openai_responses.codex.constrain` fits a body to the backend of Codex logins.
"""

from __future__ import annotations

from ampproxy.dialects.base import Compacting, Dialect, anyhow, one_of
from ampproxy.dialects.later import later
from ampproxy.dialects.openai import OPENAI
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH
from ampproxy.model.base import RESPONSES

DIALECT = Dialect(
    name=RESPONSES,
    passthrough=PASSTHROUGH,
    compacting=Compacting(
        request=later(__name__, "compaction.as_question"), answer=later(__name__, "compaction.compacted")
    ),
    harmless={
        "store": one_of(b"false"),
        "background": one_of(b"false"),
        "truncation": one_of(b'"disabled"', b'"auto"'),
        "prompt_cache_retention": anyhow,
        "stream_options": anyhow,
    },
    parse_request=later(__name__, "request_in.parse_request"),
    for_others=later(__name__, "state.self_contained"),
    render_request=later(__name__, "request_out.render_request"),
    parse_response=later(__name__, "response.parse_response"),
    render_response=later(__name__, "response.render_response"),
    stream_parser=later(__name__, "stream_in.ResponsesStreamParser"),
    stream_renderer=later(__name__, "compaction.stream_renderer"),
    error_event=later(__name__, "stream_out.error_event"),
    count_request=later(__name__, "request_out.for_counting"),
    **OPENAI,
)
