"""OpenAI Chat Completions, for clients and for accounts: OpenAI's own and the many servers that follow it.

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
from ampproxy.dialects.openai_chat.passthrough import PASSTHROUGH
from ampproxy.model.base import CHAT
from ampproxy.model.events import ChatResponse
from ampproxy.model.request import ChatRequest

__all__ = ["ChatDialect"]


class ChatDialect(OpenAIDialect):
    """See :class:`~ampproxy.dialects.base.Dialect`."""

    name = CHAT
    passthrough = PASSTHROUGH
    compacting: Compacting | None = None
    harmless: Mapping[str, Callable[[bytes], bool]] = {
        "functions": anyhow,
        "safety_identifier": anyhow,
        "stream_options": anyhow,
        "prompt_cache_retention": anyhow,
        "store": one_of(b"false"),
    }

    def parse_request(
        self, body: bytes, *, model: str | None = None, stream: bool | None = None
    ) -> ChatRequest:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_chat.request_in import parse_request

        return parse_request(body, model=model, stream=stream)

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_chat.request_out import render_request

        return render_request(request, target)

    def parse_response(self, body: bytes) -> ChatResponse:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_chat.response import parse_response

        return parse_response(body)

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_chat.response import render_response

        return render_response(response, context)

    def stream_parser(self) -> StreamParser:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_chat.stream_in import ChatStreamParser

        return ChatStreamParser()

    def stream_renderer(self, context: AnswerContext) -> StreamRenderer:
        """See :class:`~ampproxy.dialects.base.Dialect`."""
        from ampproxy.dialects.openai_chat.stream_out import ChatStreamRenderer

        return ChatStreamRenderer(context)


DIALECT = ChatDialect()
