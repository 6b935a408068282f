"""Google's ``generateContent``, as the Gemini API and Vertex AI speak it.

Each direction is loaded when it is first needed: where bytes pass, none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ampproxy.dialects.base import (
    AnswerContext,
    Compacting,
    ModelInfo,
    Rendered,
    StreamParser,
    StreamRenderer,
    Target,
)
from ampproxy.dialects.common import bad_answer, encode, loads
from ampproxy.dialects.gemini import errors
from ampproxy.dialects.gemini.passthrough import PASSTHROUGH
from ampproxy.model.base import GEMINI
from ampproxy.model.events import ChatResponse, WireError
from ampproxy.model.request import ChatRequest


class GeminiDialect:
    """See :class:`ampproxy.dialects.base.Dialect`. The model and whether to stream are in the path."""

    name = GEMINI
    passthrough = PASSTHROUGH
    compacting: Compacting | None = None
    harmless: Mapping[str, Callable[[bytes], bool]] = {}

    def error_body(self, error: WireError) -> bytes:
        """The JSON body of an error response."""
        return errors.error_body(error)

    def error_event(self, error: WireError) -> bytes:
        """The wire event that tells of an error after the stream began."""
        return errors.error_event(error)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """What a vendor's error response says. ``headers`` have lower-case names. Never raises."""
        return errors.error_of(body, status, headers)

    def models_body(self, models: Sequence[ModelInfo]) -> bytes:
        """The answer of the dialect's list of models."""
        return errors.models_body(models)

    def model_body(self, model: ModelInfo) -> bytes:
        """The answer for one model."""
        return encode(errors.model_members(model))

    def parse_request(
        self, body: bytes, *, model: str | None = None, stream: bool | None = None
    ) -> ChatRequest:
        """Read a client's request, or one to count its tokens.

        :raises ampproxy.errors.ClientFault: it is not valid; the message names the member.
        """
        from ampproxy.dialects.gemini.request_in import parse_request

        return parse_request(body, model, stream)

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        """Say a request to ``target``. What cannot be said is a loss."""
        from ampproxy.dialects.gemini.request_out import render_request

        return render_request(request, target)

    def parse_response(self, body: bytes) -> ChatResponse:
        """Read a vendor's whole answer.

        :raises ampproxy.errors.UpstreamFault: it is not one, or it tells of an error.
        """
        from ampproxy.dialects.gemini.response import parse_response

        return parse_response(body)

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        """Say a whole answer to a client."""
        from ampproxy.dialects.gemini.response import render_response

        return render_response(response, context)

    def stream_parser(self) -> StreamParser:
        """A parser for one stream, in either framing."""
        from ampproxy.dialects.gemini.stream_in import GeminiStreamParser

        return GeminiStreamParser()

    def stream_renderer(self, context: AnswerContext) -> StreamRenderer:
        """A renderer for one stream, in the framing that the context names."""
        from ampproxy.dialects.gemini.stream_out import GeminiStreamRenderer

        return GeminiStreamRenderer(context, context.framing)

    def count_request(self, body: bytes, model: str) -> bytes:
        """The whole request, wrapped: alone, ``contents`` would be counted without system and tools."""
        rest = body.lstrip()[1:]
        return b'{"generateContentRequest":{"model":' + encode(f"models/{model}") + b"," + rest + b"}"

    def parse_count(self, body: bytes) -> int:
        """Input tokens, from a vendor's answer to a counting request.

        :raises ampproxy.errors.UpstreamFault: it is not one.
        """
        found = loads(body)
        total = found.get("totalTokens") if isinstance(found, dict) else None
        if not isinstance(total, int) or isinstance(total, bool) or total < 0:
            raise bad_answer("The vendor's answer has no number in totalTokens.")
        return total

    def count_body(self, tokens: int) -> bytes:
        """The answer to a client's counting request."""
        return encode({"totalTokens": tokens})

    def for_others(self, request: ChatRequest) -> ChatRequest:
        """The same: nothing of it is stored at the vendor."""
        return request


DIALECT = GeminiDialect()
