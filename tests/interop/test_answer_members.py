"""Every member of the SDKs' own types of answers reaches every client, or is a loss that names it: four
dialects of vendors, four of clients, each type of block, item and part, and what stands around them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic.types as messages
import anthropic.types.beta as beta
import pydantic
import pytest
from google.genai import types as genai
from openai.types.chat import ChatCompletionMessage
from openai.types.completion_usage import CompletionUsage
from openai.types.responses import Response, ResponseUsage
from openai.types.responses.response_output_item import ResponseOutputItem

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.proof import MARK
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES
from ampproxy.model.fold import fold, unfold
from ampproxy.model.loss import OF_ANSWER
from ampproxy.relay.losses import of_answer
from ampproxy.relay.settle import Settling
from tests.interop.sdk_values import Maker, members_of

CLIENTS = (ANTHROPIC, CHAT, RESPONSES, GEMINI)
#: Kinds of the loss of a whole part.
WHOLE_PARTS = frozenset(("opaque", "image", "audio", "file", "reasoning"))
#: Members whose loss has a kind of its own.
NAMED_BY_KIND = {
    "signature": "foreign_proof",
    "data": "foreign_proof",
    "encrypted_content": "foreign_proof",
    "thoughtSignature": "foreign_proof",
    "stop_sequence": "stop_sequence",
}
#: Members that need not reach the client, each with the reason.
NOT_CARRIED = {
    "id": "ids of a vendor's items mean nothing to others; calls are known by their call ids",
    "model": "the client sees the name that it asked for",
    "logprobs": "given only where they are asked for, and asking for them is a loss of the request",
    "logprobsResult": "likewise; beside each token its number says nothing more",
    "summary": "beside the text of the thinking, which is carried, a summary says nothing more",
    "mediaResolution": "how closely media of a request are looked at",
    "videoMetadata": "which piece of a request's video is looked at",
    "partMetadata": "notes of a client's own on its parts, which the vendor hands back to none",
    "partialArgs": "asked for only by streamFunctionCallArguments, which no request of ours has",
}


#: Members of a response that repeat the request, which the client has, or tell when.
ECHO = frozenset(
    (
        *("instructions", "metadata", "model", "object", "tool_choice", "tools", "background", "image"),
        *("max_output_tokens", "max_tool_calls", "previous_response_id", "prompt", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "user"),
        *("text", "top_logprobs", "truncation", "created_at", "completed_at", "incomplete_details"),
        *("conversation", "service_tier", "usage"),
    )
)
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "words", "annotations": []}],
}


def part_of_message(block: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    return {**head, "content": [block], "stop_reason": "end_turn", "usage": usage}


def item_of_response(item: dict[str, Any]) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
    return {**head, "status": "completed", "output": [item]}


def part_of_candidate(part: dict[str, Any]) -> dict[str, Any]:
    content = {"role": "model", "parts": [part]}
    return candidate({"content": content, "finishReason": "STOP", "index": 0})


def candidate(value: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [value], "modelVersion": "m", "responseId": "r"}


#: What stands in no part by itself.
BESIDE_TEXT = frozenset(("thought", "thoughtSignature", "mediaResolution", "partMetadata", "videoMetadata"))
#: Members of parts that only requests have, or that cannot be answered with.
NO_ANSWERS = frozenset(("functionResponse",))


def parts() -> Iterator[tuple[str, str, dict[str, str], dict[str, Any]]]:
    """The vendor's dialect, a name, what is to be found, and an answer."""
    for union in (messages.ContentBlock, beta.BetaContentBlock):
        for kind, maker, value in _made(union):
            yield ANTHROPIC, kind, maker.marks, part_of_message(value)
    for kind, maker, value in _made(ResponseOutputItem):
        yield RESPONSES, kind, maker.marks, item_of_response(value)
    for name, field in genai.Part.model_fields.items():
        key = field.alias or name
        for turn in range(3):
            maker = Maker(turn)
            value = {key: maker(field.annotation, key, 1)}
            if key == "functionCall":
                value[key].pop("partialArgs", None)
                value[key].pop("willContinue", None)
            if key not in NO_ANSWERS:
                words = {"text": "words"} if key in BESIDE_TEXT else {}
                yield GEMINI, key, maker.marks, part_of_candidate({**words, **value})


