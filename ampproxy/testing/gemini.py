"""A strict stand-in of Gemini: the Gemini API's paths and Vertex's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ampproxy.testing import schema as s
from ampproxy.testing.gemini_rules import COUNT, EMBED, EMBED_BATCH, GENERATE, RULES, camel, understand
from ampproxy.testing.script import Answer
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
    only_credential,
)

#: What the model list holds; any other model answers all the same.
MODELS = ("gemini-3.1-pro-preview", "gemini-3-flash-preview", "gemini-2.5-pro", "gemini-2.5-flash")
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY", "tool": "STOP"}
_GOOGLE = "type.googleapis.com/google.rpc"


def _is_vertex(request: Recorded) -> bool:
    return "/publishers/" in request.path


class Gemini(Vendor):
    """``/v1beta/models/{m}:method``, and Vertex's ``…/publishers/google/models/{m}:method``."""

    name = "gemini"

    def __init__(self, scripts: Scripts, keys: Iterable[str] = ()) -> None:
        super().__init__(scripts, keys)
        # The field is one of bytes, which protocol buffers write in the standard alphabet.
        self.seal = Seal(others=b"+/")

    def authenticate(self, request: Recorded) -> str:
        """A key in ``x-goog-api-key`` or the query; on Vertex's paths a bearer token does too."""
        allowed = ("x-goog-api-key", "authorization") if _is_vertex(request) else ("x-goog-api-key",)
        stranger = only_credential(request, *allowed)
        if stranger is not None:
            raise VendorError(401, f"Request had invalid authentication credentials: unexpected {stranger}.")
        given = [request.headers.get("x-goog-api-key"), request.query.get("key")]
        given.append(request.bearer() if _is_vertex(request) else None)
        keys = [one for one in given if one is not None]
        if not keys:
            words = "Method doesn't allow unregistered callers (callers without established identity)."
            raise VendorError(403, f"{words} Please use API Key or other form of API consumer identity.")
        if any(one not in self.keys for one in keys):
            info = {"@type": f"{_GOOGLE}.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            raise VendorError(400, "API key not valid. Please pass a valid API key.", details=[info])
        return keys[0]

    def refusal(self, error: VendorError) -> Reply:
        """``{"error": {code, message, status, details}}``; a time to wait stands in the details."""
        details = list(error.details)
        if error.retry_after is not None:
            details.append({"@type": f"{_GOOGLE}.RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
        status = error.kind or _STATUS.get(error.status, "UNKNOWN")
        status_body: dict[str, Any] = {"code": error.status, "message": error.message, "status": status}
        if details:
            status_body["details"] = details
        body = json.dumps({"error": status_body}, indent=2, ensure_ascii=False).encode()
        return Reply(status=error.status, body=body, content_type="application/json; charset=UTF-8")

    def mismatch(self, problem: s.Mismatch) -> VendorError:
        """The words of Google's JSON reader."""
        path = problem.path
        if problem.kind == "unknown":
            where = f" at '{s.bracketed(path[:-1])}'" if path[:-1] else ""
            words = f'Invalid JSON payload received. Unknown name "{path[-1]}"{where}: Cannot find field.'
        elif problem.kind == "missing":
            words = f"* GenerateContentRequest.{s.bracketed(path)}: required field is not specified"
        else:
            words = f"Invalid value at '{s.bracketed(path)}': {problem.message}"
        violation = {"field": s.bracketed(path), "description": words}
        return VendorError(
            400, words, details=[{"@type": f"{_GOOGLE}.BadRequest", "fieldViolations": [violation]}]
        )

    def body(self, request: Recorded, table: s.Check) -> dict[str, Any]:
        """The body in lowerCamelCase, which is checked: both spellings are taken."""
        given: dict[str, Any] = camel(super().body(request, s.OBJECT))
        table(given, ())
        return given

    def generate(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``:generateContent`` and ``:streamGenerateContent``."""
        model = found["model"]
        body = self.body(request, GENERATE[_is_vertex(request)])
        for rule in RULES:
            rule(body, model, self.seal)
        asked = understand(body, model, found["method"] == "streamGenerateContent", len(request.body))
        answer, script = self.plan(request, asked)
        shown = body.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts", False)
        head = {"modelVersion": model.partition("+")[0], "responseId": self.new_id("resp")}
        parts = list(self._parts(answer, shown, model))
        if not asked.stream:
            whole = _chunk(_joined(parts), answer, head, last=True)
            body_text = json.dumps(whole, indent=2, ensure_ascii=False).encode()
            return Reply(body=body_text, content_type="application/json; charset=UTF-8", script=script)
        chunks = [_chunk([part], answer, head, last=False) for part in parts[:-1]]
        chunks.append(_chunk(parts[-1:], answer, head, last=True))
        broken = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
        if request.query.get("alt") == "sse":
            kind, events, error = "text/event-stream", tuple(map(_event, chunks)), _event(broken)
        else:
            kind, events = "application/json; charset=UTF-8", tuple(_array(chunks))
            error = b",\r\n" + json.dumps([broken], indent=2).encode()[1:]
        return Reply(events=events, content_type=kind, broken=error, script=script)

    def _parts(self, answer: Answer, shown: bool, model: str) -> Iterator[dict[str, Any]]:
        """The parts as a stream brings them: thoughts, texts, calls; the signature where Google puts it."""
        thought = answer.thinking or model.startswith("gemini-3")
        sealed = {"thoughtSignature": self.seal.issue("thought")} if thought else {}
        if answer.thinking and shown:
            yield {"text": answer.thinking, "thought": True}
        for piece in answer.pieces:
            yield {"text": piece}
        for at, (name, arguments) in enumerate(answer.calls):
            call = {"functionCall": {"name": name, "args": json.loads(arguments or "{}")}}
            yield {**call, **sealed} if at == 0 else call
        if not answer.calls and (sealed or not answer.pieces):
            yield {"text": "", **sealed}

    def count(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``:countTokens``."""
        request.model = found["model"]
        body = self.body(request, COUNT[_is_vertex(request)])
        if "contents" not in body and "generateContentRequest" not in body:
            raise VendorError(400, "* CountTokensRequest.contents: contents is not specified")
        tokens = max(1, len(request.body) // 4)
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        return Reply(body=dump({"totalTokens": tokens, "promptTokensDetails": details}))

    def embed(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``:embedContent`` and ``:batchEmbedContents``."""
        request.model = found["model"]
        if found["method"] == "embedContent":
            return Reply(body=dump({"embedding": _vector(self.body(request, EMBED))}))
        rows = self.body(request, EMBED_BATCH)["requests"]
        return Reply(body=dump({"embeddings": [_vector(row) for row in rows]}))

    def models(self, request: Recorded, _: dict[str, str]) -> Reply:
        """``GET /v1beta/models``."""
        return Reply(body=dump({"models": [_model(name) for name in MODELS]}))

    def model(self, request: Recorded, found: dict[str, str]) -> Reply:
        """``GET /v1beta/models/{m}``."""
        if found["model"] not in MODELS:
            words = f"models/{found['model']} is not found for API version v1beta"
            raise VendorError(404, f"{words}, or is not supported for generateContent.")
        return Reply(body=dump(_model(found["model"])))

    _BASE = r"/v1(?:beta|beta1)?/(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?models"
    routes: ClassVar[tuple[tuple[str, str, Answering], ...]] = (
        ("POST", _BASE + "/(?P<model>.+):(?P<method>generateContent|streamGenerateContent)", generate),
        ("POST", _BASE + "/(?P<model>.+):countTokens", count),
        ("POST", _BASE + "/(?P<model>.+):(?P<method>embedContent|batchEmbedContents)", embed),
        ("GET", _BASE, models),
        ("GET", _BASE + "/(?P<model>[^:]+)", model),
    )


def _model(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"]
    limits = {"inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}
    shown = name.replace("-", " ").title()
    named = {"name": f"models/{name}", "version": "001", "displayName": shown}
    return {**named, **limits, "supportedGenerationMethods": methods, "thinking": True}


def _vector(row: dict[str, Any]) -> dict[str, Any]:
    text = "".join(part.get("text", "") for part in row["content"]["parts"])
    return {"values": [((len(text) * (n + 1)) % 97) / 97 for n in range(row.get("outputDimensionality", 16))]}


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts of a whole answer: texts in a row are one."""
    joined: list[dict[str, Any]] = []
    for kind, group in itertools.groupby(parts, key=lambda part: (part.get("thought"), "text" in part)):
        listed = list(group)
        if kind[1]:
            merged = {name: value for part in listed for name, value in part.items()}
            listed = [{**merged, "text": "".join(part["text"] for part in listed)}]
        joined += listed
    return joined


def _chunk(parts: list[dict[str, Any]], answer: Answer, head: dict[str, Any], last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    generated = answer.output_tokens - answer.reasoning_tokens
    usage: dict[str, Any] = {"promptTokenCount": answer.input_tokens}
    if last:
        candidate["finishReason"] = _FINISH[answer.finish]
        usage["candidatesTokenCount"] = generated
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    if answer.reasoning_tokens:
        usage["thoughtsTokenCount"] = answer.reasoning_tokens
    counted = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    usage["totalTokenCount"] = sum(usage.get(name, 0) for name in counted)
    return {"candidates": [candidate], "usageMetadata": usage, **head}


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"


def _array(chunks: list[dict[str, Any]]) -> Iterator[bytes]:
    for at, chunk in enumerate(chunks):
        end = b"]" if at == len(chunks) - 1 else b""
        yield (b",\r\n" if at else b"[") + json.dumps(chunk, indent=2, ensure_ascii=False).encode() + end


async def start(reactor: Any, **settings: Any) -> StandIn:
    """A running stand-in of Gemini (see :func:`ampproxy.testing.stand_in.start_vendor`)."""
    return start_vendor(reactor, Gemini, **settings)
