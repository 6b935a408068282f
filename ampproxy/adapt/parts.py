"""The parts of a conversation, as far as the vendor and its server take them and can reach their bytes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from operator import is_
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from ampproxy.adapt.freeform import wrap
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.target import Target, thought_member
from ampproxy.model.loss import Losses, part_kind
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
    Refusal,
    Signature,
    Source,
    Text,
    ToolCall,
    ToolResult,
    picture_type,
)
from ampproxy.model.request import ChatRequest, Role, Turn
from ampproxy.wire.json import members
from ampproxy.wire.values import loads, object_or_empty, raw_str

T = TypeVar("T", bound=Part)

#: What stays where a part was left out, so that parts keep their numbers.
NOTHING: Final = Text("")

_NO_PICTURES: Final = ("video/", "text/", "application/pdf")


def fit_parts(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> ChatRequest:
    """Parts that can be sent: each fitted, or with :data:`NOTHING` in its place."""
    fitter = PartFitter(request, profile, target, losses)
    system = tuple([fitter.part(text, "system", f"system[{n}]") for n, text in enumerate(request.system)])
    turns = tuple([fitter.turn(turn, f"turns[{n}]") for n, turn in enumerate(request.turns)])
    changed: dict[str, Any] = {}
    if not all(map(is_, system, request.system)):
        changed["system"] = tuple(text for text in system if text is not NOTHING)
    if not all(map(is_, turns, request.turns)):
        changed["turns"] = turns
    return replace(request, **changed) if changed else request


class PartFitter:
    """Fits the parts of one request."""

    def __init__(self, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> None:
        self._profile = profile
        self._own = request.dialect == profile.dialect
        self._thinks = target.thinking != "none"
        self._state = bool(target.host.thought_state)
        self._call_proofs = profile.part_proofs or target.host.call_proofs
        self._target = target
        self._stored = self._own and profile.stores and bytes(request.extras.get("store", b"true")) == b"true"
        #: Members of parts that the client's dialect has from the same vendor.
        self._shared = profile.kin_part_extras if request.dialect in profile.kin else frozenset()
        self._losses = losses

    def turn(self, turn: Turn, at: str) -> Turn:
        """A turn with its parts fitted."""
        role = turn.role
        parts = tuple(
            [_FITS[type(part)](self, part, role, f"{at}.parts[{n}]") for n, part in enumerate(turn.parts)]
        )
        changed: dict[str, Any] = {}
        if not all(map(is_, parts, turn.parts)):
            changed["parts"] = parts
        if turn.extras and not self._own:
            self._lose_extras(turn.extras, at)
            changed["extras"] = {}
        return replace(turn, **changed) if changed else turn

    def part(self, part: Part, role: Role, at: str) -> Any:
        """A part as it can be sent in a turn of a role."""
        return _FITS[type(part)](self, part, role, at)

    def _text(self, part: Text, role: Role, at: str) -> Part:
        if part.signature is not None or part.cache is not None or part.extras:
            part = self._plain(part, at, proofs=self._profile.part_proofs)
        text = part.text
        if not text:
            kept = part.signature is not None or (self._own and self._profile.blank_texts)
            return part if kept else NOTHING
        if not self._profile.blank_texts and text.isspace():
            self._losses("blank_text", at, "A text of blanks alone is refused.")
            return NOTHING
        return part

    def _refusal(self, part: Refusal, role: Role, at: str) -> Part:
        if role == "assistant" and (self._own or self._profile.refusals):
            return part
        self._losses("refusal", at, "A refusal becomes text.")
        return self._text(Text(part.text), role, at)

    def _opaque(self, part: Opaque, role: Role, at: str) -> Part:
        if part.dialect == self._profile.dialect:
            if not self._profile.kinds_are_members or _flat(part.kind) in map(_flat, members(part.raw) or {}):
                return part
        elif not self._own and (text := _as_text(part)):
            self._losses("opaque", at, f"Only {part.dialect} has '{part.kind}': sent as text.")
            return Text(text)
        self._losses("opaque", at, f"Only {part.dialect} knows this part ({part.kind}).")
        return NOTHING

    def _reasoning(self, part: Reasoning, role: Role, at: str) -> Part:
        signature = part.signature
        if signature is not None and signature.item and not (signature.value or self._profile.stores):
            # It is there by its id alone: its vendor remembers it, and no other knows it.
            if not part.text:
                why = "Thinking that its vendor stores, sent only as an id, was dropped."
                self._losses("orphan_reasoning", at, why)
                return NOTHING
            # The id proves nothing, and clients also return one with what no vendor remembers.
            part = replace(part, signature=None)
        if role != "assistant" and not self._own:
            return self._misplaced(part, role, at)
        lost = self._unread(part)
        if lost is not None:
            self._losses(lost[0], at, lost[1])
            return NOTHING
        if self._profile.unsigned or part.signature is None or self._state:
            return part
        why = "What another server keeps of its thinking means nothing to this one."
        self._losses("foreign_proof", at, why)
        return replace(part, signature=None, redacted=False) if part.text else NOTHING

    def _unread(self, part: Reasoning) -> tuple[str, str] | None:
        """Why thinking is not taken back, with the kind of that loss."""
        signature, profile = part.signature, self._profile
        if signature is not None and signature.vendor != profile.dialect:
            return "foreign_proof", f"The proof of this thinking is {signature.vendor}'s."
        if not profile.unsigned:
            read = not part.text or (signature is not None and self._state)
            if read or thought_member(self._target, own=self._own):
                return None
            return "reasoning", "The history's reasoning is not sent to this vendor."
        if signature is None:
            if self._own and profile.own_unsigned:
                return None
            return profile.unsigned, f"{profile.vendor} takes no thinking without its proof."
        if profile.thinkers_alone and not self._thinks:
            return "reasoning", "The model does not think and takes no thinking back."
        if not (signature.value or (self._stored and signature.item)):
            return profile.unsigned, "The thinking came without its proof."
        if profile.whole_thoughts and not (part.text or part.bare or self._own):
            return "unsigned_thinking", "The signature is present, but not the thinking that it signs."
        return None

    def _call(self, part: ToolCall, role: Role, at: str) -> Part:
        # A server that is not described gets its own back.
        own = self._state and part.signature is not None and part.signature.vendor == self._profile.dialect
        part = self._plain(part, at, proofs=self._call_proofs or own)
        if role != "assistant" and not self._own:
            return self._misplaced(part, role, at)
        if part.freeform:
            if self._profile.custom_tools or (self._own and self._profile.own_custom_tools):
                return part
            return replace(part, arguments=wrap(part.arguments), freeform=False)
        if not self._profile.object_arguments or (self._own and self._profile.own_arguments):
            return part
        arguments = raw_str(object_or_empty(part.arguments))
        if arguments == part.arguments:
            return part
        if part.arguments.strip():
            why = "Arguments that are no JSON object went under '_raw'."
            self._losses("arguments", f"{at}.arguments", why)
        return replace(part, arguments=arguments)

    def _result(self, part: ToolResult, role: Role, at: str) -> Part:
        part = self._plain(part, at)
        parts = tuple([self.part(inner, "user", f"{at}.parts[{n}]") for n, inner in enumerate(part.parts)])
        changed: dict[str, Any] = {}
        if not self._own and not parts and part.structured is not None:
            changed["parts"] = (Text(raw_str(part.structured)),)
        elif not all(map(is_, parts, part.parts)):
            changed["parts"] = tuple(inner for inner in parts if inner is not NOTHING)
        if part.is_error and not self._profile.error_results:
            self._losses("is_error", at, "A result cannot be marked as an error; its text stands for itself.")
            changed["is_error"] = False
        return replace(part, **changed) if changed else part

    def _misplaced(self, part: Part, role: Role, at: str) -> Part:
        self._losses(part_kind(part), at, f"Such a part has no place in a turn of the {role}'s.")
        return NOTHING

    def _plain(self, part: T, at: str, *, proofs: bool = False) -> T:
        """A part without what only another vendor knows of it."""
        changed: dict[str, Any] = {}
        signature: Signature | None = getattr(part, "signature", None)
        if signature is not None and not (proofs and signature.vendor in self._profile.provers):
            self._losses("foreign_proof", at, f"The proof on this part is {signature.vendor}'s.")
            changed["signature"] = None
        if not self._own:
            if getattr(part, "cache", None) is not None and not self._profile.cache_marks:
                why = f"{self._profile.vendor} caches by itself and takes no marks."
                self._losses("cache_control", at, why)
                changed["cache"] = None
            if extras := getattr(part, "extras", None):
                changed["extras"] = kept = {name: extras[name] for name in extras if name in self._shared}
                if len(kept) < len(extras):
                    self._lose_extras(extras.keys() - kept.keys(), at)
        return replace(part, **changed) if changed else part

    def _lose_extras(self, extras: Iterable[str], at: str) -> None:
        names = ", ".join(sorted(extras))
        self._losses("extras", at, f"Only the client's own dialect knows these members: {names}.")

    def _image(self, part: Image, role: Role, at: str) -> Part:
        profile, source = self._profile, part.source
        if isinstance(source, Inline) and source.media_type.startswith(_NO_PICTURES) and not self._own:
            # Clients put files and films where pictures belong.
            return self._document(Document(source, cache=part.cache, extras=part.extras), role, at)
        part = self._plain(part, at, proofs=profile.part_proofs)
        if isinstance(source, Inline) and picture_type(source.data, source.media_type) != source.media_type:
            source = Inline(picture_type(source.data, source.media_type), source.data)
            part = replace(part, source=source)
        if not self._has_place(role, "image", at):
            return NOTHING
        if part.detail is not None and not profile.details:
            if part.detail != "auto":
                self._losses("detail", f"{at}.detail", f"{profile.vendor} has no hint for a resolution.")
            part = replace(part, detail=None)
        if not self._is_taken(source, profile.pictures):
            self._losses("image", at, f"{profile.vendor} takes no pictures of this type.")
            return NOTHING
        reached = self._reaches(source, "image", at, files=profile.picture_files, links=profile.links)
        return part if reached else NOTHING

    def _document(self, part: Document, role: Role, at: str) -> Part:
        """A file, or its words where the vendor takes those alone."""
        profile, source = self._profile, part.source
        part = self._plain(part, at)
        words = (part.text or "") if source is None else self._words(source)
        if words is not None and role in profile.media_roles and profile.text_documents:
            part = self._named(part, at, profile.all_names)
            return part if source is None else replace(part, source=None, text=words)
        if words is not None:
            self._named(part, at, False)
            return Text(words, cache=part.cache, extras=part.extras) if words else NOTHING
        if not self._has_place(role, "document", at):
            return NOTHING
        if source is None or not self._is_taken(source, profile.documents):
            self._losses("document", at, f"{profile.vendor} takes PDF and text, and no files of this type.")
            return NOTHING
        if not self._reaches(source, "document", at, files=True, links=profile.file_links):
            return NOTHING
        return self._named(part, at, profile.file_names and (isinstance(source, Inline) or profile.all_names))

    def _is_taken(self, source: Source, types: frozenset[str]) -> bool:
        """Whether it is of a type that the vendor takes, as far as that is known of what it fetches."""
        kind = (source.media_type or "") if not isinstance(source, FileId) else ""
        known = isinstance(source, Inline) or kind.startswith("video/")
        return self._own or not types or not known or kind in types

    def _words(self, source: Source) -> str | None:
        """The words of a file that is sent as such."""
        own = self._own and not self._profile.own_decoded
        if own or not isinstance(source, Inline) or not source.media_type.startswith(self._profile.decoded):
            return None
        try:
            return base64.b64decode(source.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None

    def _named(self, part: Document, at: str, takes_name: bool) -> Document:
        """A document with its name, or without one where it has no place."""
        if part.name is None or takes_name or (self._own and part.source is not None):
            return part
        self._losses("document_name", at, f"{self._profile.vendor} has no name for such a document.")
        return replace(part, name=None)

    def _audio(self, part: Audio, role: Role, at: str) -> Part:
        """Sound, or what was spoken."""
        part = self._plain(part, at)
        if self._hears(part.source, role, at):
            return part
        return Text(part.transcript) if part.transcript else NOTHING

    def _hears(self, source: Source, role: Role, at: str) -> bool:
        profile = self._profile
        if role == "assistant" and profile.named_speech:
            if isinstance(source, FileId) and source.vendor == profile.dialect:
                return True
            self._losses("audio", at, "An assistant's sound can only be named by its id.")
            return False
        if role not in profile.media_roles or not (profile.sounds or (self._own and profile.own_sounds)):
            why = f"{profile.vendor} does not accept audio there; its transcript is sent."
            self._losses("audio", at, why)
            return False
        if "*" in profile.sounds:
            return self._reaches(source, "audio", at, files=True, links=profile.links)
        types = profile.sounds | (profile.own_sounds if self._own else frozenset())
        if isinstance(source, Inline) and (source.media_type in types or (self._own and "*" in types)):
            return True
        self._losses("audio_format", at, f"{profile.vendor} takes some forms of sound, inline.")
        return False

    def _has_place(self, role: Role, kind: str, at: str) -> bool:
        if role in self._profile.media_roles:
            return True
        self._losses(kind, at, f"A turn of the {role}'s has no place for pictures, sound and files.")
        return False

    def _reaches(self, source: Source, kind: str, at: str, *, files: bool, links: tuple[str, ...]) -> bool:
        """Whether the vendor gets at the bytes."""
        if isinstance(source, Inline):
            return True
        if isinstance(source, Link):
            if source.url.startswith(links) or (self._own and links):
                return True
            self._lose("link", kind, at, f"{self._profile.vendor} does not fetch it from such an address.")
        elif files and source.vendor in self._profile.kin:
            return True
        else:
            self._lose("file", kind, at, "A file that was uploaded to another vendor is out of reach.")
        return False

    def _lose(self, lost: str, kind: str, at: str, why: str) -> None:
        """Note a source that is out of reach, by what it is or by what it is of."""
        self._losses(f"{kind}_source" if self._profile.lost_sources else lost, at, why)


def _flat(name: str) -> str:
    """A name of a member in neither spelling."""
    return name.replace("_", "").lower()


_FITS: Final[dict[type, Callable[[PartFitter, Any, Role, str], Part]]] = {
    Text: PartFitter._text,
    Refusal: PartFitter._refusal,
    Image: PartFitter._image,
    Document: PartFitter._document,
    Audio: PartFitter._audio,
    Opaque: PartFitter._opaque,
    Reasoning: PartFitter._reasoning,
    ToolCall: PartFitter._call,
    ToolResult: PartFitter._result,
}


#: Kinds with words that the conversation goes on from: summaries, documents found, what tools of the client's
#: vendor, or its own machine, did. Of those that are calls or results, the kind itself is given as well.
_READ: Final = frozenset(("compaction", "search_result"))
_DONE: Final = frozenset(
    f"{tool}_{what}"
    for tool in ("shell", "local_shell", "apply_patch", "mcp", "mcp_tool")
    for what in ("call", "call_output", "use", "result")
)
_NAMED: Final = ("title", "source", "name", "command", "commands", "arguments", "operation", "path", "action")
#: Members with words; what is a list or an object is looked into.
_WORDS: Final = frozenset(
    (*_NAMED, "text", "content", "summary", "input", "diff", "output", "stdout", "stderr", "error", "message")
)
_DEEPEST: Final = 8


def _as_text(part: Opaque) -> str:
    """The words of a part that the conversation goes on from; empty: it has none."""
    if part.kind not in _READ | _DONE:
        return ""
    words = "\n".join(_words(loads(part.raw), 0))
    return words if part.kind in _READ or not words else f"[{part.kind}]\n{words}"


def _words(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield from [value] if value.strip() else []
    elif isinstance(value, list) and depth < _DEEPEST:
        for item in value:
            yield from _words(item, depth + 1)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, inner in value.items():
            if name in _WORDS:
                yield from _words(inner, depth + 1)
