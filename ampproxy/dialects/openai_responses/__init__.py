"""OpenAI Responses: ``POST /v1/responses``.

Each direction is loaded when it is first needed: where bytes pass, none is.
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
from ampproxy.dialects.openai_responses.passthrough import PASSTHROUGH
from ampproxy.model.base import RESPONSES
from ampproxy.model.events import ChatResponse, WireError
from ampproxy.model.request import ChatRequest
from ampproxy.wire.json import members, remove_members

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


class ResponsesDialect(OpenAIDialect):
    """Provides :class:`~ampproxy.dialects.base.Dialect`, which documents the methods."""

    name = RESPONSES
    passthrough = PASSTHROUGH
    compacting: Compacting | None = _Compaction()
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
        from ampproxy.dialects.openai_responses.request_in import parse_request

        return parse_request(body, model, stream)

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_responses.request_out import render_request

        return render_request(request, target)

    def parse_response(self, body: bytes) -> ChatResponse:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_responses.response import parse_response

        return parse_response(body)

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_responses.response import render_response

        return render_response(response, context)

    def stream_parser(self) -> StreamParser:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_responses.stream_in import ResponsesStreamParser

        return ResponsesStreamParser()

    def stream_renderer(self, context: AnswerContext) -> StreamRenderer:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        if context.request is not None and context.request.compacts:
            from ampproxy.dialects.openai_responses.compaction import SummaryRenderer

            return SummaryRenderer(context)
        from ampproxy.dialects.openai_responses.stream_out import ResponsesStreamRenderer

        return ResponsesStreamRenderer(context)

    def error_event(self, error: WireError) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_responses.stream_out import error_event

        return error_event(error)

    def count_request(self, body: bytes, model: str) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`: what ``POST /responses/input_tokens`` takes."""
        unwanted = (members(body) or {}).keys() - COUNTED
        return remove_members(body, frozenset(unwanted))

    def for_others(self, request: ChatRequest) -> ChatRequest:
        """See :func:`~ampproxy.dialects.openai_responses.state.self_contained`."""
        from ampproxy.dialects.openai_responses.state import self_contained

        return self_contained(request)


DIALECT = ResponsesDialect()
