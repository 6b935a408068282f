"""What is sent is accepted by a stand-in that keeps Google's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from ampproxy.adapt.target import target_for
from ampproxy.dialects.gemini import DIALECT
from ampproxy.model.request import ChatRequest
from ampproxy.testing.gemini_rules import GENERATE, RULES, camel
from tests import strategies
from tests.dialects.laws import VECTORS, quick

MODELS = (
    "gemini-4-neon",
    "gemini-4-argon",
    "gemini-3.8-flash",
    "gemini-pro-latest",
    "gemini-3-flash-preview",
    "gemini-3-pro-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.0-flash",
)


class Seal:
    """Takes any signature for one of its own: whose it is, the laws check."""

    def knows(self, value: str, kind: str) -> bool:
        return True


def check(body: bytes, model: str) -> None:
    """Raises what Google would refuse."""
    said: Any = camel(json.loads(body))
    GENERATE[True](said, ())
    for rule in RULES:
        rule(said, model, Seal())  # type: ignore[arg-type]


@quick
@given(strategies.requests(dialect="anthropic"))
def test_any_request_is_accepted(request: ChatRequest) -> None:
    """However wild the history, Google has nothing to refuse."""
    for model in MODELS:
        check(DIALECT.render_request(request, target_for("gemini", model)).body, model)


@pytest.mark.parametrize("model", MODELS)
def test_own_vectors_are_accepted(model: str) -> None:
    """So are requests of Gemini's own clients, at every model."""
    for path in sorted((VECTORS / "gemini" / "requests").glob("*.json")):
        request = DIALECT.parse_request(path.read_bytes(), model=model, stream=False)
        body = json.loads(DIALECT.render_request(request, target_for("gemini", model)).body)
        for content in body["contents"]:
            for part in content["parts"]:
                part.pop("partMetadata", None)
        check(json.dumps(body).encode(), model)
