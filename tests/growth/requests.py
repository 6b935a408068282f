"""Requests of any size in which one thing comes many times, in each dialect's own words.

A conversation is told once, in words of no dialect, and written in each of them; what only one dialect has
is told beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ampproxy.dialects.proof import wrap_signature
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.model.parts import Signature

#: A part: its kind and what it holds.
Said = tuple[str, Any]
Members = dict[str, Any]
PIXEL = "iVBORw0KGgo="


@dataclass
class Talk:
    """A conversation: turns of a role and parts; tools by name, each with a schema; system texts."""

    turns: list[tuple[str, list[Said]]]
    tools: list[tuple[str, Any]] = field(default_factory=list)
    system: list[str] = field(default_factory=list)


def text(words: str = "word") -> Said:
    return ("text", words)


def call(id: str, name: str = "run") -> Said:
    return ("call", (id, name))


def result(id: str) -> Said:
    return ("result", id)


HELLO = ("user", [text()])


def one(parts: list[Said], role: str = "user") -> Talk:
    return Talk([HELLO, (role, parts), HELLO] if role == "assistant" else [(role, parts)])


def calling(ids: list[str], answers: list[str], *, each: bool = False) -> Talk:
    """Calls and results: all in one turn each, or a turn for each call with its result."""
    if each:
        pairs = [[("assistant", [call(id)]), ("user", [result(id)])] for id in ids]
        return Talk([HELLO, *(turn for pair in pairs for turn in pair)])
    turns = [HELLO, ("assistant", [call(id) for id in ids])]
    return Talk([*turns, ("user", [result(id) for id in answers] or [text()])])


def ids(n: int) -> list[str]:
    return [f"call_{number}" for number in range(n)]


SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def tools(names: list[str], schema: Any = SCHEMA) -> Talk:
    return Talk([HELLO], [(name, schema) for name in names])


def schema(made: Any) -> Talk:
    return tools(["one"], made)


def wide(n: int) -> Any:
    properties = {f"p{number}": {"type": "string"} for number in range(n)}
    return {"type": "object", "properties": properties, "required": list(properties)}


def deep(n: int) -> Any:
    made: Any = {"type": "object", "properties": {}}
    for _ in range(20):
        made = {"type": "object", "properties": {"in": made, "words": {"enum": ["word"] * (n // 20)}}}
    return made


def combined(how: str, n: int) -> Any:
    branches = [{"properties": {"p": {"const": number}, f"q{number}": {}}} for number in range(n)]
    return {"type": "object", how: branches, "required": ["p"]}


def referred(n: int) -> Any:
    """Many references at the top to definitions, of which one is large."""
    large = wide(n)
    return {"$defs": {"large": large, "same": large}, "anyOf": [{"$ref": "#/$defs/large"}] * 100}


TALKS: dict[str, Callable[[int], Talk]] = {
    "turns": lambda n: Talk([HELLO, ("assistant", [text()])] * n),
    "turns of one role": lambda n: Talk([("user", [text()])] * n),
    "answers in a row": lambda n: Talk([HELLO, *[("assistant", [text()])] * n, HELLO]),
    "calls in a row": lambda n: Talk([HELLO, *(("assistant", [call(id)]) for id in ids(n))]),
    "system turns": lambda n: Talk([HELLO, ("system", [text()])] * n),
    "system texts": lambda n: Talk([HELLO], system=["Be kind."] * n),
    "texts": lambda n: one([text(f"word {number}") for number in range(n)]),
    "texts of the model": lambda n: one([text(f"word {number}") for number in range(n)], "assistant"),
    "images": lambda n: one([("image", PIXEL)] * n),
    "thinking": lambda n: one([*[("thinking", "Hm.")] * n, text()], "assistant"),
    "carried proofs": lambda n: one([*[("carried", "call")] * n, *map(call, ids(n))], "assistant"),
    "carried proofs of nothing": lambda n: one([*[("carried", "call")] * n, text()], "assistant"),
    "proofs after texts": lambda n: one([*[text()] * n, *[("carried", "text")] * n], "assistant"),
    "calls": lambda n: calling(ids(n), ids(n)),
    "calls one by one": lambda n: calling(ids(n), [], each=True),
    "calls of one id": lambda n: calling(["same"] * n, ["same"] * n),
    "calls of one id one by one": lambda n: calling(["same"] * n, [], each=True),
    "results reversed": lambda n: calling(ids(n), ids(n)[::-1]),
    "results without calls": lambda n: calling([], ids(n)),
    "results of one call": lambda n: calling(["same"], ["same"] * n),
    "calls without results": lambda n: calling(ids(n), []),
    "calls of one id without results": lambda n: calling(["same"] * n, []),
    "turns of calls without results": lambda n: Talk(
        [turn for id in ids(n) for turn in (("assistant", [call(id)]), HELLO)]
    ),
    "results long after": lambda n: Talk(
        [HELLO, *((("assistant", [call(id), text()])) for id in ids(n)), ("user", [*map(result, ids(n))])]
    ),
    "many names called": lambda n: Talk(
        [HELLO, ("assistant", [call(id, f"tool {id}") for id in ids(n)]), ("user", [*map(result, ids(n))])]
    ),
    "tools": lambda n: tools([f"tool_{number}" for number in range(n)]),
    "tools whose names become one": lambda n: tools([chr(0x4E00 + number) * 3 for number in range(n)]),
    "tools of one name": lambda n: tools(["same"] * n),
    "tools with long names": lambda n: tools([f"{'long' * 30}{number}" for number in range(n)]),
    "a wide schema": lambda n: schema(wide(n)),
    "a deep schema": lambda n: schema(deep(n)),
    "allOf": lambda n: schema(combined("allOf", n)),
    "anyOf": lambda n: schema(combined("anyOf", n)),
    "oneOf": lambda n: schema(combined("oneOf", n)),
    "references": lambda n: schema(referred(n)),
    "one text": lambda n: one([text("word \u00e9\n" * n * 100)]),
    "halves of characters": lambda n: one([("text", "half \ud83d" * n)]),
}


# ------------------------------------------------------------------------------------------ anthropic


def _carried(dialect: str, place: Any) -> str:
    return wrap_signature(dialect, Signature(GEMINI, "AAAA"), place)


def _anthropic_block(part: Said) -> Members:
    kind, held = part
    if kind == "call":
        return {"type": "tool_use", "id": held[0], "name": held[1], "input": {}}
    if kind == "result":
        return {"type": "tool_result", "tool_use_id": held, "content": "done"}
    if kind == "image":
        return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": held}}
    if kind == "thinking":
        return {"type": "thinking", "thinking": held, "signature": "AAAA"}
    if kind == "carried":
        return {"type": "redacted_thinking", "data": _carried(ANTHROPIC, held)}
    return {"type": "text", "text": held, "cache_control": {"type": "ephemeral"}}


def anthropic(talk: Talk) -> Members:
    messages = [
        {"role": role, "content": [_anthropic_block(part) for part in said]} for role, said in talk.turns
    ]
    declared = [{"name": name, "input_schema": schema} for name, schema in talk.tools]
    system = [{"type": "text", "text": words} for words in talk.system]
    return {"max_tokens": 9, "messages": messages, "tools": declared, "system": system}


# ----------------------------------------------------------------------------------------------- chat


def _chat_part(part: Said) -> Members:
    kind, held = part
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{held}"}}
    return {"type": "text", "text": held if kind == "text" else str(held)}


def _chat_call(id: str, name: str) -> Members:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def _chat_messages(role: str, said: list[Said]) -> list[Members]:
    results = [
        {"role": "tool", "tool_call_id": held, "content": "done"} for kind, held in said if kind == "result"
    ]
    calls = [_chat_call(*held) for kind, held in said if kind == "call"]
    words = [_chat_part(part) for part in said if part[0] not in ("call", "result")]
    if results:
        return results
    return [{"role": role, "content": words, **({"tool_calls": calls} if calls else {})}]


def chat(talk: Talk) -> Members:
    messages = [{"role": "system", "content": words} for words in talk.system]
    messages += [message for role, said in talk.turns for message in _chat_messages(role, said)]
    declared = [
        {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in talk.tools
    ]
    return {"messages": messages, **({"tools": declared} if declared else {})}


# ------------------------------------------------------------------------------------------ responses


def _responses_item(role: str, part: Said) -> Members:
    kind, held = part
    if kind == "call":
        return {"type": "function_call", "call_id": held[0], "name": held[1], "arguments": "{}"}
    if kind == "result":
        return {"type": "function_call_output", "call_id": held, "output": "done"}
    if kind == "thinking":
        summary = [{"type": "summary_text", "text": held}]
        return {"type": "reasoning", "summary": summary, "encrypted_content": "AAAA"}
    if kind == "carried":
        return {"type": "reasoning", "summary": [], "encrypted_content": _carried(RESPONSES, held)}
    said: Members = {"type": "output_text" if role == "assistant" else "input_text", "text": held}
    if kind == "image":
        said = {"type": "input_image", "image_url": f"data:image/png;base64,{held}"}
    return {"type": "message", "role": role, "content": [said]}


def responses(talk: Talk) -> Members:
    items = [{"role": "system", "content": words} for words in talk.system]
    items += [_responses_item(role, part) for role, said in talk.turns for part in said]
    declared = [{"type": "function", "name": name, "parameters": schema} for name, schema in talk.tools]
    return {"input": items, "tools": declared}


# --------------------------------------------------------------------------------------------- gemini


def _gemini_part(part: Said) -> Members:
    kind, held = part
    if kind == "call":
        return {"functionCall": {"id": held[0], "name": held[1], "args": {}}}
    if kind == "result":
        return {"functionResponse": {"id": held, "name": "run", "response": {"result": "done"}}}
    if kind == "image":
        return {"inlineData": {"mimeType": "image/png", "data": held}}
    if kind == "thinking":
        return {"text": held, "thought": True, "thoughtSignature": "AAAA"}
    return {"text": str(held)}


def gemini(talk: Talk) -> Members:
    roles = {"assistant": "model"}
    contents = [
        {"role": roles.get(role, "user"), "parts": [_gemini_part(part) for part in said]}
        for role, said in talk.turns
    ]
    declared = [{"name": name, "parametersJsonSchema": schema} for name, schema in talk.tools]
    made: Members = {"contents": contents}
    if talk.system:
        made["systemInstruction"] = {"parts": [{"text": words} for words in talk.system]}
    return {**made, "tools": [{"functionDeclarations": declared}]} if declared else made


WRITERS: dict[str, Callable[[Talk], Members]] = {
    ANTHROPIC: anthropic,
    CHAT: chat,
    RESPONSES: responses,
    GEMINI: gemini,
}

# -------------------------------------------------------------------------- what only one dialect has


def _anthropic(**members: Any) -> Members:
    return {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **members}


def _chat(*messages: Members, **members: Any) -> Members:
    return {"messages": [{"role": "user", "content": "hi"}, *messages], **members}


def _gemini(*contents: Members, **members: Any) -> Members:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, *contents], **members}


def _gemini_calls(n: int, parts: list[Members]) -> Members:
    calls = [{"functionCall": {"name": "run"}} for _ in range(n)]
    return _gemini({"role": "model", "parts": calls}, {"role": "user", "parts": parts})


def _chunks(n: int, part: Members) -> Members:
    return _gemini(*({"role": "model", "parts": [part]} for _ in range(n)))


def _schema_of_gemini(n: int) -> Members:
    properties = {f"p{number}": {"type": "STRING", "nullable": True} for number in range(n)}
    declared = {"name": "run", "parameters": {"type": "OBJECT", "properties": properties}}
    return _gemini(tools=[{"functionDeclarations": [declared]}])


def _old_function(n: int) -> Members:
    calls = [_chat_call(f"c{number}", "run") for number in range(n)]
    results = [{"role": "function", "name": "run", "content": "done"} for _ in range(n)]
    return _chat({"role": "assistant", "tool_calls": calls}, *results)


def _allowed(n: int) -> Members:
    declared = [{"type": "function", "function": {"name": f"t{number}"}} for number in range(n)]
    allowed = {"mode": "auto", "tools": declared}
    return _chat(tools=declared, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})


def _no_proofs(n: int) -> Members:
    """A tool loop under way, in which much thinking was lost."""
    talk = Talk([HELLO])
    for id in ids(n):
        talk.turns += [("assistant", [("thinking", "Hm."), call(id)]), ("user", [result(id)])]
    return gemini(talk)


OWN: dict[str, tuple[str, Callable[[int], Members]]] = {
    "extras": (ANTHROPIC, lambda n: _anthropic(**{f"x{number}": number for number in range(n)})),
    "metadata": (ANTHROPIC, lambda n: _anthropic(metadata={f"m{number}": "word" for number in range(n)})),
    "hosted tools": (
        ANTHROPIC,
        lambda n: _anthropic(tools=[{"type": f"other_{number}", "name": "x"} for number in range(n)]),
    ),
    "stop sequences": (ANTHROPIC, lambda n: _anthropic(stop_sequences=[f"s{number}" for number in range(n)])),
    "unknown blocks": (
        ANTHROPIC,
        lambda n: _anthropic(messages=[{"role": "user", "content": [{"type": "odd", "x": 1}] * n}]),
    ),
    "metadata of chat": (CHAT, lambda n: _chat(metadata={f"m{number}": "word" for number in range(n)})),
    "results by name": (CHAT, _old_function),
    "allowed tools": (CHAT, _allowed),
    "calls without ids": (
        CHAT,
        lambda n: _chat({"role": "assistant", "tool_calls": [{**_chat_call("", "run")} for _ in range(n)]}),
    ),
    "results by name at Gemini": (
        GEMINI,
        lambda n: _gemini_calls(n, [{"functionResponse": {"name": "run", "response": {}}}] * n),
    ),
    "results by place": (GEMINI, lambda n: _gemini_calls(n, [{"functionResponse": {"response": {}}}] * n)),
    "results of no call": (
        GEMINI,
        lambda n: _gemini_calls(n, [{"functionResponse": {"name": "no", "response": {}}}] * n),
    ),
    "chunks of words": (GEMINI, lambda n: _chunks(n, {"text": "some more words " * 20})),
    "chunks of thoughts": (
        GEMINI,
        lambda n: _chunks(n, {"text": "some more thoughts " * 20, "thought": True}),
    ),
    "chunks of calls": (GEMINI, lambda n: _chunks(n, {"functionCall": {"name": "run"}})),
    "Gemini's own schema": (GEMINI, _schema_of_gemini),
    "hosted tools of Gemini": (
        GEMINI,
        lambda n: _gemini(tools=[{f"tool{number}": {}} for number in range(n)]),
    ),
    "lost proofs": (GEMINI, _no_proofs),
    "items that refer": (
        RESPONSES,
        lambda n: {"input": [{"type": "odd_item", "id": f"i{number}"} for number in range(n)]},
    ),
    "prompts": (COMPLETIONS, lambda n: {"prompt": "word " * n}),
}


def written(dialect: str, members: Members) -> bytes:
    """A request's body."""
    return json.dumps({"model": "m", **members}).encode()
