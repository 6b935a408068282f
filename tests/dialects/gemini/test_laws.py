"""Gemini keeps the laws of all dialects."""

from __future__ import annotations

import json
import re
import unittest
from typing import Any

from ampproxy.dialects.gemini import DIALECT
from ampproxy.dialects.gemini.request_in import raise_gemini
from ampproxy.model.base import Json
from ampproxy.model.events import ChatResponse
from tests.dialects.laws import VECTORS, DialectLaws, plain

_NAMES = re.compile(r"_([a-z])")


def camel(value: Any) -> Any:
    """Member names in the spelling of the API's answers."""
    if isinstance(value, dict):
        keys = {"additionalProperties", *value}
        return {
            (_NAMES.sub(lambda m: m[1].upper(), key) if key in _SPELLED else key): camel(item)
            for key, item in value.items()
            if keys
        }
    return [camel(item) for item in value] if isinstance(value, list) else value


def joined(parts: list[Any]) -> list[Any]:
    """The parts of a model's content with plain texts that follow each other as one."""
    found: list[Any] = []
    for part in parts:
        if found and part.keys() == found[-1].keys() == {"text"}:
            found[-1] = {"text": found[-1]["text"] + part["text"]}
        else:
            found.append(part)
    return found


def raised(schema: Any) -> Any:
    """Gemini's own kind of schema as the JSON Schema that means the same, which is what is sent."""
    return json.loads(raise_gemini(json.dumps(schema).encode()))


_SPELLED = {
    "system_instruction",
    "generation_config",
    "inline_data",
    "mime_type",
    "response_mime_type",
    "response_schema",
    "thinking_config",
    "thinking_budget",
    "include_thoughts",
    "safety_settings",
}


class GeminiLaws(DialectLaws, unittest.TestCase):
    dialect = DIALECT
    vectors = VECTORS / "gemini"
    terminal = re.compile(rb'"(finishReason|blockReason)"')

    def path_of(self, body: bytes) -> dict[str, Any]:
        return {"model": "gemini-x", "stream": True}

    def normal_request(self, body: Any) -> Any:
        body = camel(body)
        if "systemInstruction" in body:
            body["systemInstruction"].pop("role", None)
        for tool in body.get("tools", ()):
            for one in tool.get("functionDeclarations", ()):
                if "parameters" in one:
                    one["parametersJsonSchema"] = raised(one.pop("parameters"))
        config = body.get("generationConfig", {})
        if "responseSchema" in config:
            config["responseJsonSchema"] = raised(config.pop("responseSchema"))
        merged: list[Any] = []
        for content in body["contents"]:
            content.setdefault("role", "user")
            if merged and merged[-1]["role"] == content["role"]:
                merged[-1]["parts"] += content["parts"]
            else:
                merged.append(content)
        for content in merged:
            content["parts"] = joined(content["parts"]) if content["role"] == "model" else content["parts"]
        body["contents"] = merged
        return body

    def normal_response(self, body: Any) -> Any:
        for candidate in body.get("candidates", ()):
            candidate["content"].setdefault("parts", [{"text": ""}])
        body["usageMetadata"].setdefault("candidatesTokenCount", 0)
        return body

    def normal_fold(self, response: ChatResponse) -> Any:
        found = plain(response)
        # Made ids hang on the answer's id, which a stream and a whole answer get at different times.
        for candidate in found["candidates"]:
            for part in candidate["parts"]:
                part.pop("id", None) if str(part.get("id", "")).startswith("call_g") else None
        found.pop("id")
        return found


def test_vectors_are_json() -> None:
    """Each vector is what the API could have sent."""
    for path in (VECTORS / "gemini").rglob("*.json"):
        assert Json(json.dumps(json.loads(path.read_text())).encode())
