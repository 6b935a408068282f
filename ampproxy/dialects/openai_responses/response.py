"""Whole answers, both ways: the fold of the stream that would carry them."""

from __future__ import annotations

from msgspec.structs import replace

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.openai_responses.compaction import stream_renderer
from ampproxy.dialects.openai_responses.stream_in import ResponsesStreamParser
from ampproxy.model.events import ChatResponse, Event, PartStarted
from ampproxy.model.fold import fold, unfold
from ampproxy.model.parts import Reasoning, Signature


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer; see :class:`~ampproxy.dialects.base.Dialect`."""
    return fold(ResponsesStreamParser().whole(body))


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Write an answer: the object that ends the stream of it."""
    renderer, events = stream_renderer(context), unfold(response)
    parts = enumerate(part for candidate in response.candidates for part in candidate.parts)
    proofs = {number: part.signature for number, part in parts if isinstance(part, Reasoning)}
    renderer.feed([_with_proof(event, proofs) for event in events])
    assert renderer.final is not None  # unfold ends with Completed
    return renderer.final


def _with_proof(event: Event, proofs: dict[int, Signature | None]) -> Event:
    """Reasoning opened with its proof known, so that its item has the id which the proof belongs to."""
    if isinstance(event, PartStarted) and (signature := proofs.get(event.index)) is not None:
        return replace(event, part=replace(event.part, signature=signature))
    return event
