"""What must be known of Responses where bytes pass.

A thread that another vendor answered carries that vendor's thinking: with its proof, marked, in
``encrypted_content``, or with none. This vendor refuses the one, and where nothing is stored it looks
for the other in vain (404). Both are taken out of the bytes, all else keeps its exact text.
"""

from __future__ import annotations

import re
from functools import partial

from ampproxy.dialects.base import (
    LONGEST_SLEEP_SECONDS,
    VERCEL,
    EventStream,
    Mending,
    Passthrough,
    References,
    Storing,
)
from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.ends import may_be_cut
from ampproxy.dialects.facts import Looked
from ampproxy.dialects.fastpath import NamedFastPath
from ampproxy.dialects.json import NULL, Decoder, first, loads, members, read_or, to_raw
from ampproxy.dialects.limits import openai_limits
from ampproxy.dialects.monitor import (
    NO_NAME,
    TIER,
    Members,
    Raw,
    StreamMonitor,
    given,
    has_list,
    inner,
    made,
    plain,
    tiered,
)
from ampproxy.dialects.openai import responses_usage
from ampproxy.dialects.openai_responses import stored
from ampproxy.dialects.openai_responses.repairs import ResponsesMending, ResponsesRules, is_odd
from ampproxy.dialects.openai_responses.socket import MESSAGES
from ampproxy.dialects.openai_responses.stored import items_in, items_of, stores, with_items
from ampproxy.dialects.openai_responses.tools import is_foreign
from ampproxy.dialects.proof import MARK, unwrap_signature, unwrap_summary
from ampproxy.dialects.state import Foreign, Issue, Missing, VendorState
from ampproxy.dialects.tool_names import declared, flat, flat_names, shown_by
from ampproxy.model.base import CHAT, GEMINI, RESPONSES, Json
from ampproxy.model.events import Usage
from ampproxy.model.loss import Loss, Losses
from ampproxy.wire.json import Peek, elements, natural, string
from ampproxy.wire.json import members as raw_members

_MARK = MARK.encode()
_REASONING = b'"reasoning"'
#: Begins the types of the items that may hold a summary of ours.
_COMPACTION = b'compaction"'
_TRUE, _FALSE = Json(b"true"), Json(b"false")
_ADDED = "response.output_item.added"
_DELTA = re.compile(rb"event: response\.[a-z_.]+\.delta\ndata: \{")
#: How pieces of a call begin; custom tools take any text, which shows no end.
_PIECE = b"event: response.function_call_arguments."
_CALLS = frozenset(("function_call", "custom_tool_call"))
_CALLING = tuple(f'"{name}"'.encode() for name in _CALLS)
#: Events that hold nothing of the answer itself, beside those of the backend of Codex logins (``codex.*``).
_HANDSHAKE = frozenset(
    (
        *("response.created", "response.queued", "response.in_progress", "response.metadata"),
        *("response.failed", "keepalive", "error"),
    )
)


