"""State that the vendor keeps, and what must be refused when another vendor is to answer.

A client of Responses may say "go on from there" instead of sending the conversation. Where the
request is translated, the vendor that answers has never seen what it refers to; answering without it
would look like an answer and be none. The members stay in ``ChatRequest.extras``.
"""

from __future__ import annotations

import msgspec

from ampproxy.dialects.json import loads
from ampproxy.dialects.openai_responses.for_others import plain
from ampproxy.dialects.unsupported import is_harmless
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.model.base import RESPONSES
from ampproxy.model.parts import (
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Turn

#: Members of the request that refer to what the vendor stores, and what the client can do instead.
STATEFUL = {
    "previous_response_id": (
        "send the whole conversation in `input` (and `store: false`), or have the gateway keep its answers"
        " (setting: limits.max-stored)"
    ),
    "conversation": "send the whole conversation in `input` (and `store: false`)",
    "prompt": "send the prompt's text in `instructions` or `input`",
}
#: Items of ``input`` that stand for what the vendor stores or what only it can read.
STATEFUL_ITEMS = {
    "item_reference": (
        "send the item itself, as clients do that send `store: false` "
        "(AI SDK: `providerOptions: {openai: {store: false}}`, or its `.chat(...)`)"
    )
}
#: What Codex notes of an item for itself, where it believes to be at its own vendor.
_OF_ITEMS = "internal_chat_message_metadata_passthrough"
#: What a message is called, and what its words are for: the client's and its vendor's own notes.
_OF_MESSAGES = frozenset(("id", "phase", _OF_ITEMS))


def stored_state(request: ChatRequest) -> tuple[str, str] | None:
    """The first reference to stored state in a request that came in this dialect: the member's path and
    what to send instead; ``None`` if the request is complete in itself.
    """
    if request.dialect != RESPONSES:
        return None
    for member, instead in STATEFUL.items():
        if member in request.extras:
            return member, instead
    if "background" in request.extras and bytes(request.extras["background"]) == b"true":
        return "background", "leave it out: an answer made in the background is fetched from its vendor later"
    for number, turn in enumerate(request.turns):
        for part in turn.parts:
            if isinstance(part, Opaque) and part.kind in STATEFUL_ITEMS and not is_thought(part):
                return f"input ({part.kind}, turn {number})", STATEFUL_ITEMS[part.kind]
    return None


def is_thought(part: Opaque) -> bool:
    """Whether it refers to a reasoning item: none of the conversation's words is missing without it."""
    found = loads(part.raw, {})
    return part.kind == "item_reference" and str(found.get("id", "")).startswith("rs_")


def require_self_contained(request: ChatRequest) -> None:
    """Refuse a request that another vendor could only answer without part of its conversation.

    To be asked before a request of this dialect is rendered to another one.

    :raises ampproxy.errors.ClientFault: it refers to stored state.
    """
    if (found := stored_state(request)) is None:
        return
    member, instead = found
    raise not_stored(member, instead, "this model is served by another API that has never seen it")


def not_stored(member: str, instead: str, why: str) -> ExchangeError:
    """The refusal of a request that refers to what is not stored where it goes.

    :param instead: what the client can do.
    """
    return ClientFault.of(
        "invalid_request",
        f"`{member}` refers to what OpenAI stores, and {why}. Please {instead}.",
        code="unsupported_parameter",
        param=member.partition(" ")[0],
    )


def self_contained(request: ChatRequest) -> ChatRequest:
    """A request of this dialect as another dialect may be asked it.

    Without what means nothing anywhere else, so that no loss is reported of it: ids of messages, ``store:
    false``, how the stream is padded. What other vendors know under other names is written in those (see
    :mod:`ampproxy.dialects.openai_responses.for_others`).

    :raises ampproxy.errors.ClientFault: it refers to stored state.
    """
    require_self_contained(request)
    if request.dialect != RESPONSES:
        return request
    request = plain(request)
    extras = {
        name: value for name, value in request.extras.items() if not is_harmless(RESPONSES, name, value)
    }
    turns = tuple(
        Turn(turn.role, tuple(map(_for_another, turn.parts)), turn.extras) for turn in request.turns
    )
    system = tuple(text for part in request.system if isinstance(text := _for_another(part), Text))
    return msgspec.structs.replace(request, system=system, turns=turns, extras=extras)


def _for_another(part: Part) -> Part:
    if isinstance(part, Opaque) and is_thought(part):
        return Reasoning("", Signature(RESPONSES, "", loads(part.raw)["id"]))
    if not isinstance(part, (Text, ToolCall, ToolResult, Image, Document)) or not part.extras:
        return part
    notes = _OF_MESSAGES if isinstance(part, Text) else frozenset((_OF_ITEMS,))
    if notes.isdisjoint(part.extras):
        return part
    extras = {name: value for name, value in part.extras.items() if name not in notes}
    return msgspec.structs.replace(part, extras=extras)
