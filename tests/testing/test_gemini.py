"""The stand-in of Gemini refuses what Gemini refuses, and takes a well-formed tool loop."""

from __future__ import annotations

import base64
import json

import pytest

from ampproxy.testing import gemini
from ampproxy.testing.vendor import Scripts

BASE = "/v1beta/models/"
SCHEMA = {"type": "OBJECT", "properties": {"path": {"type": "STRING"}}, "required": ["path"]}
HELLO = {"role": "user", "parts": [{"text": "Hello there"}]}
CALL = {"functionCall": {"name": "Read", "args": {"path": "x"}}}
GAVE = {"functionResponse": {"name": "Read", "response": {"output": "contents"}}}


def tools(**changes):
    return {"tools": [{"functionDeclarations": [{"name": "Read", "parameters": SCHEMA, **changes}]}]}


def schema(**members):
    return tools(parameters={"type": "OBJECT", "properties": {"a": members}})


def model(*parts):
    return {"role": "model", "parts": list(parts)}


def user(*parts):
    return {"role": "user", "parts": list(parts)}


def generation(**members):
    return {"generationConfig": members}


def thinking(**members):
    return generation(thinkingConfig=members)


FLASH, PRO, THREE = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash-preview"
REFUSED = [
    (FLASH, {"foo": 1}, 'Unknown name "foo": Cannot find field.'),
    (FLASH, {"labels": {"a": "b"}}, "Cannot find field"),
    (FLASH, {"contents": []}, "contents is not specified"),
    (FLASH, {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role: user, model"),
    (FLASH, {"contents": [user()]}, "must not be empty"),
    (FLASH, {"contents": [user({"text": "x", "inlineData": {"mimeType": "a/b", "data": ""}})]}, "oneof"),
    (FLASH, {"contents": [user({"thought": True})]}, "oneof field 'data'"),
    (FLASH, {"contents": [user({"inlineData": {"mimeType": "image/png", "data": "***"}})]}, "Base64"),
    (FLASH, {"contents": [model(CALL), user(GAVE)]}, "function call turn comes immediately after"),
    (FLASH, {"contents": [HELLO, user(GAVE)]}, "function response turn comes immediately after"),
    (FLASH, {"contents": [HELLO, model(CALL, CALL), user(GAVE)]}, "number of function response parts"),
    (FLASH, {"contents": [HELLO, model(CALL), HELLO]}, "number of function response parts"),
    (
        FLASH,
        {"contents": [HELLO, model({**CALL, "thoughtSignature": "Zm9yZWlnbg=="}), user(GAVE)]},
        "not valid",
    ),
    (THREE, {"contents": [HELLO, model(CALL), user(GAVE)]}, "missing a thought_signature"),
    (FLASH, schema(type="STRING", **{"$ref": "#/x"}), 'Unknown name "$ref"'),
    (FLASH, schema(type="STRING", additionalProperties=False), "additionalProperties"),
    (FLASH, schema(type=["string", "null"]), "Schema.Type"),
    (FLASH, schema(type="STRING", const="x"), "const"),
    (FLASH, schema(type="INTEGER", enum=["1"]), "only allowed for STRING"),
    (FLASH, schema(type="STRING", format="uri"), "format"),
    (FLASH, schema(type="ARRAY"), "items: missing field"),
    (
        FLASH,
        tools(parameters={"type": "OBJECT", "properties": {}, "required": ["x"]}),
        "property is not defined",
    ),
    (FLASH, tools(parametersJsonSchema={"type": "object"}), "only one of"),
    (
        THREE,
        {"tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]},
        "include_server_side_tool_invocations",
    ),
    (PRO, thinking(thinkingBudget=0), "only works in thinking mode"),
    (PRO, thinking(thinkingBudget=40000), "between 128 and 32768"),
    (FLASH, thinking(thinkingLevel="HIGH"), "Thinking level is not supported"),
    (THREE, thinking(thinkingLevel="HIGH", thinkingBudget=5), "only set only one"),
    (FLASH, generation(stopSequences=list("abcdef")), "array too long"),
    (FLASH, generation(responseSchema=SCHEMA), "mime type"),
    (
        FLASH,
        {"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["a"]}}},
        "ANY or",
    ),
]


@pytest.mark.parametrize(("name", "changes", "words"), REFUSED)
def test_refused(google, name, changes, words):
    """A request that Gemini would refuse is a 400 INVALID_ARGUMENT in its words."""
    answered = google("POST", f"{BASE}{name}:generateContent", {"contents": [HELLO], **changes})
    assert answered.status == 400, answered.body
    error = answered.json["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in error["message"]


def test_credentials(google):
    """A wrong key is Google's own 400, none is 403, a foreign one beside it is refused."""
    path = f"{BASE}{FLASH}:generateContent"
    body = {"contents": [HELLO]}
    assert (
        google("POST", path, body, {"x-goog-api-key": "no"}).json["error"]["details"][0]["reason"]
        == "API_KEY_INVALID"
    )
    assert google("POST", path, body, {}).status == 403
    assert google("POST", path, body, {**google.headers, "authorization": "Bearer client-key"}).status == 401
    assert google("POST", path + "?key=vendor-key", body, {}).status == 200
    assert google.stand_in.leaks


@pytest.mark.parametrize("name", [FLASH, THREE])
@pytest.mark.parametrize("base", [BASE, "/v1beta1/projects/p/locations/global/publishers/google/models/"])
def test_tool_loop(google, name, base):
    """A loop whose parts come back as they were given passes, on the Gemini API's paths and on Vertex's."""
    path = f"{base}{name}:generateContent"
    contents = [user({"text": "use the tool Read"})]
    extra = {**tools(), **thinking(includeThoughts=True)}
    first = google("POST", path, {"contents": contents, **extra}).json["candidates"][0]
    assert first["finishReason"] == "STOP"
    # Google's SDKs for Go and Java read it in the standard alphabet alone.
    assert base64.b64decode(first["content"]["parts"][-1]["thoughtSignature"], validate=True)
    contents += [first["content"], user(GAVE)]
    second = google("POST", path, {"contents": contents, **extra})
    assert second.status == 200, second.body
    assert "contents" in second.json["candidates"][0]["content"]["parts"][-1]["text"]


def test_free_schema_and_snake_case(google):
    """``parametersJsonSchema`` is free, and protocol buffers' own spelling is taken."""
    free = {
        "$schema": "x",
        "type": "object",
        "additionalProperties": False,
        "properties": {"a": {"const": 1}},
    }
    declared = {"name": "Read", "parameters_json_schema": free}
    body = {"contents": [HELLO], "tools": [{"function_declarations": [declared]}]}
    assert google("POST", f"{BASE}{FLASH}:generateContent", body).status == 200


def test_what_sdks_send(google):
    """A member that is null is none, and a dummy signature may be written in base64."""
    path = f"{BASE}{THREE}:generateContent"
    body = {"contents": [HELLO], "safetySettings": None, "generationConfig": {"temperature": None}}
    assert google("POST", path, body).status == 200
    dummy = base64.b64encode(b"skip_thought_signature_validator").decode()
    contents = [HELLO, model({**CALL, "thoughtSignature": dummy}), user(GAVE)]
    assert google("POST", path, {"contents": contents, **tools()}).status == 200


def test_signatures_are_in_the_standard_alphabet():
    """Strict decoders fail on the other one."""
    seal = gemini.Gemini(Scripts()).seal
    issued = [seal.issue("thought") for _ in range(50)]
    assert all(seal.knows(one, "thought") for one in issued)
    assert not any(character in "".join(issued) for character in "-_")
    assert any(character in "".join(issued) for character in "+/")


def test_streams(google):
    """``alt=sse`` gives events with CRLF, no ``alt`` a JSON array; both are the whole answer."""
    path = f"{BASE}{FLASH}:streamGenerateContent"
    body = {"contents": [HELLO], **thinking(includeThoughts=True, thinkingBudget=500)}
    streamed = google("POST", path + "?alt=sse", body)
    assert streamed.body.endswith(b"\r\n\r\n")
    array = google("POST", path, body).json
    for chunks in (streamed.events, array):
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
        text = "".join(part["text"] for part in parts if not part.get("thought"))
        assert text == f"{FLASH} answers: Hello there"
        assert parts[0]["thought"] is True
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        usage = chunks[-1]["usageMetadata"]
        kinds = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
        assert usage["totalTokenCount"] == sum(usage[kind] for kind in kinds)


def test_other_methods(google):
    """Counting, embedding and listing answer; the developer API counts contents only."""
    path = f"{BASE}{FLASH}"
    assert google("POST", path + ":countTokens", {"contents": [HELLO]}).json["totalTokens"] > 5
    assert google("POST", path + ":countTokens", {"contents": [HELLO], **tools()}).status == 400
    assert google("POST", path + ":embedContent", {"content": HELLO}).json["embedding"]["values"]
    assert google("GET", "/v1beta/models").json["models"]
    assert google("GET", f"{BASE}nothing").status == 404


def test_time_to_wait(google):
    """A quota error says when to come back in its details, not in a header."""
    path = f"{BASE}{FLASH}+status=429+retry_after=7:generateContent"
    answered = google("POST", path, json.dumps({"contents": [HELLO]}).encode())
    assert answered.status == 429
    assert "retry-after" not in answered.headers
    assert answered.json["error"]["details"][0]["retryDelay"] == "7s"