def without_foreign_proofs(body: bytes) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without reasoning items that this vendor did not issue; its own proofs that were marked
    are given back as they were issued.

    :returns: the body (the same object where nothing was to be done), and what was left out.
    :raises ampproxy.errors.ClientFault: the body is not a JSON object.
    """
    if _MARK not in body and _REASONING not in body:
        return body, ()
    found = members(body)
    stored = found.get("store", _TRUE) != _FALSE
    losses = Losses()

    def own(number: int, item: Json) -> Json | None:
        return _own(item, f"input[{number}]", losses, stored=stored) if _suspicious(item) else item

    return bytes(edit_items(body, "input", own, found)), losses.all()


def _suspicious(item: Json) -> bool:
    text = bytes(item)
    return text[:1] == b"{" and (_MARK in text or _REASONING in text)


def _own(item: Json, path: str, losses: Losses, *, stored: bool) -> Json | None:
    """The item as this vendor may see it; the same object where it may see it as it is."""
    fields = members(item, path)
    proof = loads(fields.get("encrypted_content", NULL))
    if not isinstance(proof, str):
        if loads(fields.get("type", NULL)) != "reasoning" or stored:
            return item
        losses("reasoning", path, "The thinking has no signature.")
        return None
    if not proof.startswith(MARK):
        return item
    if (summary := unwrap_summary(proof)) is not None:
        # Not at the top: it is one of what translates.
        from ampproxy.dialects.openai_responses.items_in import SUMMARY

        return to_raw({"type": "message", "role": "user", "content": SUMMARY + summary})
    signature = unwrap_signature(proof, RESPONSES)
    if signature.vendor != RESPONSES:
        losses("foreign_proof", path, f"The signature of this thinking is {signature.vendor}'s.")
        return None
    fields["encrypted_content"] = to_raw(signature.value)
    if signature.item is not None:
        fields["id"] = to_raw(signature.item)
    return to_raw(fields)


def usage_of(usage: Members) -> Usage:
    """``input_tokens`` and ``output_tokens``, and what the answer reports of how it was served."""
    found = plain(usage)
    return responses_usage(found, found.get(TIER))


def _answer_usage(answer: Members) -> Usage | None:
    usage = tiered(inner(answer, "usage"), answer)
    return usage_of(usage) if usage else None


def _ends_well(answer: Members) -> bool:
    text = bytes(answer["output"])
    return not any(call in text for call in _CALLING) or not (NO_NAME.search(text) or may_be_cut(text))


class ResponsesMonitor(StreamMonitor):
    """Looks for the events that end an answer, calls that never end, and the usage."""

    __slots__ = ("_announced", "_calling", "_cut", "_ended")
    read = staticmethod(usage_of)

    def __init__(self) -> None:
        super().__init__()
        #: The numbers of the calls that were announced, and have not ended.
        self._calling: set[bytes] = set()
        #: The numbers of all items that were, and whether one has ended.
        self._announced: set[bytes] = set()
        self._ended = False
        #: Whether a call may have ended before it was whole.
        self._cut = False

    def see(self, name: bytes, data: bytes, values: Members | None = None) -> bool:
        known = super().see(name, data, values)
        if (self._calling or self._cut) and not self.terminal:
            self.keep(b"data: " + data.replace(b"\n", b" ") + b"\n\n")
        return known

    def look(self, kind: str, values: Members) -> bool:
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            response = inner(values, "response")
            self.learn(response.get("usage", NULL), response)
            self.close()
            status = string(response.get("status", NULL))
            if kind == "response.completed":
                if not self._ended:
                    self._end_items(response)
                unplain = self._cut or (status or "completed") != "completed"
                self.doubtful = bool(self._calling) or unplain
                nothing = not (self.content or unplain or elements(response.get("output", NULL)))
                self.empty = nothing and self.counts_nothing()
        elif kind == "response.output_item.added":
            self._announced.add(bytes(values.get("output_index", NULL)))
            if string(inner(values, "item").get("type", NULL)) in _CALLS:
                self._calling.add(bytes(values.get("output_index", NULL)))
        elif kind == "response.output_item.done":
            item, self._ended = inner(values, "item"), True
            self._calling.discard(bytes(values.get("output_index", NULL)))
            if string(item.get("type", NULL)) in _CALLS:
                self.doubtful = not string(item.get("name", NULL))
                self._cut = self._cut or may_be_cut(bytes(values["item"]))
            if self.doubtful or not (self._calling or self._cut):
                self.forget()
        elif kind.endswith(".delta") and bytes(values.get("output_index", NULL)) not in self._announced:
            self._announce(kind, values)
        if kind in ("response.failed", "response.error", "error"):
            self.fail()
        self.content = self.content or not (kind in _HANDSHAKE or kind.startswith("codex."))
        return bool(kind)

    def _announce(self, kind: str, values: Members) -> None:
        """An item begins with its words."""
        index = bytes(values.get("output_index", NULL))
        self._announced.add(index)
        where = {"item_id": string(values.get("item_id", NULL)) or "", "output_index": loads(index)}
        if kind == "response.output_text.delta":
            item = {"type": "message", "role": "assistant", "content": []}
            part = {"type": "output_text", "text": "", "annotations": []}
            opened = [made("response.content_part.added", **where, content_index=0, part=part)]
        elif kind.startswith("response.reasoning_"):
            item, opened = {"type": "reasoning", "summary": []}, []
        else:
            # What a call calls is not known.
            return
        item = {"id": where["item_id"], "status": "in_progress", **item}
        self.lacking.append(made(_ADDED, output_index=loads(index), item=item))
        self.lacking += opened

    def _end_items(self, response: Members) -> None:
        """The answer is whole, and none of its items has ended: clients take them from those events."""
        known = sorted(index for raw in self._announced if (index := natural(raw)) is not None)
        for number, item in enumerate(elements(response.get("output", NULL))):
            index = known[number] if number < len(known) else number
            if number >= len(known):
                self.lacking.append(made(_ADDED, output_index=index, item=item))
            self.lacking.append(made("response.output_item.done", output_index=index, item=item))


def without_proofs(body: bytes, foreign: Foreign) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without the reasoning items whose proofs another account issued."""
    losses = Losses()

    def kept(number: int, item: Json) -> Json | None:
        if _REASONING not in bytes(item) or not _is_foreign(item, f"input[{number}]", foreign):
            return item
        losses("foreign_proof", f"input[{number}]", "Another account issued the signature of this thinking.")
        return None

    return bytes(edit_items(body, "input", kept)), losses.all()


def _is_foreign(item: Json, path: str, foreign: Foreign) -> bool:
    if first(item) != b"{":
        return False
    fields = members(item, path)
    proof = loads(fields.get("encrypted_content", NULL))
    return loads(fields.get("type", NULL)) == "reasoning" and isinstance(proof, str) and foreign(proof)


