"""How chat and completions say that an answer ended, both ways."""

from __future__ import annotations

from ampproxy.dialects.ends import broke, read_end
from ampproxy.model.events import ErrorKind, FinishReason, WireError

#: ``finish_reason`` of chat and completions -> ours; others are read by their words.
FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "blocked",
    "max_tokens": "length",
    "model_length": "context",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "refusal": "refusal",
    "sensitive": "blocked",
}

#: ``finish_reason`` of an answer that did not come to its end: OpenRouter, DeepSeek, Zhipu.
BROKEN_ENDS: dict[str, ErrorKind] = {
    "error": "internal",
    "insufficient_system_resource": "overloaded",
    "network_error": "unavailable",
}


def end_of(word: str | None) -> FinishReason | WireError:
    """What a ``finish_reason`` means; an error, if it tells of an answer that did not come to its end.

    :param word: ``None``: the vendor gave none.
    """
    if not word:
        return "unknown"
    if known := FINISH.get(word):
        return known
    kind = BROKEN_ENDS.get(word)
    return read_end(word) if kind is None else broke(word, kind)


#: Ours -> ``finish_reason``.
FINISH_WORDS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "refusal": "content_filter",
    "blocked": "content_filter",
    "context": "length",
    "pause": "stop",
    "unknown": "length",
}
