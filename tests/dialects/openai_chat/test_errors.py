"""Errors and lists of models, which OpenAI's dialects share."""

from __future__ import annotations

import json
import unittest

from ampproxy.dialects import openai
from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.errors import STATUS
from ampproxy.model.events import WireError


class Reading(unittest.TestCase):
    """What vendors and servers say."""

    def test_kinds(self) -> None:
        """An error is told apart by its code, its status or its words, in that order."""
        cases: list[tuple[int, str, str]] = [
            (400, '{"error":{"message":"m","type":"invalid_request_error"}}', "invalid_request"),
            (400, '{"error":{"message":"m","code":"context_length_exceeded"}}', "context_length"),
            (400, '{"object":"error","message":"maximum context length is 4096"}', "context_length"),
            (401, '{"error":{"message":"m","code":"invalid_api_key"}}', "authentication"),
            (403, '{"error":{"message":"m"}}', "permission"),
            (404, '{"error":"model \\"x\\" not found"}', "not_found"),
            (413, "too big", "too_large"),
            (422, '{"detail":[{"loc":["body","messages"],"msg":"field required"}]}', "invalid_request"),
            (429, '{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}', "rate_limit"),
            (429, '{"error":{"message":"m","code":"insufficient_quota"}}', "billing"),
            (500, '{"error":{"message":"m"}}', "internal"),
            (502, "<html><head><title>502 Bad Gateway</title></head></html>", "unavailable"),
            (503, '{"error":{"message":"m"}}', "overloaded"),
            (500, '{"error":{"message":"m","code":"server_is_overloaded"}}', "overloaded"),
            (500, '{"error":{"message":"m","code":"cyber_policy"}}', "invalid_request"),
            (401, '[{"error":{"code":401,"message":"m","status":"UNAUTHENTICATED"}}]', "authentication"),
        ]
        for status, body, kind in cases:
            with self.subTest(body=body):
                error = DIALECT.parse_error(status, {}, body.encode())
                self.assertEqual((error.kind, error.status), (kind, status))
                self.assertTrue(error.message)

    def test_words_are_the_vendors(self) -> None:
        """The client reads the vendor's sentence, the param and the code, and a page's title only."""
        body = b'{"error":{"message":"No such thing.","param":"messages","code":"bad_thing"}}'
        error = DIALECT.parse_error(400, {"x-request-id": "req_1"}, body)
        self.assertEqual(
            (error.message, error.param, error.code), ("No such thing.", "messages", "bad_thing")
        )
        self.assertEqual(error.request_id, "req_1")
        page = DIALECT.parse_error(502, {}, b"<html><title>Bad gateway</title><script>x()</script>")
        self.assertIn("Bad gateway", page.message)
        self.assertNotIn("<", page.message)

    def test_waits(self) -> None:
        """How long to wait is read from headers, or from OpenAI's sentence."""
        cases: list[tuple[dict[str, str], str, float | None]] = [
            ({"retry-after": "7"}, "m", 7.0),
            ({"retry-after-ms": "250", "retry-after": "1"}, "m", 0.25),
            ({}, "Rate limit reached. Please try again in 1m7.5s.", 67.5),
            ({}, "Please try again in 20ms.", 0.02),
            ({}, "Please try again in a while.", None),
            ({"retry-after": "soon"}, "m", None),
        ]
        for headers, message, wait in cases:
            with self.subTest(headers=headers, message=message):
                body = json.dumps({"error": {"message": message}}).encode()
                self.assertEqual(DIALECT.parse_error(429, headers, body).retry_after, wait)


class Telling(unittest.TestCase):
    """What clients are told."""

    def test_envelope(self) -> None:
        """Every kind has a type, and what is told is read back as the same kind."""
        for kind, status in STATUS.items():
            with self.subTest(kind=kind):
                body = DIALECT.error_body(WireError(kind, "m", status))
                self.assertEqual(json.loads(body)["error"].keys(), {"message", "type", "param", "code"})
                self.assertEqual(DIALECT.parse_error(status, {}, body).kind, kind)

    def test_foreign_codes_give_way(self) -> None:
        """A code of another dialect is translated, OpenAI's own is kept."""
        for code, told in [
            ("overloaded_error", "rate_limit_exceeded"),
            ("RESOURCE_EXHAUSTED", "rate_limit_exceeded"),
            ("model_cooldown", "model_cooldown"),
        ]:
            error = json.loads(DIALECT.error_body(WireError("rate_limit", "m", 429, code)))["error"]
            self.assertEqual(error["code"], told)

    def test_error_event(self) -> None:
        """In mid-stream the same object is an event."""
        error = WireError("timeout", "m", 504)
        self.assertEqual(DIALECT.error_event(error), b"data: " + DIALECT.error_body(error) + b"\n\n")

    def test_lists_of_models(self) -> None:
        """A list and one model, as the SDK's ``models`` reads them."""
        model = ModelInfo("gpt-5", "openai", 7)
        told = {"id": "gpt-5", "object": "model", "created": 7, "owned_by": "openai"}
        self.assertEqual(json.loads(DIALECT.models_body([model])), {"object": "list", "data": [told]})
        self.assertEqual(json.loads(DIALECT.model_body(model)), told)


class Counting(unittest.TestCase):
    """Token counts."""

    def test_totals_are_the_same_on_both_sides(self) -> None:
        """Reading what was written gives the same classes of tokens."""
        body = {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 5},
        }
        usage = openai.chat_usage(body)
        self.assertEqual((usage.input, usage.cache_read, usage.cache_write), (30, 60, 10))
        self.assertEqual(openai.chat_usage_body(usage, extras=True), body)

    def test_odd_counts(self) -> None:
        """Counts that cannot be (more cached than sent, nulls, words) do not break an answer."""
        usage = openai.chat_usage({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}})
        self.assertEqual((usage.input, usage.cache_read), (0, 5))
        self.assertEqual(openai.chat_usage({"prompt_tokens": None, "completion_tokens": "x"}).output, 0)
