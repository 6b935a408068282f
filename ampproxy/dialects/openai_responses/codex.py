"""What the backend of Codex *logins* demands of a Responses body, and nothing more.

Accounts with an API key keep every parameter; a login's backend answers 400 to those it does not
know. No tool, prompt or identity is added. Everything that is not named here keeps its exact text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.dialects.json import (
    NULL,
    Decoder,
    Members,
    encode,
    first,
    is_string,
    items,
    loads,
    members,
    raw_text,
    read_or,
    to_raw,
)
from ampproxy.dialects.openai_responses.for_others import STATEFUL, not_stored
from ampproxy.dialects.openai_responses.request_in import INCLUDE_PROOFS
from ampproxy.model.base import Json
from ampproxy.model.loss import Loss

#: Members that the backend takes; it answers 400 to any other.
TAKEN = frozenset(
    (
        *("model", "input", "instructions", "tools", "tool_choice"),
        *("parallel_tool_calls", "reasoning", "store", "stream", "include"),
        *("prompt_cache_key", "text", "client_metadata", "service_tier"),
    )
)
#: Those of the others that are a kind of loss by themselves.
REFUSED = (
    *("max_output_tokens", "max_completion_tokens", "temperature", "top_p", "truncation"),
    *("user", "context_management", "prompt_cache_retention", "safety_identifier", "stream_options"),
)
_KINDS = frozenset((*REFUSED, "metadata", "service_tier"))
_TRUE, _FALSE = raw_text("true"), raw_text("false")


def constrain(body: bytes) -> tuple[bytes, tuple[Loss, ...]]:
    """Bring a body into the form that the login's backend takes.

    Always streamed, never stored, with proofs of reasoning; ``instructions`` present; a string
    ``input`` as a message; ``developer`` for ``system``; no reasoning that is stored elsewhere; with the
    members in :data:`TAKEN` alone, and without any service tier but ``priority``.

    :returns: the body, and what was left out of it.
    :raises ampproxy.errors.ClientFault: it is not a JSON object, or refers to what is stored: the backend
        stores nothing, and an answer without it would be none.
    """
    found = members(body)
    for member, instead in STATEFUL.items():
        if found.get(member, NULL) != NULL:
            raise not_stored(member, instead, "the backend of Codex logins stores nothing")
    losses = _refuse(found)
    found["stream"] = _TRUE
    found["store"] = _FALSE
    asked = loads(found.get("include", NULL))
    names = asked if isinstance(asked, list) else []
    found["include"] = to_raw(names if INCLUDE_PROOFS in names else [*names, INCLUDE_PROOFS])
    if found.get("instructions", NULL) == NULL:
        found["instructions"] = raw_text('""')
    if "input" in found:
        found["input"] = _input(found["input"], losses)
    return encode(found), tuple(losses)


def _refuse(found: Members) -> list[Loss]:
    """Take out what is refused."""
    losses = [_loss(name) for name in REFUSED if found.pop(name, NULL) != NULL]
    others = [name for name in found if name not in TAKEN]
    losses += [_loss(name) for name in others if found.pop(name) != NULL]
    if loads(found.get("service_tier", NULL)) != "priority" and found.pop("service_tier", NULL) != NULL:
        losses.append(_loss("service_tier"))
    return losses


def _loss(name: str) -> Loss:
    kind = name if name in _KINDS else "extras"
    return Loss(kind, name[:40], f"The backend of Codex logins does not take {name}.")


class _Item(msgspec.Struct):
    type: Any = None
    id: Any = None
    role: Any = None
    encrypted_content: Any = None


_item = Decoder(_Item)


def _input(text: Json, losses: list[Loss]) -> Json:
    if is_string(text):
        content: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
        return to_raw([{"type": "message", "role": "user", "content": content}])
    if first(text) != b"[":
        return text
    found = items(text, "input")
    kept = [own for item in found if (own := _own(item)) is not None]
    if len(kept) < len(found):
        why = "The backend of Codex logins stores nothing, and takes no thinking without its signature."
        losses.append(Loss("reasoning", "input", why))
    return to_raw(kept)


def _own(item: Json) -> Json | None:
    """The item, with ``developer`` for ``system``; ``None``: it is reasoning that its vendor alone has."""
    read = read_or(_item, item, _Item())
    by_id = read.type == "item_reference" and isinstance(read.id, str) and read.id.startswith("rs_")
    if by_id or (read.type == "reasoning" and not read.encrypted_content):
        return None
    return to_raw({**members(item), "role": raw_text('"developer"')}) if read.role == "system" else item
