"""Reads the contents of a request: turns, parts, calls and their results.

Gemini's calls may come without ids, and results are then paired by their place. Here each call gets an
id that is unique in the conversation and depends on nothing but its place in it, so that a history
that grows parses the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import msgspec

from ampproxy.dialects.gemini.wire import MADE, CamelFields, args_text, listed, standard_base64
from ampproxy.dialects.json import (
    Fields,
    Members,
    bad_request,
    encode,
    loads,
    members,
    raw_str,
    text_of,
    to_raw,
)
from ampproxy.dialects.openai_requests import picture_in, source_of
from ampproxy.dialects.places import Waiting
from ampproxy.dialects.proof import SKIP_SIGNATURE, is_bare, unwrap_signature
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Reasoning,
    Signature,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import Role, Turn

_ROLES: dict[str, Role] = {
    "user": "user",
    "model": "assistant",
    "function": "user",
    # Of other dialects.
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
#: The members that make a part what it is, in the order in which they are looked for.
_KINDS = ("functionCall", "functionResponse", "inlineData", "fileData", "text", "imageUrl")
#: The members of a lone result object that stand for the tool's words.
_WORDS = ("result", "output", "content")


def plain_texts(raw: Json, at: str) -> tuple[tuple[Text, ...], bool]:
    """The texts of a system instruction: a content, or a plain string.

    :returns: the texts, and whether there was anything else in it.
    """
    if (text := text_of(raw)) is not None:
        return (Text(text),), False
    parts = History().parts(CamelFields(raw, at).take_raw("parts"), at, "user")
    texts = tuple(part for part in parts if isinstance(part, Text))
    return texts, len(texts) != len(parts)


class History(msgspec.Struct):
    """Reads contents one after the other, and remembers which calls wait for their results."""

    _ids: set[str] = set()
    _count: int = 0
    #: Of the newest model turn.
    _waiting: Waiting = msgspec.field(default_factory=Waiting)

    def turns(self, raw: Json) -> tuple[Turn, ...]:
        """All turns.

        :raises ampproxy.errors.ClientFault: something is not as the API wants it; named by its path.
        """
        at = "contents"
        found = [CamelFields(content, f"{at}[{n}]") for n, content in enumerate(listed(raw, at))]
        self._ids = set(_ids_in(found))
        rows: list[list[Turn]] = []
        for content in found:
            turn = self._turn(content, rows[-1][0].role if rows else None)
            # Google's SDK keeps a streamed answer as one content for each chunk.
            if rows and turn.role == "assistant" == rows[-1][0].role:
                rows[-1].append(turn)
            else:
                rows.append([turn])
        return tuple(map(_one_turn, rows))

    def _turn(self, content: CamelFields, before: Role | None) -> Turn:
        name = content.take("role", str) or "user"
        role = _ROLES.get(name)
        if role is None:
            bad_request(content.path("role"), f"Expected 'user' or 'model', got '{name}'.")
        if (parts := content.take_raw("parts")) is None:
            # A message of other dialects has a text, or parts.
            parts = content.take_raw("content")
            words = None if parts is None else text_of(parts)
            parts = parts if words is None else to_raw([{"text": words}])
        if role == "assistant" != before and parts is not None and b"unction" in bytes(parts):
            self._waiting = Waiting()
        return Turn(role, tuple(self.parts(parts, content.path("parts"), role)), content.left)

    def parts(self, raw: Json | None, at: str, role: Role) -> list[Part]:
        """The parts of a content."""
        texts = listed(raw, at) if raw is not None else ()
        parts = [self._part(text, f"{at}[{n}]") for n, text in enumerate(texts)]
        return _joined([part for part in parts if part is not None], role)

    def _part(self, raw: Json, at: str) -> Part | None:
        part = CamelFields(raw, at)
        found = part.left
        kind = next((name for name in _KINDS if name in found), None)
        if kind is None:
            own = next((name for name in found if name not in ("thought", "thoughtSignature")), None)
            if own is not None:
                return Opaque(GEMINI, own, raw)
            if "thoughtSignature" not in found:
                return None
            # Google's SDK for Go leaves an empty text out.
            kind, found["text"] = "text", Json(b'""')
        value = found.pop(kind)
        if kind in ("text", "imageUrl"):
            # Of other dialects' parts.
            found.pop("type", None)
        thought = loads(found.pop("thought", b"false")) is True
        proof = part.take("thoughtSignature", str) or ""
        signature = unwrap_signature(proof, GEMINI) if proof and proof != SKIP_SIGNATURE else None
        around = _Around(raw, found, signature, is_bare(proof), thought)
        return _READ[kind](self, value, part.path(kind), around)

    def _text(self, value: Json, at: str, around: _Around) -> Part:
        text = text_of(value)
        if text is None:
            bad_request(at, "Expected a string.")
        if around.thought:
            signature = around.signature
            return Reasoning(text, signature, redacted=not text and signature is not None, bare=around.bare)
        return Text(text, signature=around.signature, extras=around.rest)

    def _picture(self, value: Json, at: str, around: _Around) -> Part:
        """In the form of Chat Completions."""
        return Image(source_of(picture_in(Fields(to_raw({"image_url": value}), at))[0]))

    def _inline(self, value: Json, at: str, around: _Around) -> Part:
        blob = CamelFields(value, at)
        data, media = blob.take("data", str), blob.take("mimeType", str)
        if data is None or media is None:
            bad_request(at, "mimeType and data are required.")
        return _media(Inline(media, standard_base64(data)), media, blob.take("displayName", str), around)

    def _file(self, value: Json, at: str, around: _Around) -> Part:
        file = CamelFields(value, at)
        uri, media = file.need("fileUri", str), file.take("mimeType", str)
        own = uri.startswith("gs://") or ("generativelanguage" in uri and "/files/" in uri)
        source: Source = FileId(GEMINI, uri, media) if own else Link(uri, media)
        return _media(source, media or "", file.take("displayName", str), around)

    def _call(self, value: Json, at: str, around: _Around) -> Part:
        call = CamelFields(value, at)
        name = call.take("name", str)
        if not name:
            bad_request(call.path("name"), "It is required.")
        arguments = call.take_raw("args")
        if arguments is not None:
            members(arguments, call.path("args"))
        id_ = call.take("id", str) or self._made()
        extras = _beside("functionCall", call, around)
        part = ToolCall(id_, name, args_text(arguments), signature=around.signature, extras=extras)
        self._waiting.add(part)
        return part

    def _result(self, value: Json, at: str, around: _Around) -> Part:
        result = CamelFields(value, at)
        name, response = result.take("name", str), result.take_raw("response")
        id_ = result.take("id", str)
        # By id, else by name in order, else by place.
        answered = self._waiting.take(id_, name)
        call = answered.id if answered is not None else id_ or self._made()
        texts, is_error = _words(response)
        media: list[Text | Image | Document | Audio] = []
        given = result.take_raw("parts")
        for n, raw in enumerate(listed(given, result.path("parts")) if given is not None else ()):
            part = self._part(raw, f"{result.path('parts')}[{n}]")
            if isinstance(part, (Text, Image, Document, Audio)):
                media.append(part)
            elif isinstance(part, Opaque):
                media.append(Text(raw_str(part.raw)))
        extras = _beside("functionResponse", result, around)
        return ToolResult(call, (*texts, *media), is_error, name=name, structured=response, extras=extras)

    def _made(self) -> str:
        while True:
            self._count += 1
            made = f"{MADE}{self._count}"
            if made not in self._ids:
                self._ids.add(made)
                return made


class _Around(msgspec.Struct):
    """What stands beside a part's own member."""

    raw: Json
    rest: Members
    signature: Signature | None
    bare: bool
    thought: bool


