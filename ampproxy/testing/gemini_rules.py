"""What Gemini's generateContent takes: the declared request, and the rules between its parts."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from ampproxy.testing import schema as s
from ampproxy.testing.script import Asked
from ampproxy.testing.vendor import Seal, VendorError

#: Members whose value is the user's own JSON: names in it are not fields.
_FREE = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "properties"})
#: Dummy signatures that Google documents for calls which another model made.
_DUMMY_WORDS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
#: The field is one of bytes: its SDKs write the words in base64.
DUMMY_SIGNATURES = (*_DUMMY_WORDS, *(base64.b64encode(word.encode()).decode() for word in _DUMMY_WORDS))
_SCHEMA_TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED")
_FORMATS = {
    "STRING": ("enum", "date-time"),
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
}


def camel(value: Any) -> Any:
    """The value with its field names in lowerCamelCase: protocol buffers' JSON takes both spellings. A member
    that is null is the same as none.
    """
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    spelled = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): one for name, one in value.items()}
    return {
        name: one if name in _FREE else camel(one)
        for name, one in spelled.items()
        if one is not None or name in _FREE
    }


def _schema_type(value: Any, path: s.Path) -> None:
    if not isinstance(value, str) or value.upper() not in _SCHEMA_TYPES:
        s.fail("value", path, f"Invalid value ({value!r}) for Schema.Type")


def _schema(value: Any, path: s.Path) -> None:
    """Google's own Schema: a subset of OpenAPI's, which refuses most of JSON Schema."""
    _SCHEMA(value, path)


_SCHEMA = s.fields(
    {},
    type=_schema_type,
    items=_schema,
    properties=s.values(_schema),
    anyOf=s.items(_schema),
    enum=s.items(s.STR),
    required=s.items(s.STR),
    propertyOrdering=s.items(s.STR),
    nullable=s.BOOL,
    minimum=s.NUM,
    maximum=s.NUM,
    **s.same(("format", "title", "description", "pattern"), s.STR),
    **s.same(("default", "example"), s.ANY),
    **s.same(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"), s.ANY),
)
_BLOB = s.fields({"mimeType": s.STR, "data": s.STR}, displayName=s.STR)
_FILE = s.fields({"fileUri": s.STR}, mimeType=s.STR, displayName=s.STR)
_NAME = s.matching(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_CALL = s.fields({"name": _NAME}, id=s.STR, args=s.nullable(s.OBJECT))
_RESPONSE = s.fields(
    {"name": _NAME, "response": s.OBJECT},
    id=s.STR,
    willContinue=s.BOOL,
    scheduling=s.STR,
    parts=s.items(s.fields({}, inlineData=_BLOB, fileData=_FILE)),
)
#: Members of a part of which exactly one is set.
DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)
_PART = s.fields(
    {},
    text=s.STR,
    inlineData=_BLOB,
    fileData=_FILE,
    functionCall=_CALL,
    functionResponse=_RESPONSE,
    executableCode=s.OBJECT,
    codeExecutionResult=s.OBJECT,
    thought=s.BOOL,
    thoughtSignature=s.STR,
    videoMetadata=s.OBJECT,
    mediaResolution=s.ANY,
)
_CONTENT = s.fields({"parts": s.items(_PART)}, role=s.STR)
_DECLARATION = s.fields(
    {"name": _NAME},
    description=s.STR,
    parameters=_schema,
    parametersJsonSchema=s.OBJECT,
    response=_schema,
    responseJsonSchema=s.OBJECT,
    behavior=s.STR,
)
_BUILT_IN = (
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "googleMaps",
    "fileSearch",
)
#: ``ThinkingLevel`` of google-genai.
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
THINKING = s.fields(
    {},
    includeThoughts=s.BOOL,
    thinkingBudget=s.INT,
    thinkingLevel=s.choice(*_LEVELS, *map(str.lower, _LEVELS)),
)
GENERATION = s.fields(
    {},
    temperature=s.between(0, 2),
    topP=s.between(0, 1),
    topK=s.between(0, 1000),
    candidateCount=s.between(1, 8, s.INT),
    maxOutputTokens=s.between(1, 10**9, s.INT),
    stopSequences=s.items(s.STR, most=5),
    seed=s.INT,
    presencePenalty=s.between(-2, 2),
    frequencyPenalty=s.between(-2, 2),
    responseMimeType=s.choice("text/plain", "application/json", "text/x.enum"),
    responseSchema=_schema,
    responseJsonSchema=s.ANY,
    responseLogprobs=s.BOOL,
    logprobs=s.between(0, 20, s.INT),
    responseModalities=s.items(s.choice("TEXT", "IMAGE", "AUDIO")),
    thinkingConfig=THINKING,
    **s.same(("speechConfig", "mediaResolution", "imageConfig", "audioTimestamp", "routingConfig"), s.ANY),
)
_CALLING = s.fields(
    {},
    mode=s.choice("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"),
    allowedFunctionNames=s.items(s.STR),
)
_MEMBERS: dict[str, s.Check] = {
    "systemInstruction": _CONTENT,
    "tools": s.items(s.fields({}, functionDeclarations=s.items(_DECLARATION), **s.same(_BUILT_IN, s.OBJECT))),
    "toolConfig": s.fields(
        {},
        functionCallingConfig=_CALLING,
        retrievalConfig=s.ANY,
        includeServerSideToolInvocations=s.BOOL,
    ),
    "safetySettings": s.items(s.fields({"category": s.STR, "threshold": s.STR}, method=s.STR)),
    "generationConfig": GENERATION,
    "cachedContent": s.STR,
    "serviceTier": s.STR,
    "store": s.BOOL,
}
_CONTENTS: dict[str, s.Check] = {"contents": s.items(_CONTENT)}
#: The Gemini API's request, and Vertex's, which has labels.
GENERATE = {
    False: s.fields(_CONTENTS, **_MEMBERS),
    True: s.fields(_CONTENTS, **_MEMBERS, labels=s.values(s.STR)),
}
_WHOLE = s.fields(_CONTENTS, **_MEMBERS, model=s.STR)
#: The developer API counts contents only, unless they stand in a whole request.
COUNT = {
    False: s.fields({}, contents=s.items(_CONTENT), generateContentRequest=_WHOLE),
    True: s.fields(_CONTENTS, **_MEMBERS, model=s.STR, instances=s.ANY),
}
EMBED = s.fields(
    {"content": _CONTENT},
    model=s.STR,
    taskType=s.STR,
    title=s.STR,
    outputDimensionality=s.between(1, 3072, s.INT),
)
EMBED_BATCH = s.fields({"requests": s.items(EMBED, least=1)})


def refuse(message: str) -> None:
    """Refuse a request as Google does."""
    raise VendorError(400, message)


Body = dict[str, Any]


def check_contents(body: Body, model: str, seal: Seal) -> None:
    """Roles are user and model, each part says exactly one thing, bytes are base64."""
    if not body["contents"]:
        refuse("* GenerateContentRequest.contents: contents is not specified")
    for at, content in enumerate(body["contents"]):
        if content.get("role", "user") not in ("user", "model"):
            refuse("Please use a valid role: user, model.")
        if not content["parts"]:
            refuse(f"* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.")
        for index, part in enumerate(content["parts"]):
            where = f"contents[{at}].parts[{index}]"
            named = [name for name in DATA if name in part]
            if len(named) > 1:
                refuse(
                    f"Invalid value at '{where}' (oneof), oneof field 'data' is already set. Cannot set "
                    f"'{named[1]}'"
                )
            if not named:
                refuse(
                    f"* GenerateContentRequest.{where}.data: required oneof field 'data' must have one "
                    "initialized field"
                )
            _check_base64(f"{where}.inline_data.data", part.get("inlineData", {}).get("data", ""))
    if (
        body["contents"][-1].get("role", "user") == "model"
        and "functionCall" in body["contents"][-1]["parts"][-1]
    ):
        refuse("Please ensure that single turn requests end with a user role or the role field is empty.")


def _check_base64(where: str, data: str) -> None:
    try:
        base64.b64decode(data.replace("-", "+").replace("_", "/") + "=" * (-len(data) % 4), validate=True)
    except ValueError:
        raise VendorError(400, f"Invalid value at '{where}' (TYPE_BYTES), Base64 decoding failed") from None


def _named(content: Body, kind: str) -> list[Body]:
    return [part[kind] for part in content["parts"] if kind in part]


def check_pairs(body: Body, model: str, seal: Seal) -> None:
    """A turn of calls follows a user or response turn; a turn of responses follows it, one for each call."""
    contents = body["contents"]
    before: Body = {"role": "start", "parts": []}
    for at, content in enumerate(contents):
        calls, responses = _named(content, "functionCall"), _named(content, "functionResponse")
        role = content.get("role", "user")
        if calls and (role != "model" or before["role"] == "start" or before.get("role", "user") == "model"):
            refuse(
                "Please ensure that function call turn comes immediately after a user turn or after a "
                "function response turn."
            )
        called = _named(before, "functionCall")
        if responses and (role != "user" or not called):
            refuse("Please ensure that function response turn comes immediately after a function call turn.")
        if called and len(responses) != len(called):
            refuse(
                "Please ensure that the number of function response parts is equal to the number of function "
                "call parts of the function call turn."
            )
        ids = {call["id"] for call in called if "id" in call}
        for call, response in zip(called, responses, strict=False):
            if not ids and call["name"] != response["name"]:
                refuse(
                    f"Function response name '{response['name']}' does not match the call "
                    f"'{call['name']}' at contents[{at}]."
                )
            if response.get("id") and ids and response["id"] not in ids:
                refuse(f"Function response id '{response['id']}' does not match any function call.")
        before = content


def check_signatures(body: Body, model: str, seal: Seal) -> None:
    """Signatures are our own; Gemini 3 wants one on the first call of each step of the current turn."""
    contents = body["contents"]
    for at, content in enumerate(contents):
        for index, part in enumerate(content["parts"]):
            value = part.get("thoughtSignature")
            if value is not None and not seal.knows(value, "thought") and value not in DUMMY_SIGNATURES:
                _check_base64(f"contents[{at}].parts[{index}].thought_signature", value)
                refuse("Thought signature is not valid.")
    if not model.startswith("gemini-3"):
        return
    turn = [
        at
        for at, one in enumerate(contents)
        if one.get("role") != "model" and not _named(one, "functionResponse")
    ]
    for at in range(turn[-1] + 1 if turn else 0, len(contents)):
        first = next((part for part in contents[at]["parts"] if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            refuse(
                "Function call is missing a thought_signature in functionCall parts. This is required for "
                "tools to work correctly, and missing thought_signature may lead to degraded model "
                "performance. Additional data, function call "
                f"`default_api:{first['functionCall']['name']}` , position {at + 1}."
            )


def check_tools(body: Body, model: str, seal: Seal) -> None:
    """A declaration has one kind of parameters, which are an object; what is required exists."""
    names: list[str] = []
    for tool in body.get("tools", []):
        for one in tool.get("functionDeclarations", []):
            where = f"* GenerateContentRequest.tools[0].function_declarations[{len(names)}]"
            names.append(one["name"])
            if "parameters" in one and "parametersJsonSchema" in one:
                refuse(f"{where}: only one of parameters or parameters_json_schema can be set.")
            if "parameters" in one:
                _check_schema(f"{where}.parameters", one["parameters"])
    if len(set(names)) != len(names):
        refuse(
            "Duplicate function declaration found: " + next(name for name in names if names.count(name) > 1)
        )
    beside = [name for tool in body.get("tools", []) for name in tool if name in _BUILT_IN]
    if names and beside and not body.get("toolConfig", {}).get("includeServerSideToolInvocations"):
        refuse(
            "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with "
            "Function calling."
        )
    config = body.get("toolConfig", {}).get("functionCallingConfig", {})
    allowed = config.get("allowedFunctionNames", [])
    if allowed and config.get("mode") not in ("ANY", "VALIDATED"):
        refuse(
            "Function calling config: allowed_function_names should only be set when mode is ANY or "
            "VALIDATED."
        )
    if config.get("mode") == "ANY" and not names:
        refuse("Function calling mode is ANY but no function declarations are provided.")
    if [name for name in allowed if name not in names]:
        refuse("Function calling config: allowed_function_names must be a subset of the declared functions.")


def _check_schema(where: str, schema: Body, top: bool = True) -> None:
    kind = str(schema.get("type", "")).upper()
    properties = schema.get("properties", {})
    if kind == "OBJECT" and not properties and not top and "required" in schema:
        refuse(f"{where}.properties: should be non-empty for OBJECT type")
    for name in schema.get("required", []):
        if name not in properties:
            refuse(f"{where}.required[0]: property is not defined: {name}")
    if schema.get("enum") and kind != "STRING":
        refuse(f"{where}.enum: only allowed for STRING type")
    if kind == "ARRAY" and "items" not in schema:
        refuse(f"{where}.items: missing field.")
    if "format" in schema and schema["format"] not in _FORMATS.get(kind, ()):
        refuse(f"{where}.format: only 'enum' and 'date-time' are supported for STRING type")
    for name, one in properties.items():
        _check_schema(f"{where}.properties[{name}]", one, False)
    for one in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        _check_schema(f"{where}.items", one, False)


#: (model prefix, least budget, largest, further values)
_BUDGETS = (
    ("gemini-2.5-pro", 128, 32768, (-1,)),
    ("gemini-2.5-flash-lite", 512, 24576, (-1, 0)),
    ("gemini-2.5-flash", 1, 24576, (-1, 0)),
    ("gemini-3", 0, 65536, (-1,)),
)


def check_thinking(body: Body, model: str, seal: Seal) -> None:
    """Budgets are in the model's range; levels are for Gemini 3; never both."""
    config = body.get("generationConfig", {}).get("thinkingConfig", {})
    budget = config.get("thinkingBudget")
    if "thinkingLevel" in config:
        if budget is not None:
            refuse("You can only set only one of thinking budget and thinking level.")
        if not (model.startswith("gemini-3") or _NEWEST.match(model)):
            refuse("Thinking level is not supported for this model.")
    row = next((one for one in _BUDGETS if model.startswith(one[0])), None)
    if config and row is None and model.startswith(("gemini-2.0", "gemini-1")):
        refuse("Thinking is not enabled for this model.")
    if budget is None or row is None:
        return
    _, least, most, others = row
    if budget == 0 and 0 not in others and least:
        refuse("Budget 0 is invalid. This model only works in thinking mode.")
    if not least <= budget <= most and budget not in others:
        refuse(f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}.")


