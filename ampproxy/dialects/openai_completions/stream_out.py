"""A stream for a client of the old completions: events to chunks of text."""

from __future__ import annotations

from collections.abc import Iterable

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import encode
from ampproxy.dialects.openai_answers import ChunkRenderer
from ampproxy.dialects.openai_completions.wire import FORM, echoed, finish_word, logprobs_body
from ampproxy.model.events import Delta, Finished, PartStarted, Started
from ampproxy.model.loss import part_kind
from ampproxy.model.parts import Refusal, Text

_TAIL = b',"logprobs":null,"finish_reason":null}]}\n\n'


class CompletionsStreamRenderer(ChunkRenderer):
    """See :class:`~ampproxy.dialects.base.StreamRenderer`. Only words are sent; none of them empty."""

    FORM = FORM

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._asked = context.asked.sampling.candidates or 1
        #: By part: the bytes up to its words, and its choice.
        self._parts: dict[int, tuple[bytes, int]] = {}
        #: By choice: the length of what was sent, and whether its end was.
        self._sent: dict[int, int] = {}
        self._ended: set[int] = set()

    def _choice(self, number: int, out: list[bytes]) -> bytes:
        """What a choice's chunks begin with; its first one repeats the prompt, if that was asked for."""
        if not self._head:
            self._on_start(Started(), out)
        before = self._head + b'{"index":%d,"text":' % number
        if number not in self._sent:
            # Once for each choice that was asked for; a vendor may give more.
            prompt = echoed(self._context) if number < self._asked else ""
            self._sent[number] = len(prompt)
            if prompt:
                out.append(before + encode(prompt) + _TAIL)
        return before

    def _on_part(self, event: PartStarted, out: list[bytes]) -> None:
        part = event.part
        if isinstance(part, Text | Refusal):
            self._parts[event.index] = (self._choice(event.choice, out), event.choice)
            self._on_delta(Delta(event.index, part.text), out)
        else:
            self.losses(part_kind(part), f"parts[{event.index}]", "Completions contain only text.")

    def _on_delta(self, event: Delta, out: list[bytes]) -> None:
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

    def _begun(self) -> Iterable[int]:
        return self._sent

    def _finish(self, number: int, end: Finished | None, out: list[bytes]) -> None:
        before = self._choice(number, out)
        if number not in self._ended:
            self._ended.add(number)
            word = encode(finish_word(end))
            out.append(before + b'""' + _TAIL.replace(b'"finish_reason":null', b'"finish_reason":' + word))
