"""What must be known of Messages where bytes pass."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import msgspec

from ampproxy.adapt.target import Target
from ampproxy.catalog.families import Families
from ampproxy.catalog.hosts import Host
from ampproxy.dialects.anthropic.clean import clean_beta, clean_request, edit_blocks, without_lost_thinking
from ampproxy.dialects.anthropic.repairs import (
    SIGNS,
    TOOL_BLOCK,
    AnthropicRules,
    MessagesMending,
    with_end_turn,
)
from ampproxy.dialects.anthropic.usage import REASONS, read_usage, usual_usage
from ampproxy.dialects.base import LONGEST_SLEEP_SECONDS, VERCEL, EventStream, Mending, Passthrough
from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.ends import may_be_cut
from ampproxy.dialects.facts import Looked
from ampproxy.dialects.fastpath import NamedFastPath
from ampproxy.dialects.json import Decoder, encode, loads, to_raw
from ampproxy.dialects.limits import anthropic_limits
from ampproxy.dialects.monitor import NO_NAME, Members, StreamMonitor, given, has_list, inner, made
from ampproxy.dialects.state import Foreign, Issue, Missing, VendorState
from ampproxy.dialects.tool_names import declared, flat, flat_names, shown_by
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.events import Usage
from ampproxy.model.loss import Loss, Losses
from ampproxy.wire.json import BAD_JSON, NULL, Peek, elements, members, natural, replace_members, string

_WHY = "The account does not accept the signature of this thinking."
_DELTA = re.compile(rb"event: content_block_delta\ndata: \{")
#: Events that hold nothing of the answer itself.
_HANDSHAKE = frozenset(("message_start", "ping", "error"))
_TEXT = {"type": "text", "text": ""}
_THINKING = {"type": "thinking", "thinking": "", "signature": ""}
#: What begins an answer, but for what is mended of it.
_MESSAGE = {"type": "message", "role": "assistant", "model": "", "stop_reason": None, "stop_sequence": None}
_UNSIGNED = Loss("reasoning", "messages", "Thinking without its signature was dropped.")
_NOT_GOING_ON = Loss("thinking", "thinking", "This tool loop has no thinking that could be sent back.")
_SYSTEM_TURN = re.compile(rb'"role"\s*:\s*"system"')
#: How much to think, in other ways than a budget.
_LEVELS = (b'"adaptive"', b'"between_tools"', b'"effort"')
_DISABLED = b'"disabled"'
_CHOICE = b'"tool_choice"'


def without_proofs(body: bytes, foreign: Foreign) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without the thinking whose proofs are foreign. A turn that held nothing else is left out; in
    the middle of a tool loop, where older models want their thinking back, the wish to think is left out too.
    """
    found = members(body) or {}
    losses = Losses()

    def kept(number: int, turn: Json) -> Json | bytes | None:
        def own(place: int, block: Json) -> Json | None:
            if not _is_foreign(block, foreign):
                return block
            losses("foreign_proof", f"messages[{number}].content[{place}]", _WHY)
            return None

        return edit_blocks(turn, own)

    left = edit_items(body, "messages", kept, found)
    if left is body:
        return body, ()
    turns = elements((members(left) or {}).get("messages"))
    blocks = elements((members(turns[-1]) or {}).get("content")) if turns else []
    thinking = loads(found.get("thinking", NULL))
    asks_to_think = isinstance(thinking, dict) and thinking.get("type") == "enabled"
    if asks_to_think and any(b'"tool_result"' in bytes(block) for block in blocks):
        losses("thinking", "thinking", "The thinking of this tool loop cannot be sent back.")
        left = replace_members(left, {"thinking": encode({"type": "disabled"})})
    return bytes(left), losses.all()


def _is_foreign(block: Json, foreign: Foreign) -> bool:
    if b"thinking" not in bytes(block):
        return False
    fields: Any = loads(block)
    kind = fields.get("type") if isinstance(fields, dict) else None
    proof = {"thinking": "signature", "redacted_thinking": "data"}.get(str(kind))
    value = fields.get(proof) if proof else None
    return isinstance(value, str) and bool(value) and foreign(value)


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    signature: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Message(msgspec.Struct, gc=False):
    role: str = ""
    content: str | list[_Block] | None = None
    tool_calls: msgspec.Raw = NULL


class _Body(Peek, frozen=True, gc=False):
    messages: list[_Message] = []  # noqa: RUF012  # msgspec gives each its own
    max_completion_tokens: msgspec.Raw = NULL
    max_output_tokens: msgspec.Raw = NULL
    stop: msgspec.Raw = NULL


