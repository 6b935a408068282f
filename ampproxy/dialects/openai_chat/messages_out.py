"""The messages of a conversation: from turns to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ampproxy.dialects.common import Losses, object_or_empty, raw_str
from ampproxy.dialects.freeform import wrap
from ampproxy.dialects.openai_chat.arrange import Message, Placed, arrange
from ampproxy.dialects.openai_chat.parts_out import PartWriter
from ampproxy.dialects.openai_chat.rules import NO_PROOF, Rules, call_id
from ampproxy.model.base import CHAT, GEMINI
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import Turn

#: What the assistant says between results of tools and the user, where one of its turns must stand.
ANSWERED: Final = "OK."
#: Where Gemini's proof of a call stands.
PROOFS: Final = "extra_content"
#: Who issues such proofs: Google's own dialect, and its server of this one.
_PROVERS: Final = (GEMINI, CHAT)
#: ``role`` and ``content``.
_EMPTY_MEMBERS: Final = 2


class MessageWriter:
    """Writes messages in OpenAI's order, and notes what cannot be said."""

    def __init__(self, rules: Rules, losses: Losses) -> None:
        self._rules = rules
        self._losses = losses
        self._parts = PartWriter(rules, losses)

    def messages(self, system: Sequence[Text], turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """All of a request."""
        out: list[dict[str, Any]] = []
        placed = (Placed(f"system[{n}]", text) for n, text in enumerate(system))
        content = self._parts.content(placed, "system")
        if content:
            out.append({"role": "system", "content": content})
        for message in arrange(turns, self._losses):
            if message.role == "assistant":
                body = self._assistant(message)
                # A turn of which nothing could be said is no message; an empty one would be refused.
                if self._rules.same or len(body) > _EMPTY_MEMBERS or body["content"]:
                    out.append(body)
                out += self._results(message.results)
            elif (content := self._content(message)) or message.extras or self._is_kept(message):
                body = {"role": message.role, "content": content}
                out.append(self._parts.extras(body, message.extras, message.path))
        if self._rules.host.after_results == "assistant":
            out = list(self._answered(out))
        # No messages at all are refused.
        return out or [{"role": "user", "content": ""}]

    def _is_kept(self, message: Message) -> bool:
        """Whether a message without content is one: the user's who said nothing, but not one of which nothing
        could be said.
        """
        all_text = all(isinstance(placed.part, Text) for placed in message.parts)
        return message.role == "user" and (all_text or self._rules.same)

    def _answered(self, messages: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The messages, results of tools being followed by a word of the assistant's."""
        for before, message in zip([{"role": ""}, *messages], messages, strict=False):
            if before["role"] == "tool" and message["role"] not in ("tool", "assistant"):
                self._losses("turns", "turns", f"An assistant's turn, {ANSWERED!r}, was put after results.")
                yield {"role": "assistant", "content": ANSWERED}
            yield message

    def _content(self, message: Message) -> str | list[Any]:
        if message.role == "user":
            return self._parts.content(message.parts, message.role)
        words = _words_only(message.parts, self._losses, "A system message")
        return self._parts.content(words, message.role)

    def _assistant(self, message: Message) -> dict[str, Any]:
        """Content and calls in one message; ``content`` is null only beside something else."""
        body: dict[str, Any] = {"role": "assistant"}
        self._note_order(message.parts)
        thought = "".join(self._thought(placed) for placed in message.parts)
        apart: tuple[type[Part], ...] = (Reasoning, ToolCall, Audio)
        refusal = ""
        if self._rules.openai or self._rules.same:
            # Other servers may not know the member; there its words are sent as text.
            apart = (*apart, Refusal)
            refusal = "".join(p.part.text for p in message.parts if isinstance(p.part, Refusal))
        spoken = [p for p in message.parts if not isinstance(p.part, apart)]
        calls = list(self._calls(message))
        audio = self._spoken_audio(message)
        words = _words_only(spoken, self._losses, "An assistant's message")
        content = self._parts.content(words, "assistant")
        body["content"] = content or (None if calls or refusal or audio else "")
        if thought or (calls and self._rules.host.needs_thought):
            body[self._rules.thought] = thought
        if refusal:
            body["refusal"] = refusal
        if audio:
            body["audio"] = {"id": audio}
        if calls:
            body["tool_calls"] = calls
        return self._parts.extras(body, message.extras, message.path)

    def _note_order(self, parts: Sequence[Placed]) -> None:
        called = False
        for placed in parts:
            called = called or isinstance(placed.part, ToolCall)
            if called and isinstance(placed.part, Text) and placed.part.text:
                self._losses("order", placed.path, "Text after a tool call is moved before it.")

    def _thought(self, placed: Placed) -> str:
        part = placed.part
        if not isinstance(part, Reasoning):
            return ""
        if part.sealed is not None and part.sealed.vendor != CHAT:
            self._parts.foreign_proof(placed.path)
            return ""
        if not part.text or self._rules.thought:
            return part.text
        self._losses("reasoning", placed.path, "The history's reasoning is not sent to this vendor.")
        return ""

    def _spoken_audio(self, message: Message) -> str | None:
        """The id of an earlier spoken answer: the only form in which its sound can be given back."""
        found = None
        for placed in message.parts:
            part = placed.part
            if not isinstance(part, Audio):
                continue
            if isinstance(part.source, FileId) and part.source.vendor == CHAT:
                found = part.source.id
            else:
                self._losses("audio", placed.path, "An assistant's sound can only be named by its id.")
        return found

    def _calls(self, message: Message) -> Iterator[dict[str, Any]]:
        first = True
        for path, part in message.parts:
            if isinstance(part, ToolCall):
                call = self._call(part, path)
                if self._rules.host.call_proofs:
                    self._prove(call, part, path, first=first)
                elif part.sealed is not None:
                    self._parts.foreign_proof(path)
                first = False
                yield call

    def _prove(self, call: dict[str, Any], part: ToolCall, path: str, *, first: bool) -> None:
        """Put Gemini's proof beside a call; the first one of a message is refused without any."""
        if PROOFS in call:
            return
        proof = part.sealed.value if part.sealed is not None and part.sealed.vendor in _PROVERS else ""
        if part.sealed is not None and not proof:
            self._parts.foreign_proof(path)
        if first and not proof:
            self._losses("missing_signature", path, "The call is not Gemini's; its check is skipped.")
            proof = NO_PROOF
        if proof:
            call[PROOFS] = {"google": {"thought_signature": proof}}

    def _call(self, part: ToolCall, path: str) -> dict[str, Any]:
        name, id_ = self._rules.names(part.name), call_id(part.id, self._rules.host.call_ids)
        body: dict[str, Any]
        if part.freeform and self._rules.custom_tools:
            body = {"id": id_, "type": "custom", "custom": {"name": name, "input": part.arguments}}
        else:
            arguments = wrap(part.arguments) if part.freeform else self._arguments(part.arguments)
            body = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        self._parts.cache(body, part.cache, path)
        return self._parts.extras(body, part.extras, path)

    def _arguments(self, text: str) -> str:
        """The arguments' text as it is for OpenAI, which takes any; other servers parse it, so that what
        is no object (a call cut off by a limit) is put into one.
        """
        if self._rules.openai or self._rules.same:
            return text or "{}"
        return raw_str(object_or_empty(text))

    def _results(self, results: Sequence[Placed]) -> Iterator[dict[str, Any]]:
        """One message a result; what is not text follows in a user's message, after all of them."""
        moved: list[Placed] = []
        for placed in results:
            assert isinstance(placed.part, ToolResult)  # arrange() puts nothing else there
            yield self._result(placed.part, placed.path, moved)
        if moved and (content := self._parts.content(moved)):
            yield {"role": "user", "content": content}

    def _result(self, part: ToolResult, path: str, moved: list[Placed]) -> dict[str, Any]:
        if part.is_error:
            self._losses("is_error", path, "A tool's message cannot be marked as an error.")
        words: list[Placed] = []
        for number, inner in enumerate(part.parts):
            placed = Placed(f"{path}.parts[{number}]", inner)
            if isinstance(inner, Text) or (isinstance(inner, Document) and inner.text is not None):
                words.append(placed)
            else:
                self._losses("result_media", placed.path, "Moved to a user's message after the results.")
                moved.append(placed)
        content = self._parts.content(words, "tool")
        if not content and not part.parts and part.structured is not None:
            content = raw_str(part.structured)
        id_ = call_id(part.call, self._rules.host.call_ids)
        body: dict[str, Any] = {"role": "tool", "tool_call_id": id_, "content": content}
        self._parts.cache(body, part.cache, path)
        return self._parts.extras(body, part.extras, path)


def _words_only(parts: Sequence[Placed], losses: Losses, where: str) -> Iterator[Placed]:
    """What a message that takes no media may hold."""
    for placed in parts:
        part = placed.part
        media = isinstance(part, Image | Audio) or (isinstance(part, Document) and part.text is None)
        if media:
            losses("media", placed.path, f"{where} has no place for pictures, sound and files.")
        elif isinstance(part, Text | Document | Opaque | Refusal):
            yield placed
        else:
            losses("misplaced", placed.path, f"{where} has no place for such a part.")
