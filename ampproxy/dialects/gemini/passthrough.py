"""What must be known of ``generateContent`` where bytes pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from ampproxy.dialects.base import EventStream, Mending, Passthrough
from ampproxy.dialects.edit import Changes, Exchange, Members, edit_object, in_each, inside
from ampproxy.dialects.facts import Looked
from ampproxy.dialects.fastpath import DATA, END, NEXT_DATA
from ampproxy.dialects.gemini.wire import ODD, as_gemini, usage_of
from ampproxy.dialects.json import NULL, Decoder, encode, read_or
from ampproxy.dialects.monitor import StreamMonitor, given, has_list, inner, items, plain
from ampproxy.dialects.state import Missing, VendorState
from ampproxy.dialects.tool_names import Declaring, an_object, declared, objects, only
from ampproxy.model.base import CHAT, GEMINI
from ampproxy.model.events import Usage
from ampproxy.model.roles import Shown
from ampproxy.wire.json import BAD_JSON, Peek, members, replace_members, string

_NEXT = b"}" + NEXT_DATA
_CALL = b'"functionCall"'
#: The content of a part of an answer that has none.
_EMPTY = b'{"parts":[{"text":""}],"role":"model"}'
#: Under either of their names.
_CALLS = (b'"finish', b'"function', b'eedback"')
_ENDS = (*_CALLS, b'"error"')
_VERSION = re.compile(rb'(?<!\\)(?P<name>"modelVersion": ?)"[^"\\\n]*"')
#: Ends that need no look. Others are known to the vendor's clients, too, and pass.
GOOD_ENDS = frozenset(("STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED"))
_BAD_END = re.compile(rb'"finishReason"\s*:\s*"(?!STOP"|MAX_TOKENS"|FINISH_REASON_UNSPECIFIED")')
#: Any of these makes an object part of an answer.
_OF_AN_ANSWER = frozenset(
    (
        *("candidates", "usageMetadata", "promptFeedback", "modelVersion"),
        *("responseId", "createTime", "modelStatus", "error"),
    )
)


class GeminiRules(msgspec.Struct):
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    _exchange: Exchange

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        return name, self.whole(data, values)

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        calls = b"functionCall" in body
        return edit_object(body, lambda values: self._changes(values, calls), values) or body

    def _changes(self, values: Members, calls: bool) -> Changes:
        changes = self._exchange.model_changes(values)
        return changes | in_each(values, "candidates", self._candidate) if calls else changes

    def _candidate(self, values: Members) -> Changes:
        return inside(values, "content", self._content)

    def _content(self, values: Members) -> Changes:
        return in_each(values, "parts", self._part)

    def _part(self, values: Members) -> Changes:
        return inside(values, "functionCall", self._exchange.tool_name_changes)


def _usage_of(usage: Members) -> Usage:
    return usage_of(plain(usage))


def _answer_usage(answer: Members) -> Usage | None:
    usage = inner(answer, "usageMetadata")
    return _usage_of(usage) if usage else None


def _ends_well(answer: Members) -> bool:
    candidates = answer["candidates"]
    if _BAD_END.search(candidates):
        return False
    return _CALL not in bytes(candidates) or not _NamedCalls().lacks_name(_candidates(answer))


def _candidates(answer: Members) -> list[Members]:
    return [members(candidate) or {} for candidate in items(answer, "candidates")]


class _NamedCalls(msgspec.Struct):
    """The calls of one answer: each has a name, but for the further pieces of one that comes in pieces."""

    _goes_on: bool = False

    def lacks_name(self, candidates: list[Members]) -> bool:
        """Whether a call in these has none."""
        for candidate in candidates:
            for part in items(inner(candidate, "content"), "parts"):
                call = inner(members(part) or {}, "functionCall") if _CALL in bytes(part) else {}
                if not call and _CALL not in bytes(part):
                    continue
                named, begun = bool(string(call.get("name", NULL))), self._goes_on
                self._goes_on = bytes(call.get("willContinue", NULL)) == b"true"
                if not (named or begun):
                    return True
        return False


class GenerateMonitor(StreamMonitor):
    """Looks for a finish reason, a block, an error, calls and the usage."""

    __slots__ = ("_calling",)
    read = staticmethod(_usage_of)

    def __init__(self) -> None:
        super().__init__()
        self._calling = _NamedCalls()

    def look(self, kind: str, values: Members) -> bool:
        if "usageMetadata" in values:
            self.learn(values["usageMetadata"])
        candidates = _candidates(values)
        blocked = given(inner(values, "promptFeedback"), "blockReason")
        if given(values, "error"):
            self.fail()
        elif blocked or any(given(held, "finishReason") for held in candidates):
            words = {string(held.get("finishReason", NULL)) for held in candidates} - {None}
            self.doubtful = not words <= GOOD_ENDS
            self.close()
        if _CALL in bytes(values.get("candidates", NULL)) and self._calling.lacks_name(candidates):
            self.doubtful = True
        if not self.spoken:
            parts = [part for held in candidates for part in items(inner(held, "content"), "parts")]
            self.content = self.content or bool(parts)
            self.spoken = any(map(_has_content, parts))
            stopped = [string(held.get("finishReason", NULL)) for held in candidates] == ["STOP"]
            self.empty = stopped and self.counts_nothing()
        return not _OF_AN_ANSWER.isdisjoint(values)


def _has_content(part: msgspec.Raw) -> bool:
    """Whether a part is more than an empty text."""
    values = members(part) or {}
    return values.keys() != {"text"} or string(values["text"]) != ""


def with_content(data: bytes, values: Members) -> bytes:
    """The end of an answer, with an empty text where a candidate has no content: the chats of Google's SDKs
    take an answer for broken that has such a piece, and forget it and its question.
    """
    if "candidates" not in values:
        if not values or "promptFeedback" in values:
            return data
        return b'{"candidates":[{"content":%b,"index":0}],%b' % (_EMPTY, data.lstrip()[1:])

    def content(held: Members) -> Changes:
        good = string(held.get("finishReason", NULL)) in (None, *GOOD_ENDS)
        return {"content": _EMPTY} if good and not items(inner(held, "content"), "parts") else {}

    changes = in_each(values, "candidates", content)
    return replace_members(data, changes, values) if changes else data


class GeminiFastPath:
    """For events that all end with the model's name, behind the last inner bracket. A :class:`FastPath`.

    :param model: the asked name, or empty if nothing is rewritten.
    :param monitor: of the stream.
    """

    __slots__ = ("_model", "_new", "_old", "_ready", "_stops", "_tail")

    def __init__(self, model: str, monitor: StreamMonitor) -> None:
        self._model = encode(model) if model else b""
        self._stops = _CALLS if model else _ENDS
        self._old = b""
        self._new = b""
        self._tail = b""
        self._ready = False

    @property
    def knows(self) -> bool:
        return self._ready

    def forward(self, whole: bytes) -> bytes | None:
        if not self._ready or not whole.startswith(DATA):
            return None
        lines = whole.count(b"\n")
        for stop in self._stops:
            if stop in whole:
                return None
        if not self._model:
            return whole if 2 * whole.count(_NEXT) == lines - 2 and whole.endswith(END) else None
        if self._new == self._old:
            return whole if 2 * whole.count(self._old) == lines == 2 * whole.count(END) else None
        # One such member an event, and each within an end that is known.
        pieces = whole.split(self._old)
        if 2 * len(pieces) != lines + 2 or 2 * whole.count(self._tail) != lines:
            return None
        return self._new.join(pieces)

    def reach(self, whole: bytes) -> int:
        stops = [at for at in map(whole.find, self._stops) if at >= 0] if self._ready else []
        return whole.rfind(b"\n\n", 0, min(stops)) + 2 if stops else 0

    def learn(self, block: bytes, out: bytes) -> None:
        if any(stop in block for stop in self._stops):
            return
        if self._model:
            tail = block[max(block.rfind(b"}", 0, -1), block.rfind(b"]", 0, -1)) :]
            match = _VERSION.search(tail)
            if match is None:
                return
            new = match["name"] + self._model
            if block[: -len(tail)] + tail[: match.start()] + new + tail[match.end() :] != out:
                return
            self._tail, self._old, self._new = tail + b"\n\n", match.group(), new
        self._ready = True


def _names(request: Declaring) -> Iterator[Any]:
    for tool in objects(request.tools):
        for key in ("functionDeclarations", "function_declarations"):
            yield from (function.get("name") for function in objects(tool.get(key)))
    config = an_object(request.toolConfig) or an_object(request.tool_config)
    calling = an_object(config.get("functionCallingConfig") or config.get("function_calling_config"))
    allowed = calling.get("allowedFunctionNames") or calling.get("allowed_function_names")
    yield from allowed if isinstance(allowed, list) else ()


class _Function(msgspec.Struct):
    name: str = ""


class _Tool(msgspec.Struct):
    functionDeclarations: list[_Function] = []


class _Calling(msgspec.Struct):
    mode: str = ""
    allowedFunctionNames: list[str] = []


class _ToolConfig(msgspec.Struct):
    functionCallingConfig: _Calling = msgspec.field(default_factory=_Calling)


class _Config(msgspec.Struct):
    responseModalities: Any = None
    responseJsonSchema: msgspec.Raw = NULL
    responseSchema: msgspec.Raw = NULL


_tools = Decoder(list[_Tool])
_tool_config = Decoder(_ToolConfig)
_config = Decoder(_Config)


def _functions(tools: msgspec.Raw) -> list[str]:
    return [found.name for tool in read_or(_tools, tools, []) for found in tool.functionDeclarations]


def _shown(found: Peek, body: bytes) -> Shown:
    config = read_or(_config, found.generation, _Config())
    wanted = config.responseModalities
    return Shown(
        declared=lambda: _functions(found.tools),
        forced=_forced(found),
        draws=isinstance(wanted, list) and "IMAGE" in wanted,
        shapes=config.responseJsonSchema != NULL or config.responseSchema != NULL,
        attached=b'"inlineData"' in body or b'"fileData"' in body,
    )


def _forced(found: Peek) -> str:
    calling = read_or(_tool_config, found.configured, _ToolConfig()).functionCallingConfig
    if calling.mode.upper() != "ANY":
        return ""
    return only(calling.allowedFunctionNames or _functions(found.tools))


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    image_url: msgspec.Raw = NULL
    thoughtSignature: msgspec.Raw = NULL
    thought_signature: msgspec.Raw = NULL


class _Content(msgspec.Struct, gc=False):
    role: str | None = None
    parts: list[_Part] | None = None
    content: msgspec.Raw = NULL


class _Body(Peek, frozen=True, gc=False):
    contents: list[_Content] = []  # noqa: RUF012  # msgspec gives each its own
    messages: msgspec.Raw = NULL
    system: msgspec.Raw = NULL
    max_tokens: msgspec.Raw = NULL
    max_completion_tokens: msgspec.Raw = NULL
    max_output_tokens: msgspec.Raw = NULL
    maxOutputTokens: msgspec.Raw = NULL
    temperature: msgspec.Raw = NULL
    top_p: msgspec.Raw = NULL
    stop: msgspec.Raw = NULL


_body = Decoder(_Body)
_ROLES = frozenset((None, "", "user", "model", "function"))
#: The first tool in another dialect's form.
_TOOL = re.compile(rb'\[\s*\{\s*"(?:type|name|input_schema|function)"')


def _is_odd(found: _Body) -> bool:
    """Whether it has members of other dialects' requests, or Gemini's own in another place."""
    limits = found.max_tokens is found.max_completion_tokens is found.max_output_tokens is NULL
    sampling = found.maxOutputTokens is found.temperature is found.top_p is found.stop is NULL
    plain = limits and sampling and found.system is found.choice is NULL
    return not plain or _TOOL.match(found.tools) is not None


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether a content has a proof of thinking; ``None``: the body is odd. That
    is cheaper than searches.
    """
    try:
        found = _body.decode(body)
    except BAD_JSON:
        return None
    if not found.contents:
        # Of what is to be counted they may lie deeper.
        return None if found.messages is NULL else (Looked.of(found, CHAT), False)
    thinks, foreign = False, _is_odd(found)
    for content in found.contents:
        foreign = foreign or content.role not in _ROLES or content.content is not NULL
        for part in content.parts or ():
            if part.thoughtSignature is not NULL or part.thought_signature is not NULL:
                thinks = True
            if part.type or part.image_url is not NULL:
                foreign = True
    found.contents.clear()
    return (Looked.of(found, GEMINI) if foreign else found), thinks


