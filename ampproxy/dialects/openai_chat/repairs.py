"""Answers of Chat Completions as clients need them.

* A chunk without ``choices`` is fatal to them; an empty list is fine. So is a content that is no text, and a
  reason that is empty. An object alone in the place of a list is one of its kind, and a list of one likewise.
* A call has a number in a stream, an id, and arguments that are a text.
* Tools run only when the finish reason is ``tool_calls``.

Amp's clients need the names of their tools as the request has them, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_object, in_each, inside, join
from ampproxy.dialects.json import encode, to_raw
from ampproxy.dialects.monitor import given, inner
from ampproxy.wire.json import NULL, elements, members, natural, replace_members, string

_STOP = b'"stop"'
_TOOL_CALLS = b'"tool_calls"'
_NULL = b"null"
#: A content that is no text, and none is ``null``.
_NO_TEXT = re.compile(rb'[^"n]')
_NUMBER = re.compile(rb"-?[0-9]")
_OBJECT = re.compile(rb"\{")
_LIST = re.compile(rb"\[")
_CALLED = re.compile(rb'"(?:tool_calls|function_call)"\s*:\s*[\[{]\s*[^\]}\s]')
_CALLING = re.compile(rb'("finish_reason"\s*:\s*)"(?:tool_calls|function_call)"')
#: What may have to be mended, whatever came before it.
_ODD = re.compile(
    rb'"content"\s*:\s*[^"n\s]|"tool_calls"\s*:\s*(?:\[\s*)?\{|"choices"\s*:\s*(?:null|\{)'
    rb'|"(?:delta|message)"\s*:\s*\[|"text"\s*:\s*"'
    rb'|"finish_reason"\s*:\s*(?!null|\s|"(?:stop|length|tool_calls|function_call|content_filter)")'
)
#: The same, and what may have to be mended behind a call, or is in a chunk without choices.
SIGNS = re.compile(_ODD.pattern + rb'|"finish_reason"\s*:\s*"(?:stop|tool_calls)"|"usage"\s*:\s*\{')


#: Characters of arguments that are kept until their call is named.
MAX_EARLY = 1024 * 1024
_EMPTY = Raw(b'""')
_OWN = frozenset(("stop", "length", "tool_calls", "function_call", "content_filter"))


class _Calls:
    """The tool calls of one choice so far, to number those that come without an index."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        #: The call that came last under each of the server's numbers.
        self._at: dict[int, int] = {}
        #: Those that came in one piece.
        self._whole: set[int] = set()
        #: What came of calls that have no name yet, and those that have.
        self._early: dict[int, list[tuple[str, str]]] = {}
        self._named: set[int] = set()
        self._held = self._last = self._next = 0
        self.seen = False
        #: The numbers of those that have an id.
        self.identified: set[int] = set()
        #: What those are named whose first arguments came with their name, and the last one of these.
        self._tools: dict[int, str] = {}

    def number(self, values: Members) -> tuple[int, bool]:
        """The index of a delta, and whether it has another or none.

        A new id begins a new call; under another call's number it does if it names a tool.
        """
        self.seen = True
        known, name = natural(values.get("index", NULL)), string(values.get("id", NULL))
        if known is not None:
            # Clients number from zero, without gaps (Vercel's AI SDK fails at others).
            index = self._at.get(known, min(known, self._next))
            another = index in self.identified and _names(values)
            if name in self._by_id or (name and another):
                index = self._by_id.get(name or "", self._next)
            elif index in self._whole and another:
                index = self._next
        elif name:
            index = self._by_id.get(name, self._next)
        else:
            index = self._next if self._last in self._whole and _names(values) else self._last
        if tool := _tool_with_arguments(values):
            if self._tools.get(index, tool) != tool:
                # Servers with one number for all calls, or one id.
                index, name = self._next, None
            self._tools[index] = tool
        if known is not None:
            self._at[known] = index
        if _names(values) and _is_whole(values):
            self._whole.add(index)
        if name:
            self._by_id[name] = index
            self.identified.add(index)
        self._last = index
        self._next = max(self._next, index + 1)
        return index, known != index

    def has_id(self, number: int, id: str | None) -> bool:
        """Whether a call has an id, or may have this one."""
        return number in self.identified or (bool(id) and self._by_id.get(id or "", number) == number)

    def take(self, number: int, call: Members, function: Members, changes: Changes) -> bool:
        """Whether a piece can go to the client, for which a call begins with its name: what came before that
        goes with it. Of a call that gets none, all goes once it is too much to be kept.
        """
        name = string(function.get("name", NULL)) or string(call.get("name", NULL))
        if number in self._named:
            return True
        early = self._early.setdefault(number, [])
        arguments = string(function.get("arguments", NULL)) or ""
        if not name and self._held + len(arguments) <= MAX_EARLY:
            self._held += len(arguments)
            early.append((string(call.get("id", NULL)) or "", arguments))
            return False
        self._named.add(number)
        if function and (words := "".join(text for _, text in early)):
            changes["function"] = bytes(to_raw({"name": name or "", "arguments": words + arguments}))
        if id := next((id for id, _ in early if id), ""):
            changes["id"] = bytes(to_raw(id))
        return True

    def nameless(self) -> list[bytes]:
        """What came of calls that never got a name."""
        found: list[bytes] = []
        for number in self._early.keys() - self._named:
            words = "".join(text for _, text in self._early[number])
            if words.strip():
                id = next((id for id, _ in self._early[number] if id), "")
                piece = {"index": number, "id": id, "function": {"name": "", "arguments": words}}
                found.append(bytes(to_raw(piece)))
        return found