def _made(union: Any) -> Iterator[tuple[str, Maker, dict[str, Any]]]:
    for model in members_of(union):
        for turn in range(5):
            maker = Maker(turn)
            value = maker.model(model)
            if model.__name__ == "ResponseFunctionToolCall":
                value["arguments"] = json.dumps({"x": value["arguments"]})
            yield model.__name__, maker, value


def around() -> Iterator[tuple[str, str, dict[str, str], dict[str, Any]]]:
    """What stands around the parts, one member at a time."""
    refused = part_of_message({"type": "text", "text": "words"}) | {"stop_reason": "refusal"}
    for key, maker, value in _members(messages.Message, ("content", "stop_reason", "role", "usage", "id")):
        reason = "stop_sequence" if key == "stop_sequence" else "refusal"
        yield ANTHROPIC, key, maker.marks, {**refused, "stop_reason": reason, key: value}
    said = {"role": "assistant", "content": "words"}
    for key, maker, value in _members(ChatCompletionMessage, ("role",)):
        choice = {"index": 0, "message": {**said, key: value}, "finish_reason": "stop"}
        if key in ("function_call", "tool_calls"):
            choice["finish_reason"] = "tool_calls"
        yield CHAT, key, maker.marks, {"id": "c", "created": 1, "model": "m", "choices": [choice]}
    for key, maker, value in _members(Response, ("output", "id", "status", "error", *ECHO)):
        if value not in ([], {}):
            yield RESPONSES, key, maker.marks, {**item_of_response(SAID), key: value}
    content = {"role": "model", "parts": [{"text": "words"}]}
    for key, maker, value in _members(genai.Candidate, ("content", "finishReason", "index")):
        found = {"content": content, "finishReason": "SAFETY", "index": 0, key: value}
        yield GEMINI, key, maker.marks, candidate(found)


def _members(kind: type[pydantic.BaseModel], but: tuple[str, ...]) -> Iterator[tuple[str, Maker, Any]]:
    for name, field in kind.model_fields.items():
        key = field.alias or name
        if key in but:
            continue
        for turn in range(3):
            maker = Maker(turn)
            value = maker(field.annotation, key, 1)
            if value is not None:
                yield key, maker, value


def given(vendor: str, client: str, answer: dict[str, Any]) -> tuple[str, str, set[str]]:
    """What the client gets, and its losses: in words, and by kind."""
    settling = Settling(one=True, client="" if vendor == client else client)
    parsed = DIALECTS[vendor].parse_response(json.dumps(answer).encode())
    response = fold(settling.feed(unfold(parsed)))
    context = AnswerContext("m", 0, lambda prefix: prefix + "new")
    out = DIALECTS[client].render_response(response, context).decode()
    losses = (*of_answer(response, DIALECTS[client], context), *settling.losses)
    assert {loss.kind for loss in losses} <= OF_ANSWER.keys()
    return out, " ".join(f"{loss.path} {loss.why}".lower() for loss in losses), {loss.kind for loss in losses}


def names(path: str) -> list[str]:
    return path.replace("[]", "").split(".")


