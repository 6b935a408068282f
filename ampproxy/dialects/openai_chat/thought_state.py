"""What a server keeps of its model's thinking in the client's hands, and wants back in the next turn.

OpenRouter has a list, ``reasoning_details``, that comes in pieces and has to be given back as it came:
without it Gemini's models there refuse the next turn of a tool loop. Copilot has a text,
``reasoning_opaque``; LiteLLM has the blocks of Anthropic's models, ``thinking_blocks``. They stand in the
assistant's message; between the turns they are the proof of its thinking. Beside a call, Google's server has
its proof in ``extra_content``, and LiteLLM in ``provider_specific_fields``.
Sources: https://openrouter.ai/docs/guides/best-practices/reasoning-tokens,
https://github.com/microsoft/vscode-copilot-chat, https://docs.litellm.ai/docs/reasoning_content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from ampproxy.dialects.json import encode, loads
from ampproxy.model.base import CHAT, GEMINI, Json
from ampproxy.model.parts import Part, Reasoning, Signature

DETAILS: Final = "reasoning_details"
OPAQUE: Final = "reasoning_opaque"
BLOCKS: Final = "thinking_blocks"
#: What stands beside a call, and in which object there Google's server has its proof.
BESIDE_CALL: Final = ("extra_content", "provider_specific_fields")
_GOOGLE: Final = "google"
_PROOF: Final = "thought_signature"
#: Where the thinking of an opaque state stands.
WORDS: Final = "reasoning_text"
#: What proves something; the rest are words.
_PROOFS: Final = ("data", "signature")
#: What comes in pieces.
_GROWING: Final = ("text", "summary", "thinking", "data", "signature")
#: What of it are words.
_WORDS: Final = _GROWING[:3]


def words_of(details: Sequence[Json]) -> str:
    """The thinking in a piece of such a list, from servers that give it in no other member."""
    return "".join(_words(detail) for detail in map(loads, details) if isinstance(detail, dict))


def _words(detail: dict[str, Any]) -> str:
    return next(filter(None, (_text(detail, name) for name in _WORDS)), "")


def _text(detail: dict[str, Any], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""


class ThoughtState(msgspec.Struct):
    """Gathers the state of one answer."""

    #: By its member, each detail, and the pieces of its texts: joined once, for there may be very many.
    _lists: dict[str, list[tuple[dict[str, Any], dict[str, list[str]]]]] = {}
    _opaque: list[str] = []
    _proves: bool = False

    def add(self, details: Sequence[Json], opaque: str | None, blocks: Sequence[Json] = ()) -> None:
        """A piece of it."""
        for name, pieces in ((DETAILS, details), (BLOCKS, blocks)):
            for detail in map(loads, pieces):
                if isinstance(detail, dict):
                    self._grow(self._lists.setdefault(name, []), detail)
        if opaque:
            self._opaque.append(opaque)
            self._proves = True

    def _grow(self, known: list[tuple[dict[str, Any], dict[str, list[str]]]], detail: dict[str, Any]) -> None:
        self._proves = self._proves or any(_text(detail, name) for name in _PROOFS)
        if not known or not _goes_on(*known[-1], detail):
            known.append(({}, {}))
        last, texts = known[-1]
        for name, value in detail.items():
            if name in _GROWING and isinstance(value, str):
                texts.setdefault(name, []).append(value)
                value = ""
            if value is not None or name not in last:
                last[name] = value

    def take(self) -> Signature | None:
        """What came since the last time, if it proves anything."""
        if not self._proves:
            return None
        state: dict[str, Any] = {}
        for member, known in self._lists.items():
            whole = (
                (detail, {name: "".join(pieces) for name, pieces in texts.items()}) for detail, texts in known
            )
            state[member] = [{**detail, **texts} for detail, texts in whole]
        if self._opaque:
            state[OPAQUE] = "".join(self._opaque)
        self._lists, self._opaque, self._proves = {}, [], False
        return Signature(CHAT, encode(state).decode())


def _goes_on(last: dict[str, Any], texts: dict[str, list[str]], detail: dict[str, Any]) -> bool:
    """Whether a piece belongs to the detail before it; a block of Anthropic's ends with its signature."""
    if detail.get("type") == last.get("type") == "thinking":
        return not any(texts.get("signature", ()))
    same = all(last.get(name) == detail.get(name) for name in ("type", "index"))
    return same and "index" in detail and detail.get("id") in (None, last.get("id"))


def state_in(parts: Iterable[Part], taken: Sequence[str]) -> dict[str, Any]:
    """The members of an assistant's message that hold its state, of those that the server takes."""
    state: dict[str, Any] = {}
    for part in parts:
        signature = part.signature if isinstance(part, Reasoning) else None
        for name, value in _read(signature).items():
            if name in taken:
                state[name] = state[name] + value if name in state else value
    return state


def _read(signature: Signature | None) -> dict[str, Any]:
    if signature is None or signature.vendor != CHAT:
        return {}
    found = loads(signature.value.encode())
    if not isinstance(found, dict):
        return {}
    kinds = {DETAILS: list, OPAQUE: str, BLOCKS: list}
    return {name: value for name, value in found.items() if isinstance(value, kinds.get(name, ()))}


def has_words(state: dict[str, Any]) -> bool:
    """Whether the thinking itself stands in a state."""
    details = (*state.get(DETAILS, ()), *state.get(BLOCKS, ()))
    return any(_words(detail) for detail in details if isinstance(detail, dict))


def proof_beside(members: Sequence[tuple[str, Json]], issuer: str = CHAT) -> Signature | None:
    """The proof that a server puts beside a call, and wants back there: Google's as it is, one that stands
    elsewhere with its place.

    :param members: what stands beside the call, or its function, by their names.
    :param issuer: who issued it, as far as its place does not count.
    """
    for name, raw in members:
        found = loads(raw)
        inner = found.items() if isinstance(found, dict) else ()
        for path, held in [((), found), *(((key,), value) for key, value in inner)]:
            value = held.get(_PROOF) if isinstance(held, dict) else None
            if isinstance(value, str) and value:
                place: dict[str, Any] = {_PROOF: value}
                for step in reversed((name, *path)):
                    place = {step: place}
                plain = issuer != CHAT or path == (_GOOGLE,)
                return Signature(issuer, value if plain else encode(place).decode())
    return None


def shown_beside(signature: Signature | None) -> dict[str, Any]:
    """What stands beside a call for clients that give it back: a proof as Google's server writes it, which
    SDKs keep for the next turn. Nothing of other vendors' proofs.
    """
    known = signature is not None and signature.vendor in (CHAT, GEMINI)
    return beside_call(signature.value) if signature is not None and known else {}


def beside_call(value: str) -> dict[str, Any]:
    """The members that hold such a proof, as its server gave them."""
    found = loads(value.encode()) if value.startswith("{") else None
    if isinstance(found, dict) and found.keys() <= set(BESIDE_CALL):
        return found
    return {"extra_content": {_GOOGLE: {_PROOF: value}}}