def _is_whole(call: Members) -> bool:
    """Whether a piece of a call has all of its arguments."""
    arguments = inner(call, "function").get("arguments", NULL)
    return bool(members((string(arguments) or "").encode() or arguments))


def _tool_with_arguments(call: Members) -> str:
    """The tool that a piece of a call names, if it has arguments, too."""
    function = inner(call, "function")
    bare = bytes(function.get("arguments", NULL)) in (_NULL, b'""')
    return "" if bare else string(function.get("name", NULL)) or ""


def _names(call: Members) -> bool:
    """Whether a piece of a call names its tool."""
    return bool(string(inner(call, "function").get("name", NULL)))


class ChatMending(msgspec.Struct):
    """What mends one answer; see :class:`ampproxy.dialects.base.Mending`."""

    _new_id: Callable[[str], str]
    _calls: dict[bytes, _Calls] = {}

    def __call__(self, data: bytes, values: Members) -> bytes:
        if not self._calls and "choices" in values and _ODD.search(data) is None:
            return data
        choices = values.get("choices", NULL)
        if _OBJECT.match(choices):
            alone = {"choices": b"[%b]" % bytes(choices)}
            changes = alone | in_each({"choices": Raw(alone["choices"])}, "choices", self._choice)
        elif bytes(choices) != _NULL:
            changes = in_each(values, "choices", self._choice)
        else:
            changes = {"choices": b"[]"} if "usage" in values and not given(values, "error") else {}
        return replace_members(data, changes, values) if changes else data

    def _choice(self, values: Members) -> Changes:
        index = bytes(values.get("index", Raw(b"0")))
        calls = self._calls.get(index) or _Calls()
        ended = given(values, "finish_reason")
        changes = _unlisted(values)
        if "message" in values and "delta" in values and not calls.seen:
            changes |= _late_calls(values)
        values = {**values, **{name: Raw(new) for name, new in changes.items()}}
        changes |= inside(values, "delta", lambda held: self._message(held, calls, ended))
        changes |= inside(values, "message", lambda held: self._message(held, None))
        if calls.seen:
            self._calls[index] = calls
        reason = bytes(values.get("finish_reason", NULL))
        word = string(values.get("finish_reason", NULL))
        if word not in _OWN and reason != _NULL:
            reason = _reason(word, reason)
            changes["finish_reason"] = reason
        if reason == _STOP and (calls.seen or elements(inner(values, "message").get("tool_calls"))):
            changes["finish_reason"] = _TOOL_CALLS
        return changes

    def _message(self, values: Members, calls: _Calls | None, ended: bool = False) -> Changes:
        """A message, or what a chunk adds to it.

        :param calls: those of the stream so far; ``None``: the message is whole.
        :param ended: whether the answer ends here.
        """
        changes = _as_text(values) if _NO_TEXT.match(values.get("content", NULL)) else {}
        pieces, kept = _listed(values.get("tool_calls")), list[bytes | Raw]()
        for raw in pieces:
            held = members(raw)
            edit = {} if held is None else self._call(held, calls)
            if edit is not None:
                kept.append(replace_members(raw, edit, held) if edit else raw)
        if ended and calls is not None:
            kept += calls.nameless()
        alone = _OBJECT.match(values.get("tool_calls", NULL))
        if (
            alone
            or len(kept) != len(pieces)
            or any(new is not raw for new, raw in zip(kept, pieces, strict=True))
        ):
            changes["tool_calls"] = join(kept)
        return changes

    def _call(self, values: Members, calls: _Calls | None) -> Changes | None:
        """What changes of a call, or of a piece of one; ``None``: it waits for its name."""
        flat = given(values, "name") and not given(values, "function")
        if flat:
            # The name and the arguments stand beside the id.
            function = {name: values[name] for name in ("name", "arguments") if name in values}
            values = {**values, "function": Raw(encode(function))}
        number, unnumbered = calls.number(values) if calls is not None else (0, False)
        changes: Changes = {"index": b"%d" % number} if unnumbered else {}
        function = members(values.get("function", NULL)) or {}
        if calls is not None and "custom" not in values and not calls.take(number, values, function, changes):
            return None
        if string(function.get("name", NULL)):
            id = string(values.get("id", NULL))
            if "id" not in changes and not (id if calls is None else calls.has_id(number, id)):
                changes["id"] = bytes(to_raw(self._new_id("call_")))
                if calls is not None:
                    calls.identified.add(number)
            if not string(values.get("type", NULL)):
                changes["type"] = b'"function"'
        arguments = bytes(function.get("arguments", NULL if calls is None else _EMPTY))
        if function and "function" not in changes and not arguments.startswith(b'"'):
            text = "" if arguments == _NULL else arguments.decode()
            as_text = {"arguments": bytes(to_raw(text or ("{}" if calls is None else "")))}
            changes["function"] = replace_members(values["function"], as_text, function)
        elif flat:
            changes.setdefault("function", bytes(values["function"]))
        return changes


