"""What is sent to Anthropic passes the vendor's own rules, as the strict stand-in checks them."""

from __future__ import annotations

import json
import unittest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.adapt.target import target_for
from ampproxy.dialects.anthropic import DIALECT
from ampproxy.dialects.base import Target
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.request import ChatRequest
from ampproxy.testing.anthropic_rules import MESSAGES, RULES
from tests import strategies

MODELS = (
    "claude-haiku-4-5-20251001",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-5",
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-fable-5-2",
    "claude-3-haiku-20240307",
    "x",
)


class _Trusting:
    """Knows every proof: those of the strategies were never issued."""

    def knows(self, value: object, about: str) -> bool:
        return isinstance(value, str)


def check(body: dict[str, Any]) -> None:
    """Refuse what the vendor refuses."""
    # Hosted tools are not in the stand-in's table.
    hosted = [tool for tool in body.get("tools", ()) if "type" in tool]
    MESSAGES(body | ({"tools": [t for t in body["tools"] if t not in hosted]} if hosted else {}), ())
    plainly = {
        **body,
        "tools": [{"input_schema": {"type": "object"}, **tool} for tool in body.get("tools", ())],
    }
    for rule in RULES:
        rule(plainly, _Trusting())


class RulesTests(unittest.TestCase):
    @given(strategies.requests(), st.sampled_from(MODELS))
    def test_requests_of_other_dialects_are_accepted(self, request: ChatRequest, model: str) -> None:
        """A client of another dialect never sees a 400 for what the translation should have put right."""
        target = target_for(ANTHROPIC, model)
        check(json.loads(DIALECT.render_request(request, target).body))

    @settings(max_examples=60, deadline=None)
    @given(strategies.requests(), st.sampled_from(["none", "level", "budget", "both"]), st.booleans())
    def test_any_model_that_cannot_stop_thinking(self, request: ChatRequest, kind: str, can: bool) -> None:
        """A small model with a small limit gets a request that it takes as well."""
        target = Target(
            "claude-opus-4-6", thinking=kind, can_disable=can, max_output=2048, budget=(1024, 1500)
        )
        body = json.loads(DIALECT.render_request(request, target).body)
        self.assertLessEqual(body["max_tokens"], 2048)
        self.assertLess(body.get("thinking", {}).get("budget_tokens", 0), body["max_tokens"])
