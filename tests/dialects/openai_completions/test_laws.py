"""The laws of all dialects, held by the old completions as far as they can."""

from __future__ import annotations

import re
import unittest
from typing import Any

from ampproxy.dialects.openai_completions import DIALECT
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.events import ChatResponse, Event
from ampproxy.model.request import ChatRequest
from tests.dialects.laws import VECTORS, DialectLaws, context_for, plain


class CompletionsLaws(DialectLaws, unittest.TestCase):
    """The battery."""

    dialect = DIALECT
    vectors = VECTORS / "openai-completions"
    terminal = re.compile(rb'"finish_reason":"')

    def normal_request(self, body: Any) -> Any:
        """One prompt may stand in a list, one stop word alone; what is null or off says nothing."""
        body = {name: value for name, value in body.items() if value not in (None, False)}
        if isinstance(body["prompt"], list):
            (body["prompt"],) = body["prompt"]
        if isinstance(body.get("stop"), str):
            body["stop"] = [body["stop"]]
        for ours in ("stream_options", "best_of"):
            body.pop(ours, None)
        return body

    def normal_response(self, body: Any) -> Any:
        """Details of usage that are nought say nothing."""
        usage = {
            name: value for name, value in body.get("usage", {}).items() if not name.endswith("_details")
        }
        return {**body, "usage": usage}

    def normal_fold(self, response: ChatResponse) -> Any:
        """An answer has one text."""
        told = plain(response)
        told["dialect"] = None
        for candidate in told["candidates"]:
            candidate["finish"]["detail"] = None
            candidate["parts"] = "".join(part["text"] for part in candidate["parts"])
        return told

    def rendered(self, events: list[Event], *, model: str = "model-1") -> bytes:
        """As a client reads it that asked for usage."""
        request = ChatRequest(dialect=COMPLETIONS, model=model, turns=(), include_usage=True)
        return self.dialect.stream_renderer(context_for(model, request)).feed(events)

    def test_overlapping_parts_are_said_soundly(self) -> None:
        """Texts do not overlap in any dialect, and calls are not told here."""


del DialectLaws