_NOT_THERE = Missing(status=400, code="previous_response_not_found", param="previous_response_id")

STATE = VendorState(
    marks=(b"previous_response_id", b'"conversation"', b'"file_id', b'"container', b"vector_store_ids"),
    members=frozenset(
        (
            *("previous_response_id", "conversation", "file_id", "file_ids", "container", "container_id"),
            "vector_store_ids",
        )
    ),
    prefixes=("resp_", "conv_", "file-", "file_", "cfile_", "cntr_", "vs_"),
    issues=(
        Issue(
            pattern=re.compile(rb'"id": ?"(resp_[\w-]{1,200})"'),
            counts=lambda found: bytes(found.store) != b"false",
        ),
        Issue(
            pattern=re.compile(rb'"(?:id|container_id|file_id)": ?"((?:conv|cntr|cfile)_[\w-]{1,200})"'),
            texts=(b'"conv_', b'"cntr_', b'"cfile_'),
        ),
    ),
    tools=(b'"code_interpreter"', b'"shell"'),
    missing={
        "resp_": _NOT_THERE,
        "conv_": Missing(code="conversation_not_found", param="conversation"),
        "cntr_": Missing(code="container_not_found", param="tools"),
        "vs_": Missing(code="vector_store_not_found", param="tools"),
        "": Missing(code="file_not_found", param="input"),
    },
    proofs=(b'"encrypted_content"',),
    without=without_proofs,
    bound=True,
)


class _Body(Peek, frozen=True, gc=False):
    input: Raw = NULL
    messages: Raw = NULL
    contents: Raw = NULL
    system: Raw = NULL
    max_tokens: Raw = NULL
    max_completion_tokens: Raw = NULL
    reasoning_effort: Raw = NULL
    response_format: Raw = NULL


#: Members of other dialects' requests that mean something beside ``input``, too.
_BESIDE = ("messages", "system", "max_tokens", "max_completion_tokens", "reasoning_effort", "response_format")
_body = Decoder(_Body)


def look(body: bytes) -> tuple[Peek, bool] | None:
    """What routing looks at, and whether the input may hold thinking."""
    found = read_or(_body, body, None)
    if found is None:
        return None
    plain = found.messages is found.system is found.max_tokens is found.max_completion_tokens is NULL
    plain = plain and found.reasoning_effort is found.response_format is NULL
    dialect = ""
    if not plain or found.input is NULL:
        dialect = _written({name: getattr(found, name) for name in ("input", "contents", *_BESIDE)})
    thinks = body.rfind(_REASONING) >= 0 or body.rfind(_COMPACTION) >= 0
    return Looked.of(found, dialect), thinks


def _written(values: Members) -> str:
    """The dialect in which a body with these members is written, or of which it has some; empty: this one's
    alone.
    """
    if not given(values, "input"):
        if given(values, "messages"):
            return CHAT
        if given(values, "contents"):
            return GEMINI
    return RESPONSES if any(given(values, name) for name in _BESIDE) else ""


def _mixed(found: Peek, body: bytes) -> str:
    """See :attr:`~ampproxy.dialects.base.Passthrough.mixed`: clients send a body of Chat Completions here, or
    tools and other members in its form or in Anthropic's.
    """
    written = "" if type(found) is Looked else _written(raw_members(body) or {})
    return written or (RESPONSES if is_foreign(bytes(found.tools), bytes(found.choice)) else "")


PASSTHROUGH = Passthrough(
    mending=Mending(signs=is_odd, of_one=ResponsesMending),
    mixed=_mixed,
    events=EventStream(
        monitor=ResponsesMonitor,
        fast_path=lambda model, monitor: NamedFastPath(_DELTA, _PIECE, monitor),
        keepalive=b": keep-alive\n\n",
        typed=True,
    ),
    usage=_answer_usage,
    is_answer=partial(has_list, name="output", may_be_empty=True),
    ends_well=_ends_well,
    traces=(_REASONING, _COMPACTION),
    look=look,
    own=lambda body, model, families, *, cleaned: without_foreign_proofs(body),
    rules=ResponsesRules,
    declared=partial(declared, flat_names),
    shown=shown_by(flat),
    state=STATE,
    limits=openai_limits,
    longest_sleep=LONGEST_SLEEP_SECONDS,
    messages=MESSAGES,
    references=References(
        stores=stores,
        replaced=with_items,
        of_answer=items_of,
        of_events=items_in,
        storing=Storing(
            previous=stored.previous_of,
            items=stored.own_items,
            joined=stored.joined,
            id=stored.id_of,
            output=stored.output_of,
            of_events=stored.answer_in,
            kept=stored.kept_as,
            page=stored.items_page,
        ),
    ),
    reads_errors=VERCEL,
)