def missing(
    vendor: str, client: str, marks: dict[str, str], answer: dict[str, Any], how: Any = None
) -> list[str]:
    out, losses, kinds = (how or given)(vendor, client, answer)
    if kinds & WHOLE_PARTS:
        return []
    found = []
    for path, mark in marks.items():
        members = names(path)
        named = any(name.lower() in losses or NAMED_BY_KIND.get(name) in kinds for name in members)
        sealed = MARK in out and not NAMED_BY_KIND.keys().isdisjoint(members)
        if mark not in out and not named and not sealed:
            found.append(path)
    return found


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("vendor", [ANTHROPIC, RESPONSES, GEMINI])
def test_every_member_of_every_part(vendor: str, client: str) -> None:
    """Of each type of block, item and part, in each of its forms."""
    gaps = {
        f"{kind}: {path}"
        for dialect, kind, marks, answer in parts()
        if dialect == vendor
        for path in missing(vendor, client, marks, answer)
        if NOT_CARRIED.keys().isdisjoint(names(path))
    }
    assert sorted(gaps) == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("vendor", CLIENTS)
def test_every_member_around_them(vendor: str, client: str) -> None:
    """Of a message, a choice and a candidate."""
    gaps = {
        f"{kind}: {path}"
        for dialect, kind, marks, answer in around()
        if dialect == vendor
        for path in missing(vendor, client, marks, answer)
        if NOT_CARRIED.keys().isdisjoint(names(path))
    }
    assert sorted(gaps) == []


def _event(**event: Any) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


#: What a stream of Messages gives in pieces: the member, and its type of delta.
PIECES = {"text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta"}


