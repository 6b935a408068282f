"""OpenAI Responses: ``POST /v1/responses``.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from ampproxy.dialects.base import AnswerContext, Dialect, StreamRenderer, anyhow, one_of
from ampproxy.dialects.openai import OPENAI
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH
from ampproxy.model.base import RESPONSES
from ampproxy.model.events import ChatResponse
from ampproxy.wire.late import Late


class _Compaction:
    """See :class:`~ampproxy.dialects.openai_responses.compaction.Compaction`."""

    def request(self, body: bytes) -> bytes:
        """See :class:`~ampproxy.dialects.base.Compacting`."""
        from ampproxy.dialects.openai_responses.compaction import Compaction

        return Compaction().request(body)

    def answer(self, response: ChatResponse, context: AnswerContext, asked: bytes) -> bytes:
        """See :class:`~ampproxy.dialects.base.Compacting`."""
        from ampproxy.dialects.openai_responses.compaction import Compaction

        return Compaction().answer(response, context, asked)


def _stream_renderer(context: AnswerContext) -> StreamRenderer:
    compacts = context.request is not None and context.request.compacts
    renderer: StreamRenderer = (_SUMMARY if compacts else _ANSWER)(context)
    return renderer


_SUMMARY = Late(f"{__name__}.compaction", "SummaryRenderer")
_ANSWER = Late(f"{__name__}.stream_out", "ResponsesStreamRenderer")


DIALECT = Dialect(
    name=RESPONSES,
    passthrough=PASSTHROUGH,
    compacting=_Compaction(),
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
    stream_renderer=_stream_renderer,
    error_event=Late(f"{__name__}.stream_out", "error_event"),
    count_request=Late(f"{__name__}.request_out", "for_counting"),
    **OPENAI,
)
