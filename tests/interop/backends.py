"""What each backend was sent, read in its own dialect."""

from __future__ import annotations

import json
from typing import Any

from tests.interop.clients import CLIENTS
from tests.running import COMPATIBLE, MODELS

#: Every backend: the four dialects, and a compatible server that tells its thoughts.
BACKENDS = {**MODELS, "compatible": COMPATIBLE}
DIALECTS = tuple(MODELS)
#: Backends whose model thinks.
THINKERS = ("anthropic", "openai-responses", "gemini", "compatible")
#: Those whose thinking has a proof.
PROVERS = ("anthropic", "openai-responses", "gemini")
PAIRS = [(client, backend) for client in CLIENTS for backend in BACKENDS]


def backend_dialect(backend: str) -> str:
    """The dialect of a backend."""
    return "openai-chat" if backend == "compatible" else backend


def last(world: Any, backend: str) -> Any:
    """The last body that a backend got."""
    return world.vendors[backend].requests[-1].json


def proofs(backend: str, body: Any) -> list[str]:
    """The proofs of reasoning in a request, in order."""
    match backend_dialect(backend):
        case "anthropic":
            blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
            return [b["signature"] for b in blocks if b["type"] == "thinking"]
        case "openai-responses":
            return [i["encrypted_content"] for i in body["input"] if i.get("type") == "reasoning"]
        case "gemini":
            parts = [p for c in body["contents"] for p in c["parts"]]
            return [p["thoughtSignature"] for p in parts if "thoughtSignature" in p]
    return []


def answered(backend: str, body: Any) -> list[tuple[str, Any, str]]:
    """Each call of a request with the result that stands for it: (name, arguments, result's text)."""
    return [(name, args, result) for name, args, result, _ in _READERS[backend_dialect(backend)](body)]


def results(backend: str, body: Any) -> list[Any]:
    """The results as the backend got them, raw."""
    return [raw for *_, raw in _READERS[backend_dialect(backend)](body)]


Row = tuple[str, Any, str, Any]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if "text" in part)


def _by_id(results: list[Any], name: str) -> dict[str, list[Any]]:
    """Results by the id of their call; vendors that know nothing of each other may issue an id twice."""
    found: dict[str, list[Any]] = {}
    for one in results:
        found.setdefault(one[name], []).append(one)
    return found


def _anthropic(body: Any) -> list[Row]:
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    given = _by_id([b for b in blocks if b["type"] == "tool_result"], "tool_use_id")
    rows: list[Row] = []
    for call in (b for b in blocks if b["type"] == "tool_use"):
        result = given[call["id"]].pop(0)
        rows.append((call["name"], call["input"], _text(result.get("content")), result))
    return rows


def _chat(body: Any) -> list[Row]:
    given = _by_id([m for m in body["messages"] if m["role"] == "tool"], "tool_call_id")
    rows: list[Row] = []
    for call in (call for m in body["messages"] for call in m.get("tool_calls", ())):
        function, result = call["function"], given[call["id"]].pop(0)
        rows.append((function["name"], json.loads(function["arguments"]), _text(result["content"]), result))
    return rows


def _responses(body: Any) -> list[Row]:
    items = [i for i in body["input"] if isinstance(i, dict)]
    given = _by_id([i for i in items if i.get("type") == "function_call_output"], "call_id")
    rows: list[Row] = []
    for call in (i for i in items if i.get("type") == "function_call"):
        result = given[call["call_id"]].pop(0)
        rows.append((call["name"], json.loads(call["arguments"]), _text(result["output"]), result))
    return rows


def _gemini(body: Any) -> list[Row]:
    rows: list[Row] = []
    contents = body["contents"]
    for at, content in enumerate(contents):
        calls = [p["functionCall"] for p in content["parts"] if "functionCall" in p]
        if not calls:
            continue
        given = [p["functionResponse"] for p in contents[at + 1]["parts"] if "functionResponse" in p]
        by_id = {g["id"]: g for g in given if g.get("id")}
        for index, call in enumerate(calls):
            result = by_id.get(call.get("id")) or given[index]
            assert result["name"] == call["name"]
            response = result["response"]
            rows.append((call["name"], call.get("args", {}), str(next(iter(response.values()), "")), result))
    return rows


_READERS = {
    "anthropic": _anthropic,
    "openai-chat": _chat,
    "openai-responses": _responses,
    "gemini": _gemini,
}