#: The models whose rules are those of Gemini 4.
_NEWEST = re.compile(r"gemini-(3\.8|[4-9]|[a-z-]+-latest)")


def check_newest(body: Body, model: str, seal: Seal) -> None:
    """What Gemini 4 refuses: https://ai.google.dev/gemini-api/docs/generate-content/latest-model."""
    if not _NEWEST.match(model):
        return
    config = body.get("generationConfig", {})
    thinking = config.get("thinkingConfig", {})
    if "thinkingBudget" in thinking:
        refuse("Thinking budget is not supported for this model. Please use thinking level.")
    if thinking.get("thinkingLevel") == "MINIMAL":
        refuse("Thinking level MINIMAL is not supported for this model.")
    if thinking.get("thinkingLevel") == "XHIGH" and "neon" not in model:
        refuse("Thinking level XHIGH is not supported for this model.")
    for name in ("presencePenalty", "frequencyPenalty"):
        if name in config:
            refuse(f"{name} is not supported for this model.")
    if config.get("candidateCount", 1) > 1:
        refuse("Multiple candidates is not enabled for this model")
    if body["contents"][-1].get("role", "user") == "model":
        refuse("Prefilled model turns are not supported for this model.")


def check_output(body: Body, model: str, seal: Seal) -> None:
    """A schema of the answer needs JSON, and is one of two kinds."""
    config = body.get("generationConfig", {})
    kinds = [name for name in ("responseSchema", "responseJsonSchema") if config.get(name) is not None]
    if len(kinds) > 1:
        refuse("Only one of response_schema and response_json_schema can be set.")
    if kinds and config.get("responseMimeType") not in ("application/json", "text/x.enum"):
        refuse("Response schema is only supported with response mime type 'application/json'.")