_READ: dict[str, Callable[[History, Json, str, _Around], Part]] = {
    "text": History._text,
    "inlineData": History._inline,
    "fileData": History._file,
    "functionCall": History._call,
    "functionResponse": History._result,
    "imageUrl": History._picture,
}


def _beside(kind: str, member: Fields, around: _Around) -> Members:
    """What else stands in a part's own member, and beside it."""
    return {**({kind: to_raw(member.left)} if member.left else {}), **around.rest}


def _one_turn(row: list[Turn]) -> Turn:
    """The model's contents that follow each other."""
    if len(row) == 1:
        return row[0]
    extras: Members = {}
    for turn in row:
        extras.update(turn.extras)
    parts = _joined([part for turn in row for part in turn.parts], "assistant")
    return Turn("assistant", tuple(parts), extras)


def _joined(parts: list[Part], role: Role) -> list[Part]:
    """The parts with what came in pieces made whole: that is how an answer's stream is kept.

    Thoughts that follow each other are one, up to their proof; so are the model's plain texts. The
    last chunk of a stream often has an empty text, which counts for nothing.
    """
    runs: list[list[Any]] = []
    for part in parts:
        last = runs[-1][-1] if runs else None
        thought = isinstance(part, Reasoning) and isinstance(last, Reasoning) and last.signature is None
        if thought or (role == "assistant" and _is_plain(part) and last is not None and _is_plain(last)):
            runs[-1].append(part)
        elif role != "assistant" or not _is_plain(part) or part.text:
            runs.append([part])
    return [run[0] if len(run) == 1 else _whole(run) for run in runs]


def _whole(pieces: Sequence[Any]) -> Part:
    text, last = "".join([piece.text for piece in pieces]), pieces[-1]
    if not isinstance(last, Reasoning):
        return Text(text)
    proof = last.signature
    return Reasoning(text, proof, redacted=not text and proof is not None, bare=last.bare and not text)


def _is_plain(part: Part) -> TypeGuard[Text]:
    return isinstance(part, Text) and part.signature is None and not part.extras


def _media(source: Source, media: str, name: str | None, around: _Around) -> Part:
    if media.startswith("image/"):
        extras = around.rest if name is None else {**around.rest, "displayName": to_raw(name)}
        return Image(source, signature=around.signature, extras=extras)
    if around.signature is not None or (media.startswith("audio/") and (around.rest or name)):
        return Opaque(GEMINI, "inlineData" if isinstance(source, Inline) else "fileData", around.raw)
    if media.startswith("audio/"):
        return Audio(source)
    return Document(source, name=name, extras=around.rest)


def _words(response: Json | None) -> tuple[tuple[Text, ...], bool]:
    """The words of a result object and whether they report an error: a lone ``result``, ``output``,
    ``content`` or ``error`` is opened, anything else is given as the JSON that it is.
    """
    if response is None:
        return (), False
    found: Any = loads(response)
    if isinstance(found, dict) and len(found) == 1:
        [(key, value)] = found.items()
        if key == "error" or key in _WORDS:
            text = value if isinstance(value, str) else encode(value).decode()
            return (Text(text),) if text else (), key == "error"
    return (Text(raw_str(response)),) if found else (), False


def _ids_in(contents: list[CamelFields]) -> list[str]:
    """Ids that the client gave, so that none is made twice."""
    found = []
    for content in contents:
        text = bytes(content.left.get("parts", b"[]"))
        if MADE.encode() not in text:
            continue
        parts = loads(text, [])
        for part in [parts] if isinstance(parts, dict) else parts:
            call = part.get("functionCall") or part.get("function_call") if isinstance(part, dict) else None
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                found.append(call["id"])
    return found