def _unlisted(choice: Members) -> Changes:
    """What a choice adds, out of a list of one, or from the place where the older dialect has its words."""
    changes: Changes = {}
    for name in ("delta", "message"):
        if _LIST.match(choice.get(name, NULL)) and len(held := elements(choice[name])) < 2:
            changes[name] = bytes(held[0]) if held else b"{}"
    if "text" in choice and not (given(choice, "delta") or given(choice, "message")):
        message = b'{"role":"assistant","content":%b}' % bytes(choice["text"])
        names = ("delta", "message") if given(choice, "finish_reason") else ("delta",)
        changes |= dict.fromkeys(names, message)
    return changes


def _late_calls(choice: Members) -> Changes:
    """What a choice adds, with calls that only the whole message beside it has."""
    called = inner(choice, "message").get("tool_calls", NULL)
    if not elements(called) or given(inner(choice, "delta"), "tool_calls"):
        return {}
    return {"delta": replace_members(Raw(encode(inner(choice, "delta"))), {"tool_calls": bytes(called)})}


def with_stop(data: bytes) -> bytes:
    """See :attr:`~ampproxy.dialects.base.Mending.uncalled`."""
    return data if _CALLED.search(data) else _CALLING.sub(rb'\1"stop"', data)


def _reason(word: str | None, raw: bytes) -> bytes:
    """OpenAI's word for an end, where another is known to mean it; ``null`` for those that mean none yet.

    :param word: ``None``: it is no text.
    """
    if word is None:
        return _STOP if raw == b"true" else _NULL
    # Not at the top: hardly any answer needs it.
    from ampproxy.dialects.openai_answers import FINISH_WORDS, broken_end, reason_of

    if word in ("", "null"):
        return _NULL
    meant = reason_of(word)
    return raw if meant == "unknown" or broken_end(word) else bytes(to_raw(FINISH_WORDS[meant]))


def _listed(value: Raw | None) -> list[Raw]:
    """The elements of a list, or an object that stands in its place."""
    return [value] if value is not None and _OBJECT.match(value) else elements(value)


def _as_text(message: Members) -> Changes:
    """A content that is a list of parts, as Mistral's and some servers' is, one of them, or a number."""
    # Not at the top: it is part of a translation, and hardly any answer needs it.
    from ampproxy.dialects.openai_chat.wire import content_pieces, image_part

    parts = _listed(message["content"])
    digits = bytes(message["content"]).decode() if _NUMBER.match(message["content"]) else ""
    words = {"text": digits, "reasoning": ""}
    for kind, text in content_pieces(parts):
        words[kind] += text
    if _OBJECT.match(message["content"]) and not any(words.values()):
        return {}
    changes: Changes = {"content": to_raw(words["text"])}
    if words["reasoning"] and not given(message, "reasoning_content"):
        changes["reasoning_content"] = to_raw(words["reasoning"])
    pictures = [part for part in parts if image_part(part)]
    if pictures and not given(message, "images"):
        changes["images"] = join(pictures)
    return changes


class ChatRules(msgspec.Struct):
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    _exchange: Exchange

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        out = self.whole(data, values)
        if b'"choices"' in out or b'"error"' in out or members(out) is None:
            return name, out
        return name, replace_members(out, {"choices": b"[]"})

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        calls = _TOOL_CALLS in body
        return edit_object(body, lambda values: self._changes(values, calls), values) or body

    def _changes(self, values: Members, calls: bool) -> Changes:
        changes = self._exchange.model_changes(values)
        if calls:
            changes |= in_each(values, "choices", self._choice)
        return changes

    def _choice(self, values: Members) -> Changes:
        return inside(values, "delta", self._message) | inside(values, "message", self._message)

    def _message(self, values: Members) -> Changes:
        return in_each(values, "tool_calls", self._call)

    def _call(self, values: Members) -> Changes:
        return inside(values, "function", self._exchange.tool_name_changes)