def stream_of_message(answer: dict[str, Any]) -> Iterator[bytes]:
    """As the vendor streams it: what grows in pieces, other blocks whole at their start."""
    yield _event(type="message_start", message={**answer, "content": [], "stop_reason": None})
    for index, whole in enumerate(answer["content"]):
        block, deltas = dict(whole), []
        if block["type"] in ("text", "thinking"):
            for name in PIECES.keys() & block.keys():
                deltas.append({"type": PIECES[name], name: block[name]})
                block[name] = ""
            for citation in block.pop("citations", None) or ():
                deltas.append({"type": "citations_delta", "citation": citation})
        elif block["type"] in ("tool_use", "server_tool_use", "mcp_tool_use"):
            deltas.append({"type": "input_json_delta", "partial_json": json.dumps(block["input"])})
            block["input"] = {}
        yield _event(type="content_block_start", index=index, content_block=block)
        for delta in sorted(deltas, key=lambda delta: delta["type"] == "signature_delta"):
            yield _event(type="content_block_delta", index=index, delta=delta)
        yield _event(type="content_block_stop", index=index)
    end = {name: answer.get(name) for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield _event(type="message_delta", delta=end, usage=answer["usage"])
    yield _event(type="message_stop")


def stream_of_response(answer: dict[str, Any]) -> Iterator[bytes]:
    """Each item at its beginning and at its end, and the whole at the end."""
    yield _event(type="response.created", response={**answer, "status": "in_progress", "output": []})
    for index, item in enumerate(answer["output"]):
        added = {**item, "status": "in_progress"}
        for grows in ("content", "summary"):
            if isinstance(added.get(grows), list):
                added[grows] = []
        for grows in ("arguments", "input"):
            if isinstance(added.get(grows), str):
                added[grows] = ""
        yield _event(type="response.output_item.added", output_index=index, item=added)
        yield _event(type="response.output_item.done", output_index=index, item=item)
    yield _event(type="response.completed", response=answer)


def stream_of_candidate(answer: dict[str, Any]) -> Iterator[bytes]:
    """One event has it all."""
    yield b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"


STREAMS = {ANTHROPIC: stream_of_message, RESPONSES: stream_of_response, GEMINI: stream_of_candidate}


def streamed(vendor: str, client: str, answer: dict[str, Any]) -> tuple[str, str, set[str]]:
    """As :func:`given`, of a stream."""
    settling = Settling(one=True, client="" if vendor == client else client)
    parser = DIALECTS[vendor].stream_parser()
    renderer = DIALECTS[client].stream_renderer(AnswerContext("m", 0, lambda prefix: prefix + "new"))
    out = b""
    for piece in STREAMS[vendor](answer):
        out += renderer.feed(settling.feed(parser.feed(piece)))
    out += renderer.feed(settling.feed(parser.end()))
    losses = (*renderer.losses, *settling.losses)
    assert {loss.kind for loss in losses} <= OF_ANSWER.keys()
    told = " ".join(f"{loss.path} {loss.why}".lower() for loss in losses)
    return out.decode(), told, {loss.kind for loss in losses}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("vendor", STREAMS)
def test_every_member_of_a_stream(vendor: str, client: str) -> None:
    """Streams lose no more than whole answers."""
    if vendor == client:
        return  # bytes pass as they are
    gaps = {
        f"{kind}: {path}"
        for dialect, kind, marks, answer in (*parts(), *around())
        if dialect == vendor
        for path in missing(vendor, client, marks, answer, streamed)
        if NOT_CARRIED.keys().isdisjoint(names(path))
    }
    assert sorted(gaps) == []


def test_what_need_not_be_carried_is_lost_somewhere() -> None:
    """No reason stands there for what reaches every client: here those of Messages."""
    lost = {
        name
        for vendor, _, marks, answer in (*parts(), *around())
        for path in missing(vendor, ANTHROPIC, marks, answer)
        for name in names(path)
    }
    assert lost >= NOT_CARRIED.keys()


#: What each vendor reports of tokens, the same in all: 100 in, of them 30 from the cache; 50 out, of them 20
#: thought.
USAGES: dict[str, dict[str, Any]] = {
    ANTHROPIC: {
        "input_tokens": 70,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 0,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    },
    CHAT: {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
    RESPONSES: {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 150,
    },
    GEMINI: {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 150,
    },
}
USAGE_TYPES = {ANTHROPIC: beta.BetaUsage, RESPONSES: ResponseUsage, CHAT: CompletionUsage}
USAGE_TYPES[GEMINI] = genai.GenerateContentResponseUsageMetadata
#: Members that only say how the counted tokens divide, or how they were served.
DIVIDING = frozenset(
    ("cache_creation", "inference_geo", "service_tier", "serviceTier", "speed", "trafficType", "total_tokens")
)


def with_usage(vendor: str, usage: dict[str, Any]) -> dict[str, Any]:
    if vendor == ANTHROPIC:
        return part_of_message({"type": "text", "text": "words"}) | {"usage": usage}
    if vendor == RESPONSES:
        return item_of_response(SAID) | {"usage": usage}
    if vendor == GEMINI:
        return part_of_candidate({"text": "words"}) | {"usageMetadata": usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": "words"}, "finish_reason": "stop"}
    return {"id": "c", "created": 1, "model": "m", "choices": [choice], "usage": usage}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("vendor", CLIENTS)
def test_tokens_are_the_same_for_every_client(vendor: str, client: str) -> None:
    """Each dialect counts otherwise: with or without what was cached, or thought."""
    out = json.loads(given(vendor, client, with_usage(vendor, USAGES[vendor]))[0])
    found = out["usageMetadata" if client == GEMINI else "usage"]
    for name, value in USAGES[client].items():
        if isinstance(value, dict):
            assert found[name].items() >= value.items()
        else:
            assert found[name] == value


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("vendor", CLIENTS)
def test_what_else_a_usage_reports(vendor: str, client: str) -> None:
    """Searches that are billed, the tokens of further models: what has no count of its own is a loss."""
    if vendor == client:
        return
    counted = {name for usage in USAGES.values() for name in usage}
    for turn in range(3):
        made = Maker(turn).model(USAGE_TYPES[vendor])
        for name, value in made.items():
            if name in counted | DIVIDING or name.endswith(("TokensDetails", "_tokens_details")):
                continue
            usage = {**USAGES[vendor], name: value}
            _, losses, _ = given(vendor, client, with_usage(vendor, usage))
            if name == "toolUsePromptTokenCount":
                continue  # is part of the input
            assert f"usage.{name}".lower() in losses, (name, losses)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("vendor", [ANTHROPIC, RESPONSES, GEMINI])
def test_no_turn_is_empty(vendor: str, client: str) -> None:
    """Whatever an answer holds, the client has something to give back in the next turn."""
    empty = []
    for dialect, kind, _, answer in parts():
        if dialect != vendor or vendor == client:
            continue
        out = json.loads(given(vendor, client, answer)[0])
        if client == ANTHROPIC:
            shown: Any = out["content"]
        elif client == CHAT:
            message = out["choices"][0]["message"]
            shown = [value for name, value in message.items() if value and name != "role"]
        elif client == RESPONSES:
            shown = out["output"]
        else:
            shown = [part for part in out["candidates"][0]["content"]["parts"] if any(part.values())]
        if not shown:
            empty.append(kind)
    assert empty == []


WORDS = {
    "what the shell printed": (
        ANTHROPIC,
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "s",
            "content": {
                "type": "bash_code_execution_result",
                "stdout": "it printed this",
                "stderr": "",
                "return_code": 0,
                "content": [],
            },
        },
        "it printed this",
    ),
    "a page that was found": (
        ANTHROPIC,
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [
                {
                    "type": "web_search_result",
                    "title": "Its title",
                    "url": "https://example.org/a",
                    "encrypted_content": "SECRET",
                }
            ],
        },
        "https://example.org/a",
    ),
    "a summary": (ANTHROPIC, {"type": "compaction", "content": "We had agreed on tabs."}, "agreed on tabs"),
    "what a server of tools said": (
        RESPONSES,
        {
            "type": "mcp_call",
            "id": "mcp_1",
            "name": "n",
            "server_label": "l",
            "arguments": "{}",
            "output": "the issue is open",
        },
        "the issue is open",
    ),
    "what OpenAI's shell printed": (
        RESPONSES,
        {
            "type": "shell_call_output",
            "id": "sh_1",
            "call_id": "c",
            "status": "completed",
            "output": [{"stdout": "42 files", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        },
        "42 files",
    ),
    "what Gemini's code printed": (
        GEMINI,
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "3.14"}},
        "3.14",
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", WORDS)
def test_results_of_the_vendors_tools_are_read(name: str, client: str) -> None:
    """A client of another dialect gets their words as text, and no proof among them."""
    vendor, part, words = WORDS[name]
    wrap = {ANTHROPIC: part_of_message, RESPONSES: item_of_response, GEMINI: part_of_candidate}[vendor]
    out, losses, kinds = given(vendor, client, wrap(part))
    assert words in out
    if client != vendor:
        assert "opaque" in kinds
        assert "as text" in losses
        assert "SECRET" not in out


@pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
def test_why_a_vendor_refused(client: str) -> None:
    """The explanation stands beside the end at Anthropic's; other clients read it as the refusal."""
    answer = part_of_message({"type": "text", "text": "I"}) | {
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "It could do harm."},
    }
    assert "It could do harm." in given(ANTHROPIC, client, answer)[0]


@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_cited_pages(client: str) -> None:
    """They are annotations of the text."""
    page = {
        "type": "web_search_result_location",
        "url": "https://example.org/a",
        "title": "A page",
        "cited_text": "so it is",
        "encrypted_index": "X",
    }
    out = given(ANTHROPIC, client, part_of_message({"type": "text", "text": "So.", "citations": [page]}))[0]
    assert '"url":"https://example.org/a"' in out
    assert '"url_citation"' in out


def test_the_types_are_the_newest() -> None:
    """The unions that are walked have what the SDKs can read today."""
    assert {"bash_code_execution_tool_result", "tool_search_tool_result"} <= _types(messages.ContentBlock)
    assert {"compaction", "mcp_tool_result", "fallback"} <= _types(beta.BetaContentBlock)
    assert {"shell_call_output", "mcp_call", "compaction", "program"} <= _types(ResponseOutputItem)
    assert "output" in Response.model_fields
    assert {"toolCall", "toolResponse"} <= {field.alias for field in genai.Part.model_fields.values()}


def _types(union: Any) -> set[str]:
    return {Maker().model(model)["type"] for model in members_of(union)}
