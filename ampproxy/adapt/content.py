"""The parts of a conversation, as far as the vendor and its server take them."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, Final, TypeVar

import msgspec

from ampproxy.adapt.freeform import wrap
from ampproxy.adapt.media import MediaFitter
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.target import Target, thought_member
from ampproxy.model.loss import Losses, part_kind
from ampproxy.model.parts import (
    Audio,
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Role, Turn
from ampproxy.wire.json import members
from ampproxy.wire.values import object_or_empty, raw_str

T = TypeVar("T", bound=Part)

#: What stays where a part was left out, so that parts keep their numbers.
NOTHING: Final = Text("")


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
    return msgspec.structs.replace(request, **changed) if changed else request


class PartFitter:
    """Fits the parts of one request."""

    def __init__(self, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> None:
        self._profile = profile
        self._own = request.dialect == profile.dialect
        self._thinks = target.thinking != "none"
        self._call_proofs = profile.part_proofs or target.host.call_proofs
        self._thought = not profile.unsigned and bool(thought_member(target, own=self._own))
        self._stored = self._own and profile.stores and bytes(request.extras.get("store", b"true")) == b"true"
        self._losses = losses
        self._media = MediaFitter(profile, losses, own=self._own)

    def turn(self, turn: Turn, at: str) -> Turn:
        """A turn with its parts fitted."""
        role = turn.role
        parts = tuple([self.part(part, role, f"{at}.parts[{n}]") for n, part in enumerate(turn.parts)])
        changed: dict[str, Any] = {}
        if not all(map(is_, parts, turn.parts)):
            changed["parts"] = parts
        if turn.extras and not self._own:
            self._lose_extras(turn.extras, at)
            changed["extras"] = {}
        return msgspec.structs.replace(turn, **changed) if changed else turn

    def part(self, part: Part, role: Role, at: str) -> Any:
        """A part as it can be sent in a turn of a role."""
        return _FITS[type(part)](self, part, role, at)

    def _text(self, part: Text, role: Role, at: str) -> Part:
        part = self._plain(part, at, proofs=self._profile.part_proofs)
        text = part.text
        if not text:
            kept = part.sealed is not None or (self._own and self._profile.blank_texts)
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

    def _image(self, part: Image, role: Role, at: str) -> Part:
        part = self._plain(part, at, proofs=self._profile.part_proofs)
        return self._media.image(part, role, at) or NOTHING

    def _document(self, part: Document, role: Role, at: str) -> Part:
        return self._media.document(self._plain(part, at), role, at) or NOTHING

    def _audio(self, part: Audio, role: Role, at: str) -> Part:
        return self._media.audio(self._plain(part, at), role, at) or NOTHING

    def _opaque(self, part: Opaque, role: Role, at: str) -> Part:
        if part.dialect == self._profile.dialect and (not self._profile.kinds_are_members or _has_kind(part)):
            return part
        self._losses("opaque", at, f"Only {part.dialect} knows this part ({part.kind}).")
        return NOTHING

    def _reasoning(self, part: Reasoning, role: Role, at: str) -> Part:
        if role != "assistant" and not self._own:
            return self._misplaced(part, role, at)
        lost = self._unread(part)
        if lost is None:
            return part
        self._losses(lost[0], at, lost[1])
        return NOTHING

    def _unread(self, part: Reasoning) -> tuple[str, str] | None:
        """Why thinking is not taken back, with the kind of that loss."""
        sealed, profile = part.sealed, self._profile
        if sealed is not None and sealed.vendor != profile.dialect:
            return "foreign_proof", f"The proof of this thinking is {sealed.vendor}'s."
        if not profile.unsigned:
            read = not part.text or self._thought
            return None if read else ("reasoning", "The history's reasoning is not sent to this vendor.")
        if sealed is None:
            kept = self._own and profile.own_unsigned
            return (
                None if kept else (profile.unsigned, f"{profile.vendor} takes no thinking without its proof.")
            )
        if profile.thinkers_alone and not self._thinks:
            return "reasoning", "The model does not think and takes no thinking back."
        if not (sealed.value or (self._stored and sealed.item)):
            return profile.unsigned, "The thinking came without its proof."
        if profile.whole_thoughts and not (part.text or part.bare or self._own):
            return "unsigned_thinking", "The signature is present, but not the thinking that it signs."
        return None

    def _call(self, part: ToolCall, role: Role, at: str) -> Part:
        part = self._plain(part, at, proofs=self._call_proofs)
        if role != "assistant" and not self._own:
            return self._misplaced(part, role, at)
        if part.freeform:
            kept = self._profile.custom_tools or (self._own and self._profile.own_custom_tools)
            return (
                part
                if kept
                else msgspec.structs.replace(part, arguments=wrap(part.arguments), freeform=False)
            )
        if not self._profile.object_arguments or (self._own and self._profile.own_arguments):
            return part
        arguments = raw_str(object_or_empty(part.arguments))
        if arguments == part.arguments:
            return part
        if part.arguments.strip():
            self._losses(
                "arguments", f"{at}.arguments", "Arguments that are no JSON object went under '_raw'."
            )
        return msgspec.structs.replace(part, arguments=arguments)

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
        return msgspec.structs.replace(part, **changed) if changed else part

    def _misplaced(self, part: Part, role: Role, at: str) -> Part:
        self._losses(part_kind(part), at, f"Such a part has no place in a turn of the {role}'s.")
        return NOTHING

    def _plain(self, part: T, at: str, *, proofs: bool = False) -> T:
        """A part without what only another vendor knows of it."""
        changed: dict[str, Any] = {}
        sealed: Sealed | None = getattr(part, "sealed", None)
        if sealed is not None and not (proofs and sealed.vendor in self._profile.provers):
            self._losses("foreign_proof", at, f"The proof on this part is {sealed.vendor}'s.")
            changed["sealed"] = None
        if not self._own:
            if getattr(part, "cache", None) is not None and not self._profile.cache_marks:
                self._losses(
                    "cache_control", at, f"{self._profile.vendor} caches by itself and takes no marks."
                )
                changed["cache"] = None
            if extras := getattr(part, "extras", None):
                self._lose_extras(extras, at)
                changed["extras"] = {}
        return msgspec.structs.replace(part, **changed) if changed else part

    def _lose_extras(self, extras: dict[str, Any], at: str) -> None:
        names = ", ".join(sorted(extras))
        self._losses("extras", at, f"Only the client's own dialect knows these members: {names}.")


def _has_kind(part: Opaque) -> bool:
    """Whether a part has a member of the name of its kind, in either spelling."""
    found = members(part.raw) or {}
    return _flat(part.kind) in map(_flat, found)


def _flat(name: str) -> str:
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
