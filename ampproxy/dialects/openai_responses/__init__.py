"""OpenAI Responses: ``POST /v1/responses``.

:class:`ResponsesDialect` is the dialect. Beside it, for those who serve this dialect:

- :func:`self_contained` gives a request as another dialect may be asked it, and refuses one that refers
  to what the vendor stores (:func:`require_self_contained` only refuses);
- :func:`without_foreign_proofs` cleans a request that passes through untranslated;
- :func:`ampproxy.dialects.openai_responses.codex.constrain` fits a body to the backend of Codex logins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ampproxy.dialects.base import (
    AnswerContext,
    Compacting,
    Rendered,
    StreamParser,
    StreamRenderer,
    Target,
    anyhow,
    one_of,
)
from ampproxy.dialects.openai import OpenAIDialect
from ampproxy.dialects.openai_responses import request_in, request_out, stream_out
from ampproxy.dialects.openai_responses import response as answers
from ampproxy.dialects.openai_responses.compaction import Compaction, SummaryRenderer
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH, without_foreign_proofs
from ampproxy.dialects.openai_responses.state import require_self_contained, self_contained, stored_state
from ampproxy.dialects.openai_responses.stream_in import ResponsesStreamParser
from ampproxy.dialects.openai_responses.stream_out import ResponsesStreamRenderer
from ampproxy.model.base import RESPONSES
from ampproxy.model.events import ChatResponse, WireError
from ampproxy.model.request import ChatRequest
from ampproxy.wire.json import members, remove_members

__all__ = [
    "ResponsesDialect",
    "require_self_contained",
    "self_contained",
    "stored_state",
    "without_foreign_proofs",
]


#: The members of a counting request.
COUNTED = frozenset(
    (
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    )
)


class ResponsesDialect(OpenAIDialect):
    """Provides :class:`~ampproxy.dialects.base.Dialect`, which documents the methods."""

    name = RESPONSES
    passthrough = PASSTHROUGH
    compacting: Compacting | None = Compaction()
    harmless: Mapping[str, Callable[[bytes], bool]] = {
        "store": one_of(b"false"),
        "background": one_of(b"false"),
        "truncation": one_of(b'"disabled"', b'"auto"'),
        "prompt_cache_retention": anyhow,
        "stream_options": anyhow,
    }

    def parse_request(
        self, body: bytes, *, model: str | None = None, stream: bool | None = None
    ) -> ChatRequest:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        return request_in.parse_request(body, model, stream)

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        return request_out.render_request(request, target)

    def parse_response(self, body: bytes) -> ChatResponse:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        return answers.parse_response(body)

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        return answers.render_response(response, context)

    def stream_parser(self) -> StreamParser:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        return ResponsesStreamParser()

    def stream_renderer(self, context: AnswerContext) -> StreamRenderer:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        if context.request is not None and context.request.compacts:
            return SummaryRenderer(context)
        return ResponsesStreamRenderer(context)

    def error_event(self, error: WireError) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        return stream_out.error_event(error)

    def count_request(self, body: bytes, model: str) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`: what ``POST /responses/input_tokens`` takes."""
        unwanted = (members(body) or {}).keys() - COUNTED
        return remove_members(body, frozenset(unwanted))

    def for_others(self, request: ChatRequest) -> ChatRequest:
        """See :func:`~ampproxy.dialects.openai_responses.state.self_contained`."""
        return self_contained(request)


DIALECT = ResponsesDialect()