_body = Decoder(_Body)
_ROLES = frozenset(("user", "assistant", "system"))
#: Of parts of OpenAI's dialects that this one's vendor does not know.
_FOREIGN = frozenset(("image_url", "input_text", "output_text", "input_image"))
#: Tools in the form of Chat Completions or Responses, by the first one, and a choice in theirs.
_FUNCTIONS = re.compile(rb'\[\s*\{\s*"type"\s*:\s*"function"')
_CHOICE_OF_OPENAI = re.compile(rb'"|\{\s*"type"\s*:\s*"(?:function|required)"')


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether a message holds thinking or a proof of it; ``None``: the body is
    not as Anthropic takes it. That is cheaper than searches.
    """
    try:
        found = _body.decode(body)
    except BAD_JSON:
        return None
    thinks = foreign = False
    for message in found.messages:
        foreign = foreign or message.role not in _ROLES or message.tool_calls is not NULL
        content = message.content
        if isinstance(content, list):
            for block in content:
                # "redacted_thinking", too.
                if block.signature is not msgspec.UNSET or "thinking" in block.type:
                    thinks = True
                elif block.type in _FOREIGN:
                    foreign = True
    if found.messages and found.messages[0].role == "system":
        foreign = True
    # The texts of the messages are not kept.
    found.messages.clear()
    plain = found.max_completion_tokens is found.max_output_tokens is found.stop is NULL
    foreign = foreign or not plain or _FUNCTIONS.match(found.tools) is not None
    if foreign or _CHOICE_OF_OPENAI.match(found.choice) is not None:
        return Looked.of(found, ANTHROPIC), thinks
    return found, thinks


def _answer_usage(answer: Members) -> Usage | None:
    usage = usual_usage(answer.get("usage", NULL))
    if usage is None and (found := inner(answer, "usage")):
        usage = read_usage(found)
    return usage


def _usage_of(usage: Members) -> Usage:
    return usual_usage(to_raw(usage)) or read_usage(usage)


def _ends_well(answer: Members) -> bool:
    reason = string(answer.get("stop_reason", NULL))
    content = answer["content"]
    if reason == "tool_use" and (NO_NAME.search(content) or not TOOL_BLOCK.search(content)):
        return False
    return reason is None or reason in REASONS


class MessagesMonitor(StreamMonitor):
    """Looks for ``message_stop``, an error, how the answer ended, and the usage."""

    __slots__ = ("_begun", "_called", "_calling", "_cut", "_fast", "_input", "_open", "_reason")
    read = staticmethod(_usage_of)

    def __init__(self) -> None:
        super().__init__()
        #: Whether a call is open, and whether one was whole.
        self._calling = False
        self._called = False
        self._reason = False
        self._begun = False
        #: Of the call that is open, as it began.
        self._input = NULL
        #: The numbers of the blocks that began and did not end.
        self._open: set[bytes] = set()
        #: Whether a call may have ended before it was whole; the events of such calls are kept.
        self._cut = False
        self._fast = NamedFastPath(_DELTA, None, self)

    def fast(self) -> NamedFastPath:
        """The stream's fast path, which keeps what goes by of a call."""
        return self._fast

    def see(self, name: bytes, data: bytes, values: Members | None = None) -> bool:
        called = self._calling
        known = super().see(name, data, values)
        if (called or self._calling) and not self.doubtful:
            self.keep(b"data: " + data.replace(b"\n", b" ") + b"\n\n")
            if not self._calling:
                self._settle()
        return known

    def _settle(self) -> None:
        """A call has ended: of a whole one nothing needs to be kept."""
        if self._cut:
            return
        self._cut = may_be_cut(*self.kept)
        if not self._cut:
            self.forget()

    def look(self, kind: str, values: Members) -> bool:
        if kind == "message_start":
            self._begun = True
            self.learn(inner(values, "message").get("usage", NULL))
        elif kind == "content_block_start":
            self.spoken = True
            self._open.add(bytes(values.get("index", NULL)))
            self._fast.shut = False
            block = inner(values, "content_block")
            self._calling = self._fast.keeps = string(block.get("type", NULL)) == "tool_use"
            self._input = block.get("input", NULL)
            self.doubtful = self._calling and not string(block.get("name", NULL))
        elif kind == "content_block_stop":
            index = bytes(values.get("index", NULL))
            if self._calling and len(self.kept) == 1 and given({"input": self._input}, "input"):
                # Agents take it from its pieces.
                piece = {"type": "input_json_delta", "partial_json": bytes(self._input).decode()}
                self.lacking.append(made("content_block_delta", index=loads(index), delta=piece))
            self._called, self._calling = self._called or self._calling, False
            self._fast.keeps = False
            self._open.discard(index)
            self._fast.shut = not self._open
        elif kind == "content_block_delta":
            if bytes(values.get("index", NULL)) not in self._open:
                self._announce(values)
        elif kind == "message_delta":
            self.learn(values.get("usage", NULL))
            reason = string(inner(values, "delta").get("stop_reason", NULL))
            self._reason = self.finished = self._reason or bool(reason)
            if reason and self._open:
                opened = sorted(at for raw in self._open if (at := natural(raw)) is not None)
                self.lacking += [made("content_block_stop", index=at) for at in opened]
            uncalled = reason == "tool_use" and not (self._called or self._calling)
            self.uncalled = uncalled and self.spoken
            self.doubtful = bool(reason) and (
                reason not in REASONS or uncalled or (self._cut and reason in ("tool_use", "end_turn"))
            )
            self.empty = reason == "end_turn" and self.counts_nothing()
        elif kind == "message_stop":
            # Whole calls show an end; words do not.
            self.unended = not (self._reason or (self._called and not self._calling))
            self.close()
        elif kind == "error":
            self.fail()
        if not self._begun and kind not in _HANDSHAKE:
            self.lacking.insert(0, made("message_start", message=_MESSAGE))
        self.content = self.content or kind not in _HANDSHAKE
        return bool(kind)

    def _announce(self, values: Members) -> None:
        """A block begins with its words."""
        index, delta = natural(values.get("index", NULL)), inner(values, "delta")
        if "partial_json" in delta:
            # What it calls is not known, unless it is the input that a call began with.
            self.doubtful = string(delta["partial_json"]) != bytes(self._input).decode()
        elif index is not None:
            block = _TEXT if "text" in delta else _THINKING
            self.lacking.append(made("content_block_start", index=index, content_block=block))


