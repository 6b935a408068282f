"""A strict stand-in of OpenAI's Responses. Its rules: :mod:`ampproxy.testing.openai_responses_rules`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ampproxy.testing.openai import OpenAI, dated, model_entry
from ampproxy.testing.openai_responses_rules import (
    REQUEST,
    Item,
    call,
    check_limits,
    check_pairs,
    check_reasoning,
    items_of,
    understand,
)
from ampproxy.testing.script import Answer
from ampproxy.testing.stand_in import StandIn, start_vendor
from ampproxy.testing.vendor import (
    Answering,
    Recorded,
    Reply,
    Scripts,
    Seal,
    VendorError,
    dump,
    fragments,
    sse,
)

#: What the model list holds; any other model answers all the same.
MODELS = ("gpt-5.4", "gpt-5.4-mini", "gpt-5.3-codex")
#: Type of a call -> what its id begins with.
_PREFIXES = {"function_call": "fc_", "custom_tool_call": "ctc_", "tool_search_call": "tsc_"}
_INCOMPLETE = {"length": "max_output_tokens", "refusal": "content_filter"}
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "max_output_tokens": None,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "truncation": "disabled",
    "user": None,
}


class OpenAIResponses(OpenAI):
    """``/v1/responses``, ``/v1/responses/input_tokens``, ``/v1/responses/{id}``, ``/v1/models``."""

    name = "openai-responses"

    def __init__(self, scripts: Scripts, keys: Iterable[str] = ()) -> None:
        super().__init__(scripts, keys)
        self._seal = Seal("gAAAAAB")
        self._issued: dict[str, str] = {}
        self._stored: dict[str, Item] = {}
        self._threads: dict[str, list[Item]] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def _valid(self, request: Recorded) -> tuple[dict[str, Any], list[Item]]:
        body = self.body(request, REQUEST)
        check_limits(body)
        items = [self._referenced(item) for item in items_of(body)]
        previous = body.get("previous_response_id")
        if previous is not None:
            if previous not in self._threads:
                words = f"Previous response with id '{previous}' not found."
                raise VendorError(
                    400, words, param="previous_response_id", code="previous_response_not_found"
                )
            items = [*self._threads[previous], *items]
        check_pairs(items)
        check_reasoning(items, self._issued, self._stored)
        return body, items

    def _referenced(self, item: Item) -> Item:
        if item["type"] != "item_reference":
            return item
        if item["id"] not in self._stored:
            raise VendorError(404, f"Item with id '{item['id']}' not found.", param="input")
        return self._stored[item["id"]]

    def create(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/responses``."""
        body, items = self._valid(request)
        asked = understand(body, items, len(request.body))
        answer, script = self.plan(request, asked)
        output = self._output(answer, body, items)
        response = self._response(body, answer, output)
        if body.get("store") is not False:
            self._stored |= {item["id"]: item for item in output}
            self._threads[response["id"]] = [*items, *output]
            self._kept[response["id"]] = response
        if not asked.stream:
            return Reply(body=dump(response), script=script)
        failure = {
            "code": "server_error",
            "message": "The server had an error while processing your request.",
        }
        failed = {**response, "status": "failed", "output": [], "usage": None, "error": failure}
        event = {"type": "response.failed", "sequence_number": script.error or 0, "response": failed}
        return Reply(
            events=tuple(_numbered(_events(response, answer))),
            content_type="text/event-stream; charset=utf-8",
            broken=sse("response.failed", event),
            script=script,
        )

    def _output(self, answer: Answer, body: dict[str, Any], items: list[Item]) -> list[Item]:
        output: list[Item] = []
        if answer.thinking:
            output.append(self._reasoning(answer, body))
        status = "incomplete" if answer.finish in _INCOMPLETE else "completed"
        if answer.text or not answer.calls:
            part: Item = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
            if answer.finish == "refusal":
                part = {"type": "refusal", "refusal": answer.text}
            message = {"type": "message", "role": "assistant", "status": status, "content": [part]}
            output.append({"id": self.new_id("msg_"), **message})
        for name, arguments in answer.calls:
            called = call(name, arguments, body, items)
            named = {"id": self.new_id(_PREFIXES[called["type"]]), "call_id": self.new_id("call_")}
            output.append({**named, **called})
        return output

    def _reasoning(self, answer: Answer, body: dict[str, Any]) -> Item:
        shown = (body.get("reasoning") or {}).get("summary") is not None
        summary = [{"type": "summary_text", "text": answer.thinking}] if shown else []
        item: Item = {"id": self.new_id("rs_"), "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            sealed = self._seal.issue(item["id"])
            self._issued[sealed] = item["id"]
            item["encrypted_content"] = sealed
        return item

    def _response(self, body: dict[str, Any], answer: Answer, output: list[Item]) -> dict[str, Any]:
        reason = _INCOMPLETE.get(answer.finish)
        return {
            "id": self.new_id("resp_"),
            "object": "response",
            "created_at": 1_772_000_000,
            "status": "incomplete" if reason else "completed",
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": dated(body["model"]),
            **{name: body.get(name, default) for name, default in _ECHOED.items()},
            "service_tier": "default",
            "output": output,
            "usage": {
                "input_tokens": answer.input_tokens,
                "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
                "output_tokens": answer.output_tokens,
                "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
                "total_tokens": answer.input_tokens + answer.output_tokens,
            },
        }

    def count(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/responses/input_tokens``."""
        body, _items = self._valid(request)
        request.model = body["model"]
        tokens = max(1, len(request.body) // 4)
        return Reply(body=dump({"object": "response.input_tokens", "input_tokens": tokens}))

    def stored(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``GET /v1/responses/{id}``."""
        if found["id"] not in self._kept:
            raise VendorError(404, f"Response with id '{found['id']}' not found.")
        return Reply(body=dump(self._kept[found["id"]]))

    def models(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /v1/models``."""
        return Reply(body=dump({"object": "list", "data": [model_entry(name) for name in MODELS]}))

    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("POST", "(?:/v1)?/responses", create),
        ("POST", "(?:/v1)?/responses/input_tokens", count),
        ("GET", "(?:/v1)?/responses/(?P<id>resp_[^/]+)", stored),
        ("GET", "(?:/v1)?/models", models),
    )


Event = tuple[str, dict[str, Any]]


def _numbered(events: Iterable[Event]) -> Iterator[bytes]:
    for number, (name, members) in enumerate(events):
        kind = f"response.{name}"
        yield sse(kind, {"type": kind, "sequence_number": number, **members})


def _events(response: dict[str, Any], answer: Answer) -> Iterator[Event]:
    """The events of a whole response, without their numbers."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield "created", {"response": begun}
    yield "in_progress", {"response": begun}
    for index, item in enumerate(response["output"]):
        where = {"output_index": index}
        yield "output_item.added", {**where, "item": _opened(item)}
        yield from _item_events(item, {"item_id": item["id"], **where}, answer)
        yield "output_item.done", {**where, "item": item}
    yield response["status"], {"response": response}


def _opened(item: Item) -> Item:
    """An item as it is announced: nothing in it yet."""
    match item["type"]:
        case "message":
            return {**item, "status": "in_progress", "content": []}
        case "function_call":
            return {**item, "status": "in_progress", "arguments": ""}
        case "custom_tool_call":
            return {**item, "input": ""}
        case "tool_search_call":
            return {**item, "status": "in_progress"}
        case _:
            return {**item, "summary": []}


def _item_events(item: Item, where: dict[str, Any], answer: Answer) -> Iterator[Event]:
    match item["type"]:
        case "message":
            yield from _part_events(item["content"][0], {**where, "content_index": 0}, answer)
        case "function_call":
            for piece in fragments(item["arguments"]):
                yield "function_call_arguments.delta", {**where, "delta": piece}
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield "function_call_arguments.done", {**where, **done}
        case "custom_tool_call":
            for piece in fragments(item["input"]):
                yield "custom_tool_call_input.delta", {**where, "delta": piece}
            yield "custom_tool_call_input.done", {**where, "input": item["input"]}
        case "tool_search_call":
            pass
        case _:
            for index, part in enumerate(item["summary"]):
                at = {**where, "summary_index": index}
                yield "reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
                for piece in fragments(part["text"]):
                    yield "reasoning_summary_text.delta", {**at, "delta": piece}
                yield "reasoning_summary_text.done", {**at, "text": part["text"]}
                yield "reasoning_summary_part.done", {**at, "part": part}


def _part_events(part: Item, where: dict[str, Any], answer: Answer) -> Iterator[Event]:
    member = "refusal" if part["type"] == "refusal" else "text"
    extra: dict[str, Any] = {} if member == "refusal" else {"logprobs": []}
    yield "content_part.added", {**where, "part": {**part, member: ""}}
    for piece in answer.pieces:
        yield f"{part['type']}.delta", {**where, "delta": piece, **extra}
    yield f"{part['type']}.done", {**where, member: part[member], **extra}
    yield "content_part.done", {**where, "part": part}


async def start(reactor: Any, **settings: Any) -> StandIn:
    """A running stand-in of OpenAI's Responses (see :func:`ampproxy.testing.stand_in.start_vendor`)."""
    return start_vendor(reactor, OpenAIResponses, **settings)
