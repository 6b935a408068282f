"""Thinking of other vendors in a request that passes through untranslated.

A thread that another vendor answered carries that vendor's thinking: with its proof, marked, in
``encrypted_content``, or with none. This vendor refuses the one, and where nothing is stored it looks
for the other in vain (404). Both are taken out of the bytes, all else keeps its exact text.
"""

from __future__ import annotations

from ampproxy.dialects import _proof
from ampproxy.dialects._common import NULL, Members, encode, items, loads, members, to_raw
from ampproxy.dialects.openai_responses.fields import first
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.loss import Loss

_MARK = _proof.MARK.encode()
_REASONING = b'"reasoning"'
_TRUE, _FALSE = Json(b"true"), Json(b"false")


def without_foreign_proofs(body: bytes) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without reasoning items that this vendor did not issue; its own proofs that were marked
    are given back as they were issued.

    :returns: the body (the same object where nothing was to be done), and what was left out.
    :raises ampproxy.errors.ClientFault: the body is not a JSON object.
    """
    if _MARK not in body and _REASONING not in body:
        return body, ()
    found = members(body)
    text = found.get("input")
    if text is None or first(text) != b"[":
        return body, ()
    stored = found.get("store", _TRUE) != _FALSE
    losses: list[Loss] = []
    kept: list[Json] = []
    changed = False
    for number, item in enumerate(items(text, "input")):
        own: Json | None = item
        if _suspicious(item):
            own = _own(item, f"input[{number}]", losses, stored=stored)
        changed = changed or own is not item
        if own is not None:
            kept.append(own)
    if not changed:
        return body, ()
    found["input"] = to_raw(kept)
    return encode(found), tuple(losses)


def _suspicious(item: Json) -> bool:
    text = bytes(item)
    return text[:1] == b"{" and (_MARK in text or _REASONING in text)


def _own(item: Json, path: str, losses: list[Loss], *, stored: bool) -> Json | None:
    """The item as this vendor may see it; the same object where it may see it as it is."""
    fields: Members = members(item, path)
    proof = loads(fields.get("encrypted_content", NULL))
    if not isinstance(proof, str):
        if loads(fields.get("type", NULL)) != "reasoning" or stored:
            return item
        losses.append(Loss("reasoning", path, "The thinking came without its proof."))
        return None
    if not proof.startswith(_proof.MARK):
        return item
    sealed = _proof.unseal(proof, RESPONSES)
    if sealed.vendor != RESPONSES:
        losses.append(Loss("foreign_proof", path, f"The proof of this thinking is {sealed.vendor}'s."))
        return None
    fields["encrypted_content"] = to_raw(sealed.value)
    if sealed.item is not None:
        fields["id"] = to_raw(sealed.item)
    return to_raw(fields)
