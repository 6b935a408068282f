"""What passes of the streams of Chat Completions and of the old completions, which are the same chunks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from io import BytesIO

import msgspec

from ampproxy.dialects.base import EventStream
from ampproxy.dialects.ends import may_be_cut
from ampproxy.dialects.fastpath import DATA, END, NEXT_DATA
from ampproxy.dialects.json import encode
from ampproxy.dialects.monitor import (
    DONE,
    NO_NAME,
    TIER,
    Members,
    StreamMonitor,
    given,
    has_list,
    inner,
    items,
    plain,
    tiered,
)
from ampproxy.dialects.openai import SIGNS_OF_LIFE, is_chunk, usage_of
from ampproxy.model.events import Usage
from ampproxy.wire.json import members, string

#: See :class:`ampproxy.dialects.base.Passthrough`.
is_answer = partial(has_list, name="choices", may_be_empty=False)
#: OpenAI's own words for the end of a choice; what others mean by theirs the dialect's reader knows.
_OWN_ENDS = frozenset(("stop", "length", "tool_calls", "function_call", "content_filter"))
_END = re.compile(
    rb'"finish_reason"\s*:\s*(?!null|"(?:stop|length|tool_calls|function_call|content_filter)")'
)
_CALLED = re.compile(rb'"(?:tool_calls|function_call)"\s*:\s*[\[{]\s*[^\]}\s]')
#: Choices beyond this are not searched. Bytes.
_SEARCHED = 256 * 1024
_ENDS_CALLING = re.compile(rb'"finish_reason"\s*:\s*"(?:tool_calls|function_call)"')
_ZERO = msgspec.Raw(b"0")
_OF_CALLS = (b'"tool_calls"', b'"function_call"')
#: Of so many calls of one answer it is known whether they have a name.
_MOST_CALLS = 1024
#: The beginning of an event up to its model, at depth one: no bracket lies between. An unescaped quote
#: before ``model`` can only open a member's name, so this cannot lie within a string.
_HEAD = re.compile(rb'data: \{[^{}\[\]\n]*?(?P<name>"model": ?)(?P<value>"[^"\\\n]*")')
#: The beginning of a call that has a name.
_CALL = re.compile(
    rb'"tool_calls": ?\[\{[^{}\[\]]{0,800}?"index": ?(?P<index>[0-9]{1,9})[,}][^\[\]]{0,800}?"name": ?"[^"]'
)
#: The beginning of an answer, which only names its role.
_BARE = re.compile(
    rb'"delta": ?\{(?:"role": ?"assistant", ?"content": ?""|"content": ?"", ?"role": ?"assistant")'
    rb'(?:, ?"[a-z_]+": ?null)*\}'
)


def chunk_usage(usage: Members) -> Usage:
    """``prompt_tokens`` and ``completion_tokens``, and what the answer reports of how it was served."""
    found = plain(usage)
    return usage_of(found, "prompt_tokens", "completion_tokens", found.get(TIER))


def answer_usage(answer: Members) -> Usage | None:
    """Of a whole answer."""
    usage = tiered(inner(answer, "usage"), answer)
    return chunk_usage(usage) if usage else None


def ends_well(answer: Members) -> bool:
    """See :class:`ampproxy.dialects.base.Passthrough`."""
    return not _is_doubtful(answer["choices"])


def _is_doubtful(choices: msgspec.Raw) -> bool:
    """Whether an answer's choices may report that it broke, or call what has no name. Within a string each
    quote has a backslash before it, so that no words are taken for members.
    """
    if len(memoryview(choices)) > _SEARCHED:
        return False
    text = bytes(choices)
    if _END.search(text):
        return True
    if _CALLED.search(text):
        return NO_NAME.search(text) is not None or may_be_cut(text)
    return _ENDS_CALLING.search(text) is not None


class ChunkMonitor(StreamMonitor):
    """Looks for ``[DONE]``, a finish reason, an error, calls and the usage."""

    __slots__ = ("_any", "_called", "_named", "_stopped")
    read = staticmethod(chunk_usage)

    def __init__(self) -> None:
        super().__init__()
        self._any = False
        self._called = False
        #: Whether a choice ended, and none otherwise than well.
        self._stopped = False
        #: Each call's choice and index -> whether it was named.
        self._named: dict[tuple[bytes, bytes], bool] = {}

    def see(self, name: bytes, data: bytes, values: Members | None = None) -> bool:
        if values is None and data.strip() == DONE:
            self.empty = not (self._any or self.terminal)
            # A call shows by its arguments whether it is whole; words do not.
            self.unended = not (self.finished or self._called)
            self.doubtful = bool(self.kept) and not self.finished
            self.close()
            return True
        if name in SIGNS_OF_LIFE:
            return True
        known = super().see(name, data, values)
        if self._called and not self.doubtful and any(mark in data for mark in _OF_CALLS):
            self.keep(b"data: " + data.replace(b"\n", b" ") + b"\n\n")
        return known

    def look(self, kind: str, values: Members) -> bool:
        if "usage" in values:
            self.learn(values["usage"], values)
        if given(values, "error"):
            self.fail()
        elif given(values, "base_resp"):
            self.doubtful = not self.finished
        elif not self.finished:
            choices = [members(choice) or {} for choice in items(values, "choices")]
            self._any = self._any or bool(choices)
            ends = [choice["finish_reason"] for choice in choices if given(choice, "finish_reason")]
            self.finished = bool(ends)
            self._look_closer(choices)
            if ends:
                self._stopped = {string(end) for end in ends} == {"stop"}
                self.doubtful = self._is_doubtful({string(end) or "?" for end in ends}) or (
                    self._called and may_be_cut(*self.kept, bytes(values["choices"]))
                )
        if self._stopped and "usage" in values and not self._called:
            self.empty = self.counts_nothing()
        return is_chunk(values)

    def _is_doubtful(self, ends: set[str]) -> bool:
        if not ends <= _OWN_ENDS or not all(self._named.values()):
            return True
        if self._called or ends.isdisjoint(("tool_calls", "function_call")):
            return False
        self.uncalled = self.spoken
        return True

    def _look_closer(self, choices: Iterable[Members]) -> None:
        for choice in choices:
            delta = inner(choice, "delta")
            if given(delta, "tool_calls") or given(delta, "function_call"):
                self._called = True
                self._name_calls(choice, delta)
            words = given(choice, "text") or any(map(_has_content, delta.items()))
            self.spoken = self.spoken or words
            self.content = self.content or words

    def _name_calls(self, choice: Members, delta: Members) -> None:
        number = bytes(choice.get("index", _ZERO))
        for piece in items(delta, "tool_calls"):
            call = members(piece) or {}
            named = any(string(inner(call, kind).get("name", _ZERO)) for kind in ("function", "custom"))
            self._name_call((number, bytes(call.get("index", call.get("id", _ZERO)))), named=named)
        if given(delta, "function_call"):
            named = bool(string(inner(delta, "function_call").get("name", _ZERO)))
            self._name_call((number, b"function_call"), named=named)

    def _name_call(self, key: tuple[bytes, bytes], *, named: bool) -> None:
        if len(self._named) < _MOST_CALLS:
            self._named[key] = named or self._named.get(key, False)


def _has_content(member: tuple[str, msgspec.Raw]) -> bool:
    """Whether a member of a delta is more than a beginning."""
    return member[0] != "role" and bytes(member[1]) not in (b"null", b'""', b"[]", b"{}")


class ChunkFastPath:
    """For chunks that all hold the model's name, before any bracket. A :class:`FastPath`.

    First by the exact bytes up to it, which are the same in all chunks of most streams; where they are
    not (a time, an id of its own), by the member's own bytes and what stands before them.

    :param model: the asked name, or empty if nothing is rewritten.
    :param monitor: of the stream: pieces of calls are kept there.
    """

    __slots__ = (
        *("_anchor", "_call", "_ends", "_head", "_joint", "_list"),
        *("_model", "_monitor", "_new", "_new_head", "_new_joint", "_old"),
    )

    def __init__(self, model: str, monitor: StreamMonitor) -> None:
        self._monitor = monitor
        #: How pieces of the call begin that was named last.
        self._call = b""
        #: How a content begins, in this server's spelling, that is a list of parts.
        self._list = b""
        self._model = encode(model) if model else b""
        self._anchor = b""
        self._ends = False
        self._head = b""
        self._old = b""
        self._new = b""
        #: From an event's end of choices to the next one's model, where both are alike in all events.
        self._joint = b""
        self._new_head = b""
        self._new_joint = b""

    @property
    def knows(self) -> bool:
        return self._anchor != b""

    def forward(self, whole: bytes) -> bytes | None:
        if not self._anchor or not whole.startswith(DATA):
            return None
        if self._ends and not whole.endswith(self._anchor):
            return None
        # Taken apart at its line ends, and put together again: searches for long patterns cost more.
        lines = BytesIO(whole).readlines()
        differing = self._differing(whole, lines)
        varying = whole if differing is None else b"".join(differing)
        if self._list in varying:
            return None
        calls = varying.count(b'"tool_calls"')
        # Tool calls need attention unless they are mere pieces of arguments, numbered.
        if calls and (not self._call or calls != whole.count(self._call) or b'"name"' in whole):
            return None
        if differing is None:
            out = self._each_known(whole, len(lines))
        elif self._new == self._old:
            out = whole
        else:
            out = self._new_head + self._new_joint.join(differing) + self._anchor
        if calls and out is not None:
            self._monitor.keep(whole)
        return out

    def _differing(self, whole: bytes, lines: list[bytes]) -> list[bytes] | None:
        """What differs in events that are alike up to the model's name and from the end of the choices.

        :param lines: of them, each with its end.
        """
        head, joint, anchor = self._head, self._joint, self._anchor
        if not joint or not whole.startswith(head):
            return None
        begin, end = len(head), 1 - len(anchor)
        differing = [line[begin:end] for line in lines[::2]]
        return differing if b"%b%b%b" % (head, joint.join(differing), anchor) == whole else None

    def _each_known(self, whole: bytes, count: int) -> bytes | None:
        """The events as they go on, if each is known; ``count``: of their lines."""
        # The anchor is the mark of a choice that did not end.
        if 2 * whole.count(self._anchor) != count or not (self._ends or 2 * whole.count(END) == count):
            return None
        if not self._model:
            return whole if 2 * whole.count(NEXT_DATA) == count - 2 else None
        if self._new == self._old:
            return whole if 2 * whole.count(self._old) == count else None
        # One such member an event, and each within a beginning that is known, or else shown to be one.
        pieces = whole.split(self._old)
        if 2 * len(pieces) != count + 2:
            return None
        if 2 * whole.count(self._head) != count and not (
            _at_top(b"\n\n" + pieces[0]) and all(map(_at_top, pieces[1:-1]))
        ):
            return None
        return self._new.join(pieces)

    def reach(self, whole: bytes) -> int:
        at = whole.rfind(self._anchor) if self._ends else -1
        return at + len(self._anchor) if at >= 0 else 0

    def learn(self, block: bytes, out: bytes) -> None:
        if _BARE.search(block) is not None:
            # How the words come is not known yet: as a text, or as a list of parts, which is to be mended.
            return
        if b'"tool_calls"' in block and (call := _CALL.search(block)):
            self._call = b'"tool_calls":[{"index":' + call["index"] + b","
        anchor = _ANCHOR.search(block)
        if anchor is None:
            return
        if self._model:
            head = _HEAD.match(block)
            if head is None:
                return
            new = head["name"] + self._model
            if block[: head.start("name")] + new + block[head.end() :] != out:
                return
            self._head, self._old, self._new = head.group(), head["name"] + head["value"], new
        self._anchor = anchor.group()
        self._list = b'"content": [' if b'"finish_reason": ' in self._anchor else b'"content":['
        # Mostly nothing of interest follows it: then the end of the event need not be counted apart.
        self._ends = anchor["rest"] is not None
        if self._ends:
            self._anchor += END.removeprefix(b"}")
            self._joint = self._anchor + self._head if self._head else b""
            self._new_head = self._head.removesuffix(self._old) + self._new
            self._new_joint = self._anchor + self._new_head
        else:
            self._joint = b""


def _at_top(piece: bytes) -> bool:
    """Whether what ends here began a line of data and opened no bracket since."""
    at = piece.rfind(b"{")
    if piece[at - 8 : at + 1] != NEXT_DATA:
        return False
    return piece.find(b"}", at) < 0 and piece.find(b"[", at) < 0 and piece.find(b"]", at) < 0


#: Closes the list of choices, so that no event has it twice, and ends the event if nothing else follows.
_ANCHOR = re.compile(
    rb'"finish_reason": ?null(?:, ?"[a-z_]+": ?null)*\}\](?P<rest>(?:, ?"[a-z_]+": ?null)*\}\Z)?'
)


EVENTS = EventStream(
    monitor=ChunkMonitor, fast_path=ChunkFastPath, keepalive=b": keep-alive\n\n", done=b"data: [DONE]\n\n"
)
