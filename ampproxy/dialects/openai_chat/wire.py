"""What whole answers and chunks of a stream have in common, as Chat Completions writes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import NULL, Decoder, is_string, loads, read_or, text_of, to_raw
from ampproxy.dialects.openai_answers import (
    FINISH_WORDS,
    Form,
    TokenWire,
    logprob_objects,
    read_logprobs,
    reason_of,
)
from ampproxy.dialects.openai_chat.think_tags import Piece
from ampproxy.dialects.openai_requests import source_of, url_of
from ampproxy.model.base import CHAT, Json
from ampproxy.model.events import Finished, TokenLogprob
from ampproxy.model.parts import Audio, FileId, Image, Inline

FORM: Final = Form(CHAT, "chat.completion", "chat.completion.chunk", "chatcmpl-")


class LogprobsWire(msgspec.Struct):
    """Log probabilities of the answer's words, or of a refusal's."""

    content: list[TokenWire] | None = None
    refusal: list[TokenWire] | None = None

    def tokens(self) -> tuple[TokenLogprob, ...]:
        """As the vocabulary has them."""
        return read_logprobs(self.content or self.refusal)


def logprobs_body(tokens: Sequence[TokenLogprob], member: str = "content") -> dict[str, Any]:
    """``logprobs`` of a choice."""
    return {"content": None, "refusal": None, member: logprob_objects(tokens)}


class CallIds:
    """Ids for the calls of one answer: the vendor's, or one made from what identifies the answer.

    Some servers send none, or the same for every call. A made one is the same however the answer was
    cut into chunks, and differs from answer to answer as its id and time do.
    """

    def __init__(self) -> None:
        self._answer = hashlib.sha256(b"|")
        self._used: set[tuple[int, str]] = set()

    def answer(self, id_: object, created: object) -> None:
        """The answer's own id and time."""
        self._answer = hashlib.sha256(f"{id_}|{created}|".encode("utf-8", "replace"))

    def take(self, given: str | None, choice: int, number: int, name: str) -> str:
        """The id of a choice's call number ``number``."""
        if given and (choice, given) not in self._used:
            self._used.add((choice, given))
            return given
        seed = self._answer.copy()
        seed.update(f"{choice}|{number}|{name}".encode("utf-8", "replace"))
        made = f"call_{seed.hexdigest()[:24]}"
        self._used.add((choice, made))
        return made


def content_pieces(content: str | list[Json] | None) -> list[Piece]:
    """The content, which Mistral's thinking models send as parts."""
    if not content:
        return []
    if isinstance(content, str):
        return [("text", content)]
    pieces: list[Piece] = []
    for raw in content:
        piece = _Piece(text=text_of(raw)) if is_string(raw) else read_or(_PIECE, raw, _Piece())
        if piece.type in ("thinking", "reasoning"):
            thought = read_or(_THOUGHT, piece.thinking, None)
            words = text_of(piece.thinking) or "".join(inner.text or "" for inner in thought or ())
            pieces.append(("reasoning", words or piece.text or ""))
        elif piece.text:
            pieces.append(("text", piece.text))
    return [piece for piece in pieces if piece[1]]


class _Piece(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    thinking: Json = NULL


_PIECE: Final = Decoder(_Piece)
_THOUGHT: Final = Decoder(list[_Piece])


def finished(word: str | None, choice: int, *, called: bool, refused: bool) -> Finished:
    """The end of a choice.

    Several servers send ``stop`` though the answer has calls (OpenAI itself does for a forced one):
    whether one was seen decides. ``None``: the vendor gave no word, and only whole calls prove an end.

    :param word: no word of a broken end; see :func:`ampproxy.dialects.openai_answers.broken_end`.
    """
    reason = reason_of(word)
    if called and (reason == "stop" or not word):
        reason = "tool_calls"
    elif reason == "stop" and refused:
        reason = "refusal"
    return Finished(reason, detail=word, choice=choice)


def finish_word(end: Finished | None, *, called: bool, refused: bool, legacy: bool = False) -> str:
    """``finish_reason`` for a client. A call that it does not announce is never run."""
    if end is None:
        return "tool_calls" if called else "stop"
    word = FINISH_WORDS[end.reason]
    if word == "stop" and called:
        word = "tool_calls"
    elif end.reason == "refusal" and refused:
        word = "stop"
    if word == "tool_calls":
        return "stop" if not called else "function_call" if legacy else word
    return word


def image_body(image: Image) -> dict[str, Any] | None:
    """An entry of ``images``, the member that routers use for pictures that a model made."""
    url = url_of(image.source)
    return None if url is None else {"type": "image_url", "image_url": {"url": url}}


def audio_body(audio: Audio, context: AnswerContext) -> dict[str, Any]:
    """``audio`` of a message; all four members are required by the SDK's type."""
    source = audio.source
    if isinstance(source, FileId):
        return {"id": source.id, "data": "", "expires_at": 0, "transcript": audio.transcript or ""}
    known = {name: loads(raw) for name, raw in audio.extras.items()}
    return {
        "id": known.get("id") or context.new_id("audio_"),
        "data": source.data if isinstance(source, Inline) else "",
        "expires_at": known.get("expires_at") or context.created + 3600,
        "transcript": audio.transcript or "",
    }


def annotations_body(extras: dict[str, Json]) -> list[Any]:
    """Citations of pages: chat's own, or Responses' flat ones put into chat's shape."""
    found = loads(extras["annotations"], []) if "annotations" in extras else []
    annotations: list[Any] = []
    for entry in found if isinstance(found, list) else []:
        if not isinstance(entry, dict):
            continue
        if "url_citation" in entry:
            annotations.append(entry)
        elif entry.get("type") == "url_citation":
            flat = {name: entry.get(name) for name in ("url", "title", "start_index", "end_index")}
            annotations.append({"type": "url_citation", "url_citation": flat})
    return annotations


def legacy_functions(context: AnswerContext) -> bool:
    """Whether the client declared ``functions`` and so expects ``function_call``."""
    return context.asked.dialect == CHAT and "functions" in context.asked.extras


class _ImageUrl(msgspec.Struct):
    url: str


class _Image(msgspec.Struct):
    image_url: _ImageUrl


_IMAGE: Final = Decoder(_Image)


class AudioWire(msgspec.Struct):
    """Sound in an answer; in a stream it comes in pieces."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


def image_part(raw: Json) -> Image | None:
    """One of ``images``, where routers put the pictures that a model made."""
    found = read_or(_IMAGE, raw, None)
    return None if found is None else Image(source_of(found.image_url.url))


def audio_part(audio: AudioWire) -> Audio:
    """Sound. Its format is the one that the request asked for: the answer does not name it."""
    known = {"id": audio.id, "expires_at": audio.expires_at}
    extras = {name: to_raw(value) for name, value in known.items() if value is not None}
    return Audio(Inline("application/octet-stream", audio.data or ""), audio.transcript, extras)
