"""Watching a stream go by: has its dialect's own end come, and what did it cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from ampproxy.dialects._openai import is_chunk
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.model.events import Usage
from ampproxy.wire.json import BAD_JSON, members, string

_Raw = msgspec.Raw
_Members = Mapping[str, _Raw]
_NULL = _Raw(b"null")
#: OpenAI's end mark; servers of other dialects send it behind their last event.
_DONE = b"[DONE]"
_list = msgspec.json.Decoder(list[_Raw])


def _inner(values: _Members, name: str) -> _Members:
    return members(values.get(name, _NULL)) or {}


def _items(values: _Members, name: str) -> list[_Raw]:
    try:
        return _list.decode(values.get(name, _NULL))
    except BAD_JSON:
        return []


def _count(values: _Members, name: str) -> int:
    text = bytes(values.get(name, _NULL))
    return int(text) if text.isdigit() and len(text) < 19 else 0


def _given(values: _Members, name: str) -> bool:
    return bytes(values.get(name, _NULL)) not in (b"null", b'""')


def anthropic_usage(usage: _Members) -> Usage:
    """Anthropic's classes are ours."""
    details = _inner(usage, "output_tokens_details")
    return Usage(
        _count(usage, "input_tokens"),
        _count(usage, "cache_read_input_tokens"),
        _count(usage, "cache_creation_input_tokens"),
        _count(usage, "output_tokens"),
        _count(details, "thinking_tokens"),
    )


def _openai_usage(usage: _Members, prompt: str, answer: str) -> Usage:
    """OpenAI's input includes what was read from and written to the cache."""
    before = _inner(usage, prompt + "_details")
    read, written = _count(before, "cached_tokens"), _count(before, "cache_write_tokens")
    return Usage(
        max(0, _count(usage, prompt) - read - written),
        read,
        written,
        _count(usage, answer),
        _count(_inner(usage, answer + "_details"), "reasoning_tokens"),
    )


def chat_usage(usage: _Members) -> Usage:
    """``prompt_tokens`` and ``completion_tokens``."""
    return _openai_usage(usage, "prompt_tokens", "completion_tokens")


def responses_usage(usage: _Members) -> Usage:
    """``input_tokens`` and ``output_tokens``."""
    return _openai_usage(usage, "input_tokens", "output_tokens")


def gemini_usage(usage: _Members) -> Usage:
    """Gemini's candidates exclude its thoughts; its prompt includes what the cache gave."""
    read = _count(usage, "cachedContentTokenCount")
    thoughts = _count(usage, "thoughtsTokenCount")
    prompt = _count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount")
    output = _count(usage, "candidatesTokenCount") + thoughts
    return Usage(max(0, prompt - read), read, 0, output, thoughts)


class Watch:
    """Looks at the events of one stream that may matter.

    :ivar terminal: the dialect's terminal event, or an error event, was seen.
    :ivar empty: it came though nothing of an answer had.
    :ivar finished: the answer is said, and the stream may end here, though something may follow.
    :ivar usage: the last that was told.
    """

    __slots__ = ("_usage", "empty", "finished", "terminal")

    _read: Callable[[_Members], Usage] = staticmethod(anthropic_usage)

    def __init__(self) -> None:
        self.terminal = False
        self.finished = False
        self.empty = False
        self._usage: dict[str, _Raw] = {}

    def see(self, name: bytes, data: bytes) -> bool:
        """Look at an event.

        :returns: whether it can be one of the dialect: a JSON object that is part of an answer, an event of
            a kind that is not known here, or the mark that ends a stream.
        """
        values = members(data)
        if values is None:
            return data.strip() == _DONE
        return self._look(string(values.get("type", _NULL)) or name.decode("utf-8", "replace"), values)

    def _look(self, kind: str, values: _Members) -> bool:
        raise NotImplementedError

    def _learn(self, usage: _Raw) -> None:
        # Later reports are cumulative and may leave out what did not change.
        told = members(usage) or {}
        self._usage.update((name, value) for name, value in told.items() if bytes(value) != b"null")

    def _end(self) -> None:
        self.terminal = self.finished = True

    @property
    def usage(self) -> Usage | None:
        """The usage of the stream so far; ``None`` if nothing was told."""
        return type(self)._read(self._usage) if self._usage else None


