"""OpenAI's old completions, for clients that still speak them: a prompt in, text out.

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
)
from ampproxy.dialects.openai import OpenAIDialect
from ampproxy.dialects.openai_completions.passthrough import PASSTHROUGH
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.events import ChatResponse
from ampproxy.model.request import ChatRequest

__all__ = ["CompletionsDialect"]


class CompletionsDialect(OpenAIDialect):
    """See :class:`~ampproxy.dialects.base.Dialect`."""

    name = COMPLETIONS
    passthrough = PASSTHROUGH
    compacting: Compacting | None = None
    #: The answer's renderer repeats the prompt.
    harmless: Mapping[str, Callable[[bytes], bool]] = {"echo": anyhow}

    def parse_request(
        self, body: bytes, *, model: str | None = None, stream: bool | None = None
    ) -> ChatRequest:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_completions.request_in import parse_request

        return parse_request(body, model=model, stream=stream)

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_completions.request_out import render_request

        return render_request(request, target)

    def parse_response(self, body: bytes) -> ChatResponse:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_completions.response import parse_response

        return parse_response(body)

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_completions.response import render_response

        return render_response(response, context)

    def stream_parser(self) -> StreamParser:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_completions.stream_in import CompletionsStreamParser

        return CompletionsStreamParser()

    def stream_renderer(self, context: AnswerContext) -> StreamRenderer:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_completions.stream_out import CompletionsStreamRenderer

        return CompletionsStreamRenderer(context)


DIALECT = CompletionsDialect()
