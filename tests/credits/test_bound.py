"""What a request may cost at most, and what nobody can tell."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from ampproxy.credits.bound import (
    ADDED,
    LONGEST_ANSWER,
    PER_IMAGE,
    Unbounded,
    longest_answer,
    most_tokens,
)
from ampproxy.model.base import ANTHROPIC, GEMINI, RESPONSES

LONGEST = 7000
PICTURE = "iVBORw0KGgo" * 20_000


def most(longest: int = LONGEST, **members: Any) -> int:
    """Without what the text itself may cost."""
    body = json.dumps(members).encode()
    return most_tokens(body, longest) - most_tokens(body, 0)


@pytest.mark.parametrize(
    ("members", "output"),
    [
        ({}, LONGEST),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5.5}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"max_tokens": None, "max_output_tokens": 9}, 9),
        ({"max_tokens": "5"}, LONGEST),
        ({"max_tokens": 5, "max_completion_tokens": "90000"}, LONGEST),
        ({"max_tokens": True}, LONGEST),
        ({"max_tokens": -1}, LONGEST),
        ({"max_tokens": 5, "n": 3}, 15),
        ({"max_tokens": 5, "n": None}, 5),
        ({"n": 3, "best_of": 4}, 4 * LONGEST),
        ({"max_tokens": 5, "prompt": ["a", "b"], "n": 2}, 20),
        ({"max_tokens": 5, "prompt": [1, 2, 3]}, 5),
        ({"max_tokens": 5, "prompt": [[1, 2], [3]]}, 10),
        ({"generationConfig": {"maxOutputTokens": 8, "candidateCount": 2}}, 16),
        ({"generation_config": {"max_output_tokens": 8}, "generationConfig": {"maxOutputTokens": 9}}, 9),
        ({"max_tokens": 1e30}, 10**9),
    ],
)
def test_output(members: dict[str, Any], output: int) -> None:
    assert most(**members) == output


def test_input() -> None:
    """Letters come two to a token; of digits and other scripts each byte may be one."""
    for text, tokens in (("word " * 100, 250), ("1" * 100, 100), ("\u6f22" * 10, 30)):
        plain, more = (json.dumps({"input": said}, ensure_ascii=False).encode() for said in ("", text))
        assert most_tokens(more, 0) - most_tokens(plain, 0) == tokens
    assert most_tokens(b"{}", 0) == ADDED + 2


IMAGES: list[dict[str, Any]] = [
    {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": PICTURE}}]}]},
    {
        "messages": [
            {"content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]}
        ]
    },
    {"input": [{"content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}]}]},
    {"input": [{"type": "function_call_output", "output": [{"image_url": f"data:image/png,{PICTURE}"}]}]},
    {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}]}]},
    {
        "messages": [
            {
                "content": [
                    {
                        "type": "tool_result",
                        "content": [{"type": "image", "source": {"type": "base64", "data": PICTURE}}],
                    }
                ]
            }
        ]
    },
]


@pytest.mark.parametrize("members", IMAGES)
def test_pictures(members: dict[str, Any]) -> None:
    """A picture costs what it shows, not what it weighs."""
    tokens = most_tokens(json.dumps(members).encode(), 0)
    assert PER_IMAGE < tokens < PER_IMAGE + ADDED + 500


def part(**members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [members]}]}


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"cached_content": "c"}, "cached_content"),
        ({"container": {"id": "c"}}, "container"),
        ({"mcp_servers": [{"url": "u"}]}, "mcp_servers"),
        ({"requests": [{}]}, "requests"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"n": "2"}, "number of answers"),
        ({"generationConfig": {"candidateCount": "2"}}, "number of answers"),
        (part(type="image", source={"type": "url", "url": "u"}), "image by url"),
        (part(type="image", source={"type": "file", "file_id": "f"}), "image by file"),
        (part(type="document", source={"type": "base64", "data": "d"}), "document by base64"),
        (part(type="image_url", image_url={"url": "https://x/y.png"}), "image_url"),
        (part(type="image_url", image_url="https://x/y.png"), "image_url"),
        (part(type="image_url", image_url={"url": "data:application/pdf;base64,"}), "image_url"),
        (part(type="input_file", file_data="data:"), "file_data"),
        (part(type="file", file={"file_id": "f"}), "file"),
        (part(type="input_audio", input_audio={"data": "d"}), "input_audio"),
        (part(type="container_upload"), "container_upload"),
        ({"input": [{"type": "item_reference", "id": "i"}]}, "item_reference"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "f"}}]}]}, "fileData"),
        ({"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4"}}]}]}, "video/mp4"),
        ({"contents": {"parts": {"inline_data": {"data": "d"}}}}, "inlineData"),
        (
            {"contents": [{"parts": [{"functionResponse": {"parts": [{"fileData": {"fileUri": "f"}}]}}]}]},
            "fileData",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"tools": [{"type": "function"}, {"type": "mcp"}]}, "mcp"),
        ({"tools": [{"functionDeclarations": [], "codeExecution": {}}]}, "codeExecution"),
        ({"tools": [{"type": 5}]}, "no readable type"),
        ({"tools": [5]}, "no readable type"),
        ({"tools": {"a": 1}}, "not a list"),
        ({"messages": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}, "nested"),
    ],
)
def test_unbounded(members: dict[str, Any], why: str) -> None:
    with pytest.raises(Unbounded, match=re.escape(why)):
        most_tokens(json.dumps(members).encode(), LONGEST)


def test_no_object() -> None:
    for body in (b"", b"[]", b"--multipart"):
        with pytest.raises(Unbounded, match="not a JSON object"):
            most_tokens(body, LONGEST)


@pytest.mark.parametrize(
    "members",
    [
        {"previous_response_id": None, "container": None, "tools": [], "mcp_servers": []},
        {"tools": [{"name": "Bash", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]},
        {"tools": [{"functionDeclarations": [{"name": "x"}]}]},
        {"tools": [{"type": "function", "name": "x", "parameters": {"properties": {"file_id": {}}}}]},
        {
            "messages": [
                {"content": [{"type": "tool_use", "input": {"file_id": "f", "source": {"type": "url"}}}]}
            ]
        },
        part(type="document", source={"type": "text", "data": "words"}),
        part(type="search_result", source="https://x", content=[{"type": "text", "text": "words"}]),
        part(type="input_file", file_id=None, text="x"),
    ],
)
def test_what_amps_clients_send_has_a_bound(members: dict[str, Any]) -> None:
    """Tools of the client's own, and what these are called with, are text."""
    assert most(**members) == LONGEST


def test_longest_answers() -> None:
    assert longest_answer(ANTHROPIC, "claude-3-opus-20240229") == 4096
    assert longest_answer(RESPONSES, "gpt-5-pro") == 272_000 < LONGEST_ANSWER
    assert longest_answer(GEMINI, "gemini-2.5-pro") == 65_536
    assert longest_answer(RESPONSES, "nobody-knows") == LONGEST_ANSWER


def test_time_is_linear() -> None:
    def seconds(times: int) -> float:
        turn = {"role": "user", "content": [{"type": "text", "text": "word 12 " * 5}] * 4}
        body = json.dumps({"messages": [turn] * times}).encode()
        best = 1e9
        for _ in range(3):
            began = time.process_time()
            most_tokens(body, LONGEST)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(4000) < 16 * seconds(1000) * 0.6 + 0.01