def _own(
    body: bytes, model: str, families: Families | None, *, cleaned: bool
) -> tuple[bytes, tuple[Loss, ...]]:
    # Other servers that speak this dialect issue thinking without proofs, and may want it back.
    if "claude" not in model.lower():
        return body, ()
    kept = body if cleaned else clean_request(body)
    losses = () if kept is body else (_UNSIGNED,)
    if not losses and not cleaned:
        return body, ()
    settled = without_lost_thinking(kept)
    return (kept, losses) if settled is kept else (settled, (*losses, _NOT_GOING_ON))


def _may_not_fit(body: bytes, target: Target) -> bool:
    """Whether a body has anything that its server, which is not Anthropic's own, does not take."""
    host = target.host
    if not host.known:
        return False
    marks = [b'"%b"' % name.encode() for name in host.refuses]
    if host.thinking == "budget":
        marks += _LEVELS
    if not target.can_disable:
        marks.append(_DISABLED)
    if len(host.choices) < len(Host().choices) or host.forced_tools != "always":
        marks.append(_CHOICE)
    # From the end: in large bodies that search is several times faster.
    if any(body.rfind(mark) >= 0 for mark in marks):
        return True
    return _has_system_turn(body, target)


def _has_system_turn(body: bytes, target: Target) -> bool:
    """Whether a message is the system's, where its server takes none: one that begins the conversation is a
    system text, which the vocabulary does not show.
    """
    return target.host.system == "first" and _SYSTEM_TURN.search(body) is not None


#: Threads are the beta message-threads: an answer's id stands for the conversation up to it.
_STATE = VendorState(
    marks=(b'"file_id"', b'"container"', b'"previous_message_id"'),
    members=frozenset(("file_id", "container", "previous_message_id")),
    prefixes=("file_", "container_", "msg_"),
    issues=(
        Issue(
            pattern=re.compile(rb'"id": ?"(msg_[\w-]{1,200})"'),
            counts=lambda found: bytes(found.thread) != b"null",
        ),
        Issue(
            pattern=re.compile(rb'"(?:id|file_id)": ?"((?:container|file)_[\w-]{1,200})"'),
            texts=(b'"container_', b'"file_'),
        ),
    ),
    tools=(b'"code_execution', b'"bash_code_execution'),
    missing={
        "msg_": Missing(code="not_found_error", details={"error_code": "thread_not_found"}),
        "": Missing(code="not_found_error"),
    },
    proofs=(b'"signature"', b'"redacted_thinking"'),
    without=without_proofs,
)


PASSTHROUGH = Passthrough(
    mending=Mending(signs=SIGNS.search, of_one=MessagesMending, uncalled=with_end_turn),
    events=EventStream(
        monitor=MessagesMonitor,
        fast_path=lambda model, monitor: monitor.fast(),  # type: ignore[attr-defined]
        keepalive=b'event: ping\ndata: {"type": "ping"}\n\n',
        done=b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        named=True,
        typed=True,
    ),
    usage=_answer_usage,
    is_answer=partial(has_list, name="content", may_be_empty=True),
    ends_well=_ends_well,
    traces=(b'thinking"', b'"signature"'),
    look=look,
    is_renamed=_has_system_turn,
    own=_own,
    may_not_fit=_may_not_fit,
    clean=clean_request,
    clean_headers={b"anthropic-beta": clean_beta},
    rules=AnthropicRules,
    overloaded=529,
    declared=partial(declared, flat_names),
    shown=shown_by(flat),
    state=_STATE,
    limits=anthropic_limits,
    longest_sleep=LONGEST_SLEEP_SECONDS,
    reads_errors=VERCEL,
)