RULES: tuple[Callable[[Body, str, Seal], None], ...] = (
    check_contents,
    check_pairs,
    check_signatures,
    check_tools,
    check_thinking,
    check_newest,
    check_output,
)


def _result(response: Body) -> str:
    value = response["response"]
    text = next((value[name] for name in ("output", "result", "error", "content") if name in value), value)
    return text if isinstance(text, str) else str(text)


def understand(body: Body, model: str, stream: bool, size: int) -> Asked:
    """What an answer depends on."""
    users = [one for one in body["contents"] if one.get("role", "user") == "user"]
    last = users[-1] if users else {"parts": []}
    texts = [part["text"] for part in last["parts"] if "text" in part]
    declared = [one for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]
    tools = {one["name"]: one.get("parametersJsonSchema", one.get("parameters")) for one in declared}
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    config = body.get("generationConfig", {})
    thinking = config.get("thinkingConfig", {})
    media = [part.get("inlineData") or part.get("fileData") for part in last["parts"]]
    return Asked(
        model=model,
        stream=stream,
        text="\n".join(texts),
        tools={} if calling.get("mode") == "NONE" else tools,
        forced=tuple(calling.get("allowedFunctionNames") or tools) if calling.get("mode") == "ANY" else (),
        results=tuple(_result(one) for one in _named(last, "functionResponse")),
        media=tuple(one.get("mimeType", "a file") for one in media if one),
        schema=config.get("responseJsonSchema", config.get("responseSchema")),
        thinking=bool(thinking) and thinking.get("thinkingBudget") != 0,
        size=size,
        cached="cachedContent" in body,
    )
