"""A stream for a client of the old completions: events to chunks of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import encode
from ampproxy.dialects.openai import chat_usage_body, error_body
from ampproxy.dialects.openai_completions.wire import answer_id, echoed, finish_word, logprobs_body
from ampproxy.dialects.streams import Renderer
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartStarted,
    Ping,
    Started,
    UsageReport,
    WireError,
)
from ampproxy.model.loss import part_kind
from ampproxy.model.parts import Refusal, Text

_TAIL = b',"logprobs":null,"finish_reason":null}]}\n\n'


class CompletionsStreamRenderer(Renderer):
    """See :class:`~ampproxy.dialects.base.StreamRenderer`. Only words are told; none of them empty."""

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._wants_usage = context.request is not None and context.request.include_usage
        asked = context.request.sampling.candidates if context.request is not None else None
        self._asked = asked or 1
        self._head = b""
        #: By part: the bytes up to its words, and its choice.
        self._parts: dict[int, tuple[bytes, int]] = {}
        #: By choice: the length of what was told, and whether its end was.
        self._sent: dict[int, int] = {}
        self._finished: set[int] = set()

    def feed(self, events: Sequence[Event]) -> bytes:
        """See :class:`~ampproxy.dialects.base.StreamRenderer`."""
        out: list[bytes] = []
        for event in events:
            if not self._over and (render := self._RENDERERS.get(type(event))):
                render(self, event, out)
        return b"".join(out)

    def error(self, error: WireError) -> bytes:
        """See :class:`~ampproxy.dialects.base.StreamRenderer`. No ``[DONE]`` follows."""
        if self._over:
            return b""
        self._over = True
        return b"data: " + error_body(error) + b"\n\n"

    def _started(self, event: Started, out: list[bytes]) -> None:
        if self._head:
            return
        context = self._context
        self._own = event.dialect == COMPLETIONS
        head = {
            "id": answer_id(event.id, event.dialect, context),
            "object": "text_completion",
            "created": context.created if event.created is None else event.created,
            "model": context.model,
        }
        self._head = b"data: " + encode(head)[:-1] + b',"choices":['

    def _choice(self, number: int, out: list[bytes]) -> bytes:
        """What a choice's chunks begin with; its first one repeats the prompt, if that was asked for."""
        if not self._head:
            self._started(Started(), out)
        before = self._head + b'{"index":%d,"text":' % number
        if number not in self._sent:
            # Once for each choice that was asked for; a vendor may give more.
            prompt = echoed(self._context) if number < self._asked else ""
            self._sent[number] = len(prompt)
            if prompt:
                out.append(before + encode(prompt) + _TAIL)
        return before

    def _opened(self, event: PartStarted, out: list[bytes]) -> None:
        part = event.part
        if isinstance(part, Text | Refusal):
            self._parts[event.index] = (self._choice(event.choice, out), event.choice)
            self._delta(Delta(event.index, part.text), out)
        else:
            self.losses(part_kind(part), f"parts[{event.index}]", "Completions contain only text.")

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        known = self._parts.get(event.index)
        if known is None or not (event.text or event.logprobs):
            return
        before, choice = known
        tail = _TAIL
        if event.logprobs:
            logprobs = encode(logprobs_body(event.logprobs, self._sent[choice]))
            tail = _TAIL.replace(b'"logprobs":null', b'"logprobs":' + logprobs)
        self._sent[choice] += len(event.text)
        out += (before, encode(event.text), tail)

    def _end(self, event: Finished, out: list[bytes]) -> None:
        self._finish(event.choice, event, out)

    def _finish(self, number: int, end: Finished | None, out: list[bytes]) -> None:
        before = self._choice(number, out)
        if number not in self._finished:
            self._finished.add(number)
            word = encode(finish_word(end))
            out.append(before + b'""' + _TAIL.replace(b'"finish_reason":null', b'"finish_reason":' + word))

    def _completed(self, event: Completed, out: list[bytes]) -> None:
        for number in [*self._sent] or [0]:
            self._finish(number, None, out)
        if self._wants_usage and self._usage is not None:
            usage = encode(chat_usage_body(self._usage, extras=self._own))
            out.append(self._head + b'],"usage":' + usage + b"}\n\n")
        out.append(b"data: [DONE]\n\n")
        self._over = True

    _RENDERERS: ClassVar[dict[type, Callable[[CompletionsStreamRenderer, Any, list[bytes]], None]]] = {
        Started: _started,
        PartStarted: _opened,
        Delta: _delta,
        UsageReport: Renderer._report,
        Finished: _end,
        Completed: _completed,
        Failed: Renderer._failed,
        Ping: Renderer._ping,
    }
