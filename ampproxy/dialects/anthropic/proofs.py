"""Messages without thinking whose proofs the account does not take."""

from __future__ import annotations

from typing import Any

from ampproxy.dialects.edit import join
from ampproxy.dialects.json import encode, loads
from ampproxy.dialects.state import Foreign
from ampproxy.model.base import Json
from ampproxy.model.loss import Loss
from ampproxy.wire.json import elements, members, replace_members

_WHY = "The account does not accept the signature of this thinking."


def without_proofs(body: bytes, foreign: Foreign) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without the thinking whose proofs are foreign. A turn that held nothing else is left out; in
    the middle of a tool loop, where older models want their thinking back, the wish to think is left out too.
    """
    found = members(body) or {}
    losses: list[Loss] = []
    turns: list[Json | bytes] = []
    for number, turn in enumerate(elements(found.get("messages"))):
        kept = _kept(turn, number, foreign, losses)
        if kept is not None:
            turns.append(kept)
    if not losses:
        return body, ()
    changes = {"messages": join(turns)}
    if _asks_to_think(found) and turns and _answers_a_call(turns[-1]):
        losses.append(Loss("thinking", "thinking", "The thinking of this tool loop cannot be sent back."))
        changes["thinking"] = encode({"type": "disabled"})
    return replace_members(body, changes), tuple(losses)


def _kept(turn: Json, number: int, foreign: Foreign, losses: list[Loss]) -> Json | bytes | None:
    """The turn; the same object where nothing of it is foreign, ``None`` where nothing is left."""
    fields = members(turn)
    blocks = elements(fields.get("content")) if fields else []
    left = []
    for place, block in enumerate(blocks):
        if _is_foreign(block, foreign):
            losses.append(Loss("foreign_proof", f"messages[{number}].content[{place}]", _WHY))
        else:
            left.append(block)
    if len(left) == len(blocks):
        return turn
    return replace_members(turn, {"content": join(left)}) if left else None


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
