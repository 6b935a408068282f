"""What a server keeps of its model's thinking in the client's hands, and wants back in the next turn.

OpenRouter has a list, ``reasoning_details``, that comes in pieces and has to be given back as it came:
without it Gemini's models there refuse the next turn of a tool loop. Copilot has a text,
``reasoning_opaque``. Both stand in the assistant's message; between the turns they are the proof of its
thinking.
Sources: https://openrouter.ai/docs/guides/best-practices/reasoning-tokens,
https://github.com/microsoft/vscode-copilot-chat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ampproxy.dialects.json import encode, loads
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import Part, Reasoning, Signature

DETAILS: Final = "reasoning_details"
OPAQUE: Final = "reasoning_opaque"
#: Where the thinking of an opaque state stands.
WORDS: Final = "reasoning_text"
#: What proves something; the rest are words.
_PROOFS: Final = ("data", "signature")
#: What comes in pieces.
_GROWING: Final = ("text", "summary", "data", "signature")


def words_of(details: Sequence[Json]) -> str:
    """The thinking in a piece of ``reasoning_details``, from servers that give it in no other member."""
    found = [detail for detail in map(loads, details) if isinstance(detail, dict)]
    return "".join(_text(detail, "text") or _text(detail, "summary") for detail in found)


def _text(detail: dict[str, Any], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""


class ThoughtState:
    """Gathers the state of one answer."""

    __slots__ = ("_details", "_opaque", "_proves")

    def __init__(self) -> None:
        #: Each detail, and the pieces of its texts: joined once, for there may be very many.
        self._details: list[tuple[dict[str, Any], dict[str, list[str]]]] = []
        self._opaque: list[str] = []
        self._proves = False

    def add(self, details: Sequence[Json], opaque: str | None) -> None:
        """A piece of it."""
        for detail in map(loads, details):
            if isinstance(detail, dict):
                self._grow(detail)
        if opaque:
            self._opaque.append(opaque)
            self._proves = True

    def _grow(self, detail: dict[str, Any]) -> None:
        self._proves = self._proves or any(_text(detail, name) for name in _PROOFS)
        if not self._details or not _goes_on(self._details[-1][0], detail):
            self._details.append(({}, {}))
        last, texts = self._details[-1]
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
        if self._details:
            whole = (
                (detail, {name: "".join(pieces) for name, pieces in texts.items()})
                for detail, texts in self._details
            )
            state[DETAILS] = [{**detail, **texts} for detail, texts in whole]
        if self._opaque:
            state[OPAQUE] = "".join(self._opaque)
        self._details, self._opaque, self._proves = [], [], False
        return Signature(CHAT, encode(state).decode())


def _goes_on(last: dict[str, Any], detail: dict[str, Any]) -> bool:
    """Whether a piece belongs to the detail before it."""
    same = all(last.get(name) == detail.get(name) for name in ("type", "index"))
    return same and "index" in detail and detail.get("id") in (None, last.get("id"))


def state_in(parts: Iterable[Part], taken: Sequence[str]) -> dict[str, Any]:
    """The members of an assistant's message that hold its state.

    :param taken: the members that the server takes.
    """
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
    kinds = {DETAILS: list, OPAQUE: str}
    return {name: value for name, value in found.items() if isinstance(value, kinds.get(name, ()))}


def has_words(state: dict[str, Any]) -> bool:
    """Whether the thinking itself stands in a state."""
    return any(
        _text(detail, "text") or _text(detail, "summary")
        for detail in state.get(DETAILS, ())
        if isinstance(detail, dict)
    )
