"""What the classic Amp CLI asks, at an account of each dialect: the vendor takes it, and the answer has all
that the CLI stumbles over without.
"""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.interop.amp_bodies import ARGUMENTS, CALLS, Call
from tests.interop.backends import BACKENDS, last
from tests.running import NEWER

pytestmark = pytest.mark.loopback


def asked(world: Any, call: Call, backend: str) -> bytes:
    """The answer's body.

    :raises AssertionError: it is an error.
    """
    model = NEWER[backend] if call.newer and backend in NEWER else f"wanted-{backend}"
    body = call.body if "{model}" in call.path else {"model": model, **call.body}
    headers = {"content-type": "application/json", "x-amp-client-type": "cli", **call.headers}
    key = {"x-api-key": world.key} if "/anthropic/" in call.path else {"authorization": f"Bearer {world.key}"}
    connection = HTTPConnection(urlsplit(world.url).netloc, timeout=60)
    path = "/api/provider" + call.path.format(model=model)
    connection.request("POST", path, json.dumps(body).encode(), {**headers, **key})
    response = connection.getresponse()
    found = response.read()
    connection.close()
    assert response.status == 200, found
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name.replace(" ", "-"))
def test_amp_asks(world: Any, call: Call, backend: str) -> None:
    """The vendor refused nothing on the way; a call of a tool is one with its exact name and arguments."""
    answer = asked(world, call, backend)
    statuses = [one.status for one in world.vendors[backend].requests]
    assert set(statuses) == {200}, world.vendors[backend].requests
    called = _READERS[call.path.split("/")[1]](answer, call)
    if call.forced:
        assert called[0][0] == call.forced
    elif call.calls:
        assert called == [("Bash", ARGUMENTS)]
    else:
        assert called == []
    if call.later:
        assert "a.txt" in json.dumps(last(world, backend))


def _events(answer: bytes) -> list[tuple[str, Any]]:
    """The events of a stream, with their names; comments are passed over."""
    found = []
    for block in answer.decode().replace("\r\n", "\n").split("\n\n")[:-1]:
        lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        assert {name for name, _, _ in lines} <= {"event", "data"}, block
        fields = {name: value for name, _, value in lines}
        found.append((fields.get("event", ""), fields["data"]))
    return found


def _anthropic(answer: bytes, call: Call) -> list[tuple[str, Any]]:
    """Event lines, ``message_stop``, a signature of each thought, the tokens; the right reason to stop."""
    if not call.stream:
        whole = json.loads(answer)
        assert whole["stop_reason"] == "tool_use"
        assert {block["type"] for block in whole["content"]} == {"tool_use"}
        return [(block["name"], block["input"]) for block in whole["content"]]
    events = [(name, json.loads(data)) for name, data in _events(answer)]
    assert [name for name, _ in events] == [event["type"] for _, event in events]
    assert (events[0][0], events[-1][0]) == ("message_start", "message_stop")
    starts = [event["content_block"] for name, event in events if name == "content_block_start"]
    assert all(isinstance(block["signature"], str) for block in starts if block["type"] == "thinking")
    ended = next(event for name, event in events if name == "message_delta")
    assert ended["usage"]["output_tokens"] > 0
    called = [block["name"] for block in starts if block["type"] == "tool_use"]
    assert ended["delta"]["stop_reason"] == ("tool_use" if called else "end_turn")
    pieces = [
        event["delta"].get("partial_json", "") for name, event in events if name == "content_block_delta"
    ]
    return [(name, json.loads("".join(pieces))) for name in called]


def _responses(answer: bytes, call: Call) -> list[tuple[str, Any]]:
    """``response.created`` first; ``response.completed`` has all items."""
    events = [json.loads(data) for _, data in _events(answer)]
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    output = events[-1]["response"]["output"]
    assert output
    calls = [item for item in output if item["type"] == "function_call"]
    return [(item["name"], json.loads(item["arguments"])) for item in calls]


def _chat(answer: bytes, call: Call) -> list[tuple[str, Any]]:
    """Choices in each chunk, an index with each piece of a call, and the reason to stop."""
    *data, end = [data for _, data in _events(answer)]
    assert end == "[DONE]"
    chunks = [json.loads(one) for one in data]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    pieces = [piece for choice in choices for piece in choice["delta"].get("tool_calls") or ()]
    assert all(piece["index"] == 0 for piece in pieces)
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    assert reasons == ["tool_calls" if pieces else "stop"]
    if not pieces:
        return []
    arguments = "".join(piece["function"].get("arguments") or "" for piece in pieces)
    return [(pieces[0]["function"]["name"], json.loads(arguments))]


def _gemini(answer: bytes, call: Call) -> list[tuple[str, Any]]:
    """No comment lines, which the CLI of January cannot read."""
    assert not re.search(rb"(?m)^:", answer)
    chunks = [json.loads(data) for _, data in _events(answer)] if call.stream else [json.loads(answer)]
    candidates = [chunk["candidates"][0] for chunk in chunks if chunk.get("candidates")]
    assert candidates[-1]["finishReason"] == "STOP"
    contents = [one.get("content", {}) for one in candidates]
    parts = [part for content in contents for part in content.get("parts", ()) if not part.get("thought")]
    if call.name == "read_thread":
        assert json.loads("".join(part.get("text", "") for part in parts)) == {"relevant": "demo"}
    found = [part["functionCall"] for part in parts if "functionCall" in part]
    return [(one["name"], one["args"]) for one in found]


_READERS = {
    "anthropic": _anthropic,
    "openai": _responses,
    "xai": _chat,
    "kimi": _chat,
    "groq": _chat,
    "google": _gemini,
}
