"""A strict stand-in of Anthropic's Messages API. Its rules: :mod:`ampproxy.testing.anthropic_rules`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ampproxy.testing import schema as s
from ampproxy.testing.anthropic_betas import check_betas
from ampproxy.testing.anthropic_rules import COUNT, MESSAGES, RULES, blocks_of, is_vendor_tool
from ampproxy.testing.script import Answer, Asked
from ampproxy.testing.stand_in import StandIn, start_vendor
from ampproxy.testing.vendor import (
    Answering,
    Recorded,
    Reply,
    Scripts,
    Seal,
    Vendor,
    VendorError,
    dump,
    fragments,
    only_credential,
    sse,
)

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal", "tool": "tool_use"}
#: What the model list holds; any other model answers all the same.
MODELS = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5-20251001")


def _text_in(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if part["type"] == "text")


def _media(block: dict[str, Any]) -> str:
    source = block["source"]
    return source.get("media_type") or f"{block['type']} by {source['type']}"


def understand(body: dict[str, Any], size: int) -> Asked:
    """What an answer depends on."""
    last = [message for message in body["messages"] if message["role"] != "system"][-1]
    blocks = blocks_of(last) if last["role"] == "user" else []
    declared = [tool for tool in body.get("tools", []) if not is_vendor_tool(tool)]
    tools = {tool["name"]: tool["input_schema"] for tool in declared}
    choice = body.get("tool_choice", {"type": "auto"})
    forced = {"any": tuple(tools), "tool": (choice.get("name", ""),)}.get(choice["type"], ())
    results = [_text_in(block.get("content")) for block in blocks if block["type"] == "tool_result"]
    output = body.get("output_config", {}).get("format") or {}
    return Asked(
        model=body["model"],
        stream=body.get("stream", False),
        text=_text_in(blocks),
        tools={} if choice["type"] == "none" else tools,
        forced=forced,
        results=tuple(results),
        media=tuple(_media(block) for block in blocks if "source" in block),
        schema=output.get("schema"),
        thinking=body.get("thinking", {"type": "disabled"})["type"] != "disabled",
        size=size,
        cached=b'"cache_control"' in dump(body),
    )


class Anthropic(Vendor):
    """The Messages API: ``/v1/messages``, ``/v1/messages/count_tokens``, ``/v1/models``.

    :param tokens: OAuth tokens that it accepts as ``Authorization: Bearer``.
    """

    name = "anthropic"

    def __init__(self, scripts: Scripts, keys: Iterable[str] = (), tokens: Iterable[str] = ()) -> None:
        super().__init__(scripts, keys)
        self.tokens = tuple(tokens)
        self.seal = Seal()

    def authenticate(self, request: Recorded) -> str:
        """A key in ``x-api-key`` or as bearer (the SDK does so since 2.x), or a login's token as bearer."""
        key, token = request.headers.get("x-api-key"), request.bearer()
        if key is None and token is None:
            raise VendorError(401, "x-api-key header is required")
        stranger = only_credential(request, "x-api-key", "authorization")
        if stranger is not None:
            raise VendorError(401, f"unexpected credential in {stranger}")
        if key is not None and key not in self.keys:
            raise VendorError(401, "invalid x-api-key")
        if token is not None and token not in (*self.keys, *self.tokens):
            raise VendorError(401, "Invalid bearer token")
        return key or token or ""

    def dispatch(self, request: Recorded) -> Reply:
        """Nothing is answered without ``anthropic-version``."""
        if not request.headers.get("anthropic-version"):
            raise VendorError(400, "anthropic-version: header is required")
        return super().dispatch(request)

    def refusal(self, error: VendorError) -> Reply:
        """``{"type": "error", "error": {type, message}}``."""
        request_id = self.new_id("req_")
        headers = [("request-id", request_id)]
        if error.retry_after is not None:
            headers.append(("retry-after", f"{error.retry_after:g}"))
        body = {"type": "error", "error": _error(error), "request_id": request_id}
        return Reply(status=error.status, body=dump(body), headers=tuple(headers))

    def mismatch(self, problem: s.Mismatch) -> VendorError:
        """The path, then what is wrong."""
        return VendorError(400, f"{s.dotted(problem.path)}: {problem.message}")

    def _valid(self, request: Recorded, table: s.Check) -> dict[str, Any]:
        body = self.body(request, table)
        check_betas(body, request.headers.get("anthropic-beta", ""))
        for rule in RULES:
            rule(body, self.seal)
        return body

    def messages(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/messages``."""
        asked = understand(self._valid(request, MESSAGES), len(request.body))
        answer, script = self.plan(request, asked)
        message = self._message(asked.model, answer)
        headers = (("request-id", self.new_id("req_")),)
        if not asked.stream:
            return Reply(body=dump(message), script=script, headers=headers)
        broken = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return Reply(
            events=tuple(stream(message, answer)),
            content_type="text/event-stream; charset=utf-8",
            headers=(*headers, ("cache-control", "no-cache")),
            broken=sse("error", broken),
            script=script,
        )

    def _message(self, model: str, answer: Answer) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if answer.thinking:
            signature = self.seal.issue(answer.thinking)
            content.append({"type": "thinking", "thinking": answer.thinking, "signature": signature})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        for name, arguments in answer.calls:
            use = {"type": "tool_use", "id": self.new_id("toolu_01"), "name": name}
            content.append({**use, "input": json.loads(arguments or "{}")})
        return {
            "id": self.new_id("msg_01"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": _STOP[answer.finish],
            "stop_sequence": None,
            "usage": _usage(answer),
        }

    def count(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``POST /v1/messages/count_tokens``."""
        request.model = self._valid(request, COUNT)["model"]
        script = self.scripts.take(request.model, request.key)
        if script.status is not None:
            raise VendorError(script.status, script.message or "Refused.", retry_after=script.retry_after)
        return Reply(body=dump({"input_tokens": max(1, len(request.body) // 4)}), script=script)

    def models(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /v1/models``."""
        data = [_model(name) for name in MODELS]
        page = {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
        return Reply(body=dump(page))

    def model(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``GET /v1/models/{id}``."""
        if found["model"] not in MODELS:
            raise VendorError(404, f"model: {found['model']}")
        return Reply(body=dump(_model(found["model"])))

    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("POST", "/v1/messages", messages),
        ("POST", "/v1/messages/count_tokens", count),
        ("GET", "/v1/models", models),
        ("GET", "/v1/models/(?P<model>.+)", model),
    )


def _error(error: VendorError) -> dict[str, str]:
    kind = error.kind or _TYPES.get(error.status)
    kind = kind or ("api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": kind, "message": error.message}


def _model(name: str) -> dict[str, Any]:
    shown = name.replace("-", " ").title()
    return {"type": "model", "id": name, "display_name": shown, "created_at": "2026-02-05T00:00:00Z"}


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answer.output_tokens,
        "service_tier": "standard",
    }


def stream(message: dict[str, Any], answer: Answer) -> Iterator[bytes]:
    """The events of a whole message."""
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    yield sse("message_start", {"type": "message_start", "message": start})
    yield sse("ping", {"type": "ping"})
    for index, block in enumerate(message["content"]):
        opened, deltas = _deltas(block, answer)
        where = {"index": index}
        yield sse("content_block_start", {"type": "content_block_start", **where, "content_block": opened})
        for delta in deltas:
            yield sse("content_block_delta", {"type": "content_block_delta", **where, "delta": delta})
        yield sse("content_block_stop", {"type": "content_block_stop", **where})
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    final = {name: count for name, count in message["usage"].items() if name.endswith("_tokens")}
    yield sse("message_delta", {"type": "message_delta", "delta": end, "usage": final})
    yield sse("message_stop", {"type": "message_stop"})


def _deltas(block: dict[str, Any], answer: Answer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it opens, and its deltas."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": one} for one in answer.pieces]
        case "thinking":
            parts = fragments(block["thinking"])
            deltas = [{"type": "thinking_delta", "thinking": one} for one in parts]
            sealed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*deltas, sealed]
        case _:
            text = json.dumps(block["input"], ensure_ascii=False)
            parts = ["", *fragments(text)]
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": one} for one in parts
            ]


async def start(reactor: Any, **settings: Any) -> StandIn:
    """Start a stand-in of Anthropic (:func:`~ampproxy.testing.stand_in.start_vendor`; also ``tokens``)."""
    return start_vendor(reactor, Anthropic, **settings)