_STATE = VendorState(
    marks=(b"cachedContent", b"cached_content", b"fileUri", b"file_uri"),
    members=frozenset(("cachedContent", "cached_content", "fileUri", "file_uri")),
    prefixes=("cachedContents/", "files/", "https://generativelanguage.googleapis.com/"),
    missing={"": Missing(status=403, code="PERMISSION_DENIED")},
)

PASSTHROUGH = Passthrough(
    look=look,
    mending=Mending(signs=ODD.search, of_one=lambda new_id: lambda data, values: as_gemini(data)),
    events=EventStream(
        monitor=GenerateMonitor,
        fast_path=GeminiFastPath,
        tight=True,
        list_unless=b"alt=sse",
        own_breaks=True,
        settled=with_content,
    ),
    usage=_answer_usage,
    is_answer=partial(has_list, name="candidates", may_be_empty=False),
    ends_well=_ends_well,
    traces=(b'houghtSignature"', b'hought_signature"'),
    rules=GeminiRules,
    declared=partial(declared, _names),
    shown=_shown,
    model_in_body=False,
    state=_STATE,
    # Google's own SDK, in any program: undici drops what it has not read yet of a connection that breaks.
    reads_errors=((b"x-goog-api-client", b"google-genai-sdk/"),),
    # That SDK for JavaScript, as Gemini CLI has it: to it an event with an error is one without candidates,
    # and half an answer is then taken for a whole one.
    bare_errors=((b"x-goog-api-client", b" gl-node/"),),
)
