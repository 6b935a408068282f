"""Whole answers, errors, lists and counts."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.anthropic import DIALECT
from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.proof import place_of, unwrap_signature
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.events import Candidate, ChatResponse, Finished, Usage, WireError
from ampproxy.model.parts import Audio, Inline, Reasoning, Refusal, Signature, Text, ToolCall
from tests.dialects.laws import context_for

GEMINI = Signature("gemini", "Zm9v")


def said(*parts: Any, finish: Finished | None = None, usage: Usage | None = None) -> Any:
    response = ChatResponse(id="x", candidates=(Candidate(parts, finish),), usage=usage)
    return json.loads(DIALECT.render_response(response, context_for("asked")))


class AnswerTests(unittest.TestCase):
    def test_answer_of_another_vendor(self) -> None:
        """A client sees a message in the vendor's own form, whoever answered."""
        told = said(
            Reasoning("hm", GEMINI),
            Reasoning("", GEMINI),
            Text("hi"),
            Text(""),
            ToolCall("c1", "Bash", '{"n": 12345678901234567890}', signature=GEMINI),
            finish=Finished("stop"),
            usage=Usage(1, 2, 3, 4),
        )
        self.assertEqual((told["type"], told["role"], told["model"]), ("message", "assistant", "asked"))
        self.assertEqual(
            [block["type"] for block in told["content"]],
            ["thinking", "redacted_thinking", "text", "redacted_thinking", "tool_use"],
        )
        data = told["content"][3]["data"]
        self.assertEqual((unwrap_signature(data, ANTHROPIC), place_of(data)), (GEMINI, "call"))
        self.assertEqual(told["content"][4]["input"], {"n": 12345678901234567890})
        self.assertEqual(told["stop_reason"], "tool_use")
        self.assertEqual(
            told["usage"],
            {
                "input_tokens": 1,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 3,
                "output_tokens": 4,
            },
        )

    def test_nothing_refused_and_heard(self) -> None:
        """An empty answer is valid; words of refusal and of sound are kept."""
        self.assertEqual((said()["content"], said()["stop_reason"]), ([], "end_turn"))
        told = said(Refusal("no"), Audio(Inline("audio/wav", "aGk="), "hello"), finish=Finished("refusal"))
        self.assertEqual([block["text"] for block in told["content"]], ["no", "hello"])
        self.assertEqual(told["stop_reason"], "refusal")

    def test_answer_without_proof_has_a_signature(self) -> None:
        """Amp fails on thinking without a signature member."""
        self.assertEqual(said(Reasoning("hm"))["content"][0]["signature"], "")

    def test_what_is_no_message(self) -> None:
        """A page, an error in place of an answer, or a list is the vendor's fault."""
        for body in [
            b"",
            b"[]",
            b"<html>",
            b'{"type":"error","error":{}}',
            b'{"type":"message"}',
            b'{"type":"message","content":7}',
        ]:
            with self.subTest(body), self.assertRaises(UpstreamFault):
                DIALECT.parse_response(body)


class ErrorTests(unittest.TestCase):
    def test_vendors_errors(self) -> None:
        """Each error type says its kind, and the vendor's sentence and status are kept."""
        for status, name, message, kind in [
            (400, "invalid_request_error", "bad", "invalid_request"),
            (
                400,
                "invalid_request_error",
                "prompt is too long: 210000 tokens > 200000 maximum",
                "context_length",
            ),
            (401, "authentication_error", "invalid x-api-key", "authentication"),
            (402, "billing_error", "x", "billing"),
            (403, "permission_error", "x", "permission"),
            (404, "not_found_error", "model: x", "not_found"),
            (413, "request_too_large", "x", "too_large"),
            (429, "rate_limit_error", "x", "rate_limit"),
            (500, "api_error", "x", "internal"),
            (529, "overloaded_error", "Overloaded", "overloaded"),
            (429, "brand_new_error", "x", "rate_limit"),
        ]:
            body = json.dumps({"type": "error", "error": {"type": name, "message": message}}).encode()
            error = DIALECT.parse_error(status, {"retry-after": "3", "request-id": "req_1"}, body)
            with self.subTest(name, message=message):
                self.assertEqual((error.kind, error.message, error.status), (kind, message, status))
                self.assertEqual((error.retry_after, error.request_id), (3.0, "req_1"))
                if name != "brand_new_error":
                    self.assertEqual(json.loads(DIALECT.error_body(error))["error"]["type"], name)

    def test_errors_of_others(self) -> None:
        """An error of any kind has one of the vendor's types."""
        told = json.loads(DIALECT.error_body(WireError("not_implemented", "No.", 501, "server_error")))
        self.assertEqual(told, {"type": "error", "error": {"type": "api_error", "message": "No."}})
        event = DIALECT.error_event(WireError("rate_limit", "Slow down.", 429))
        self.assertTrue(event.startswith(b"event: error\ndata: {") and event.endswith(b"}\n\n"))

    def test_a_type_that_the_status_denies(self) -> None:
        """Servers call everything an invalid request: the type is that of what went wrong."""
        for kind, status, name in [
            ("overloaded", 503, "overloaded_error"),
            ("billing", 402, "billing_error"),
            ("rate_limit", 429, "rate_limit_error"),
        ]:
            error = WireError(kind, "Busy.", status, "invalid_request_error")  # type: ignore[arg-type]
            self.assertEqual(json.loads(DIALECT.error_body(error))["error"]["type"], name)

    def test_a_conversation_that_is_too_long(self) -> None:
        """Agents know by the vendor's words that they have to shorten it, whichever vendor it was."""
        for message in ("Your input exceeds the context window of this model.", "Prompt is too long"):
            told = json.loads(DIALECT.error_body(WireError("context_length", message, 400)))
            self.assertEqual(told["error"]["type"], "invalid_request_error")
            self.assertIn("prompt is too long", told["error"]["message"].lower())
            self.assertIn(message, told["error"]["message"])
            self.assertEqual(told["error"]["message"].lower().count("prompt is too long"), 1)


class ListTests(unittest.TestCase):
    def test_models(self) -> None:
        """A client's list of models: newest SDKs find what they need."""
        models = [ModelInfo("a", "anthropic", 1_700_000_000, "Model A"), ModelInfo("b", "me")]
        told = json.loads(DIALECT.models_body(models))
        self.assertEqual((told["first_id"], told["last_id"], told["has_more"]), ("a", "b", False))
        first = told["data"][0]
        self.assertEqual((first["id"], first["type"], first["display_name"]), ("a", "model", "Model A"))
        self.assertEqual(first["created_at"], "2023-11-14T22:13:20Z")
        self.assertEqual(json.loads(DIALECT.model_body(models[1]))["display_name"], "b")
        self.assertEqual(json.loads(DIALECT.models_body([]))["first_id"], None)

    def test_counts(self) -> None:
        """Counted tokens, both ways."""
        self.assertEqual(DIALECT.parse_count(DIALECT.count_body(42)), 42)
        with self.assertRaises(UpstreamFault):
            DIALECT.parse_count(b"{}")
