"""Messages without thinking whose proofs the account does not take."""

from __future__ import annotations

from typing import Any

from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.json import encode, loads
from ampproxy.dialects.state import Foreign
from ampproxy.model.base import Json
from ampproxy.model.loss import Loss, Losses
from ampproxy.wire.json import elements, members, replace_members

_WHY = "The account does not accept the signature of this thinking."


def without_proofs(body: bytes, foreign: Foreign) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without the thinking whose proofs are foreign. A turn that held nothing else is left out; in
    the middle of a tool loop, where older models want their thinking back, the wish to think is left out too.
    """
    found = members(body) or {}
    losses = Losses()

    def kept(number: int, turn: Json) -> Json | bytes | None:
        return _kept(turn, f"messages[{number}]", foreign, losses)

    left = edit_items(body, "messages", kept, found)
    if left is body:
        return body, ()
    turns = elements((members(left) or {}).get("messages"))
    if _asks_to_think(found) and turns and _answers_a_call(turns[-1]):
        losses("thinking", "thinking", "The thinking of this tool loop cannot be sent back.")
        left = replace_members(left, {"thinking": encode({"type": "disabled"})})
    return bytes(left), losses.all()


def _kept(turn: Json, at: str, foreign: Foreign, losses: Losses) -> Json | bytes | None:
    """The turn; the same object where nothing of it is foreign, ``None`` where nothing is left."""

    def own(place: int, block: Json) -> Json | None:
        if not _is_foreign(block, foreign):
            return block
        losses("foreign_proof", f"{at}.content[{place}]", _WHY)
        return None

    left = edit_items(turn, "content", own)
    return left if left is turn or elements((members(left) or {}).get("content")) else None


def _is_foreign(block: Json, foreign: Foreign) -> bool:
    if b"thinking" not in bytes(block):
        return False
    fields: Any = loads(block)
    kind = fields.get("type") if isinstance(fields, dict) else None
    proof = {"thinking": "signature", "redacted_thinking": "data"}.get(str(kind))
    value = fields.get(proof) if proof else None
    return isinstance(value, str) and bool(value) and foreign(value)


def _asks_to_think(found: dict[str, Json]) -> bool:
    thinking = loads(found["thinking"]) if "thinking" in found else None
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _answers_a_call(turn: Json | bytes) -> bool:
    fields = members(turn) or {}
    return any(b'"tool_result"' in bytes(block) for block in elements(fields.get("content")))
