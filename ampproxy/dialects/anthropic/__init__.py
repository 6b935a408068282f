"""Anthropic Messages.

Source: the vendor's API reference and the type definitions of its SDK. Each direction is loaded when it is
first needed: where bytes pass, none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ampproxy.dialects.anthropic import errors
from ampproxy.dialects.anthropic.passthrough import PASSTHROUGH
from ampproxy.dialects.base import (
    AnswerContext,
    Compacting,
    ModelInfo,
    Rendered,
    StreamParser,
    StreamRenderer,
    Target,
)
from ampproxy.dialects.common import encode
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.events import ChatResponse, WireError
from ampproxy.model.request import ChatRequest


def _as_elsewhere(thinking: bytes) -> bool:
    # No other vendor has a place for thinking between calls alone.
    return b'"between_tools"' not in thinking


class AnthropicDialect:
    """Messages, both ways (:class:`~ampproxy.dialects.base.Dialect`). Has no state."""

    name = ANTHROPIC
    passthrough = PASSTHROUGH
    compacting: Compacting | None = None
    #: The client's own words, beside ``ChatRequest.thinking`` that says the same.
    harmless: Mapping[str, Callable[[bytes], bool]] = {"thinking": _as_elsewhere}

    def parse_request(
        self, body: bytes, *, model: str | None = None, stream: bool | None = None
    ) -> ChatRequest:
        """See :meth:`Dialect.parse_request <ampproxy.dialects.base.Dialect.parse_request>`."""
        from ampproxy.dialects.anthropic.request_in import parse_request

        return parse_request(body, model, stream)

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        """See :meth:`Dialect.render_request <ampproxy.dialects.base.Dialect.render_request>`."""
        from ampproxy.dialects.anthropic.request_out import render_request

        return render_request(request, target)

    def parse_response(self, body: bytes) -> ChatResponse:
        """See :meth:`Dialect.parse_response <ampproxy.dialects.base.Dialect.parse_response>`."""
        from ampproxy.dialects.anthropic.response import parse_response

        return parse_response(body)

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        """See :meth:`Dialect.render_response <ampproxy.dialects.base.Dialect.render_response>`."""
        from ampproxy.dialects.anthropic.response import render_response

        return render_response(response, context)

    def stream_parser(self) -> StreamParser:
        """A parser for one stream."""
        from ampproxy.dialects.anthropic.stream_in import AnthropicStreamParser

        return AnthropicStreamParser()

    def stream_renderer(self, context: AnswerContext) -> StreamRenderer:
        """A renderer for one stream."""
        from ampproxy.dialects.anthropic.stream_out import AnthropicStreamRenderer

        return AnthropicStreamRenderer(context)

    def error_body(self, error: WireError) -> bytes:
        """``{"type": "error", "error": {"type", "message"}}``."""
        return errors.error_body(error)

    def error_event(self, error: WireError) -> bytes:
        """``event: error`` with the same body."""
        return errors.error_event(error)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """See :meth:`ErrorDialect.parse_error <ampproxy.dialects.base.ErrorDialect.parse_error>`."""
        return errors.parse_error(status, headers, body)

    def models_body(self, models: Sequence[ModelInfo]) -> bytes:
        """The list of models, as one page."""
        return errors.models_body(models)

    def model_body(self, model: ModelInfo) -> bytes:
        """One model."""
        return encode(errors.model_members(model))

    def count_request(self, body: bytes, model: str) -> bytes:
        """The counting request of a rendered body: without what belongs to an answer."""
        from ampproxy.dialects.anthropic.request_out import for_counting

        return for_counting(body)

    def parse_count(self, body: bytes) -> int:
        """Input tokens, from the answer to ``count_tokens``.

        :raises ampproxy.errors.UpstreamFault: it is not one.
        """
        return errors.parse_count(body)

    def count_body(self, tokens: int) -> bytes:
        """The answer to ``count_tokens``."""
        return errors.count_body(tokens)

    def for_others(self, request: ChatRequest) -> ChatRequest:
        """With the tools that the client runs as functions; nothing of it is stored at the vendor."""
        from ampproxy.dialects.anthropic.client_tools import as_functions

        return as_functions(request)


DIALECT = AnthropicDialect()