class _AnthropicWatch(Watch):
    __slots__ = ()

    def _look(self, kind: str, values: _Members) -> bool:
        if kind == "message_start":
            self._learn(_inner(values, "message").get("usage", _NULL))
        elif kind == "message_delta":
            self._learn(values.get("usage", _NULL))
        elif kind in ("message_stop", "error"):
            self._end()
        return bool(kind)


class _ResponsesWatch(Watch):
    __slots__ = ()
    _read = staticmethod(responses_usage)

    def _look(self, kind: str, values: _Members) -> bool:
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self._learn(_inner(values, "response").get("usage", _NULL))
            self._end()
        elif kind == "error":
            self._end()
        return bool(kind)


class _ChatWatch(Watch):
    __slots__ = ("_said",)
    _read = staticmethod(chat_usage)

    def __init__(self) -> None:
        super().__init__()
        self._said = False

    def see(self, name: bytes, data: bytes) -> bool:
        if data.strip() == _DONE:
            self.empty = not (self._said or self.terminal)
            self._end()
            return True
        return super().see(name, data)

    def _look(self, kind: str, values: _Members) -> bool:
        if "usage" in values:
            self._learn(values["usage"])
        if _given(values, "error"):
            self._end()
        elif not self.finished:
            choices = [members(choice) or {} for choice in _items(values, "choices")]
            self._said = self._said or bool(choices)
            self.finished = any(_given(choice, "finish_reason") for choice in choices)
        return is_chunk(values)


#: Any of these makes an object part of Gemini's answer.
_OF_GEMINI = frozenset(
    (
        "candidates",
        "usageMetadata",
        "promptFeedback",
        "modelVersion",
        "responseId",
        "createTime",
        "modelStatus",
        "error",
    )
)


class _GeminiWatch(Watch):
    __slots__ = ()
    _read = staticmethod(gemini_usage)

    def _look(self, kind: str, values: _Members) -> bool:
        if "usageMetadata" in values:
            self._learn(values["usageMetadata"])
        candidates = (members(candidate) or {} for candidate in _items(values, "candidates"))
        blocked = _given(_inner(values, "promptFeedback"), "blockReason")
        if blocked or _given(values, "error") or any(_given(held, "finishReason") for held in candidates):
            self._end()
        return not _OF_GEMINI.isdisjoint(values)


WATCHES: dict[str, type[Watch]] = {
    ANTHROPIC: _AnthropicWatch,
    CHAT: _ChatWatch,
    COMPLETIONS: _ChatWatch,
    GEMINI: _GeminiWatch,
    RESPONSES: _ResponsesWatch,
}

#: Where a whole answer tells its usage, and how to read it.
_WHOLE: dict[str, tuple[str, Callable[[_Members], Usage]]] = {
    ANTHROPIC: ("usage", anthropic_usage),
    CHAT: ("usage", chat_usage),
    COMPLETIONS: ("usage", chat_usage),
    GEMINI: ("usageMetadata", gemini_usage),
    RESPONSES: ("usage", responses_usage),
}


def whole_usage(dialect: str, body: bytes) -> Usage | None:
    """What a whole answer says that it cost; ``None`` if it does not say."""
    return usage_in(dialect, members(body) or {})


def usage_in(dialect: str, values: _Members) -> Usage | None:
    """Likewise, of the members of a whole answer."""
    name, read = _WHOLE[dialect]
    told = _inner(values, name)
    return read(told) if told else None


#: The list that every whole answer has, and whether it may be empty.
_LISTS: dict[str, tuple[str, bool]] = {
    ANTHROPIC: ("content", True),
    CHAT: ("choices", False),
    COMPLETIONS: ("choices", False),
    GEMINI: ("candidates", False),
    RESPONSES: ("output", True),
}
_OBJECTS = re.compile(rb"\[\s*\{")
_NO_OBJECTS = re.compile(rb"\[\s*\]")


def is_plain_answer(dialect: str, values: _Members) -> bool:
    """Whether the members of a whole answer are those of one, by a glance that builds nothing. Where this is
    false the dialect's own reader decides: it may be a refusal, an error, or no answer.
    """
    name, may_be_empty = _LISTS[dialect]
    told = memoryview(values.get(name, _NULL))[:_GLANCE].tobytes()
    listed = _OBJECTS.match(told) or (may_be_empty and _NO_OBJECTS.match(told))
    return bool(listed) and not _given(values, "error")


#: How far behind its bracket the first object of a list is looked for. Bytes.
_GLANCE = 4096
