"""Proofs of other vendors in a request that passes through untranslated.

A thread that another vendor answered carries that vendor's proofs, marked, in ``encrypted_content``;
this vendor refuses them. They are taken out of the bytes, all else keeps its exact text.
"""

from __future__ import annotations

from ampproxy.dialects import _proof
from ampproxy.dialects._common import Members, encode, items, loads, members, to_raw
from ampproxy.dialects.openai_responses.fields import first
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.loss import Loss

_MARK = _proof.MARK.encode()


def without_foreign_proofs(body: bytes) -> tuple[bytes, tuple[Loss, ...]]:
    """The body without reasoning items that this vendor did not prove; its own that were marked are
    given back as they were issued.

    :returns: the body (the same object where nothing was to be done), and what was left out.
    :raises ampproxy.errors.ClientFault: the body is not a JSON object.
    """
    if _MARK not in body:
        return body, ()
    found = members(body)
    text = found.get("input")
    if text is None or first(text) != b"[":
        return body, ()
    losses: list[Loss] = []
    kept: list[Json] = []
    for number, item in enumerate(items(text, "input")):
        if _MARK not in bytes(item):
            kept.append(item)
        elif (own := _own(item, f"input[{number}]", losses)) is not None:
            kept.append(own)
    found["input"] = to_raw(kept)
    return encode(found), tuple(losses)


def _own(item: Json, path: str, losses: list[Loss]) -> Json | None:
    """The item as this vendor may see it."""
    if first(item) != b"{":
        return item
    fields: Members = members(item, path)
    proof = loads(fields.get("encrypted_content", Json(b"null")))
    if not isinstance(proof, str) or not proof.startswith(_proof.MARK):
        return item
    sealed = _proof.unseal(proof, RESPONSES)
    if sealed.vendor != RESPONSES:
        losses.append(Loss("foreign_proof", path, f"The proof of this thinking is {sealed.vendor}'s."))
        return None
    fields["encrypted_content"] = to_raw(sealed.value)
    if sealed.item is not None:
        fields["id"] = to_raw(sealed.item)
    return to_raw(fields)
