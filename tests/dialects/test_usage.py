"""What an answer used is the same number of tokens whether it passes as bytes or is translated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.wire.json import members

CHOICES = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
OUTPUT = {"status": "completed", "output": []}
CONTENT = {"type": "message", "content": [], "stop_reason": "end_turn"}
CANDIDATES = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}


@pytest.mark.parametrize(
    ("dialect", "answer", "counts"),
    [
        (
            CHAT,
            CHOICES | {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}},
            (6, 4, 0, 5, 0),
        ),
        (
            CHAT,
            CHOICES | {"usage": {"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4}},
            (6, 4, 0, 5, 0),
        ),
        (
            CHAT,
            CHOICES
            | {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 22,
                    "completion_tokens_details": {"reasoning_tokens": 7},
                }
            },
            (10, 0, 0, 12, 7),
        ),
        (
            RESPONSES,
            OUTPUT
            | {
                "usage": {
                    "input_tokens": 10,
                    "input_tokens_details": {"cached_tokens": 4},
                    "output_tokens": 5,
                    "output_tokens_details": {"reasoning_tokens": 3},
                }
            },
            (6, 4, 0, 5, 3),
        ),
        (
            ANTHROPIC,
            CONTENT
            | {"usage": {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 5, "more": 1}},
            (10, 4, 0, 5, 0),
        ),
        (
            GEMINI,
            CANDIDATES
            | {
                "usageMetadata": {
                    "promptTokenCount": 10,
                    "cachedContentTokenCount": 4,
                    "candidatesTokenCount": 5,
                    "thoughtsTokenCount": "3",
                }
            },
            (6, 4, 0, 8, 3),
        ),
    ],
    ids=["deepseek", "kimi", "xai", "openai", "anthropic", "gemini"],
)
def test_usage_of_an_answer(dialect: str, answer: dict[str, Any], counts: tuple[int, ...]) -> None:
    """The bill does not depend on the dialect that the client speaks."""
    body = json.dumps(answer).encode()
    translated = DIALECTS[dialect].parse_response(body).usage
    passed = DIALECTS[dialect].passthrough.usage(members(body) or {})
    for usage in (translated, passed):
        assert usage is not None
        found = (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning)
        assert found == counts
