"""Whole answers that a client may go on from, or fetch again, by their ids.

The vendor stores them, and goes on from one by its own record of the conversation; whoever serves such a
client with another vendor needs that conversation once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.json import NULL, encode, first, items, loads, members, text_of
from ampproxy.model.base import Json
from ampproxy.wire.json import remove_members, replace_members
from ampproxy.wire.sse import parse_block

_PREVIOUS = "previous_response_id"
_MARK = b'"previous_response_id"'
#: The events that end an answer which may be gone on from.
_ENDS = (b"response.completed", b"response.incomplete")
_REFERENCE = b'"item_reference"'
_DONE = b'"response.output_item.done"'
_NOT_STORED = re.compile(rb'"store"\s{0,8}:\s{0,8}false')
#: An item by its id.
Item = tuple[str, bytes]


def previous_of(request: bytes) -> str:
    """The id of the answer that a request goes on from; empty: of none.

    :raises ampproxy.errors.ClientFault: the request is not a JSON object.
    """
    if request.rfind(_MARK) < 0:
        return ""
    return text_of(members(request).get(_PREVIOUS, NULL)) or ""


def own_items(request: bytes) -> list[bytes]:
    """The items of a request's own input, a text as the message that it stands for.

    :raises ampproxy.errors.ClientFault: they are no list of objects.
    """
    given = members(request).get("input", NULL)
    if first(given) == b'"':
        return [encode({"type": "message", "role": "user", "content": loads(given)})]
    return [bytes(item) for item in items(given, "input")] if first(given) == b"[" else []


def joined(request: bytes, before: Sequence[bytes]) -> bytes:
    """The request with what was before it, and without the reference to that."""
    whole = b"[" + b",".join((*before, *own_items(request))) + b"]"
    with_items = replace_members(request, {"input": whole})
    return remove_members(with_items, frozenset((_PREVIOUS,)))


def answer_in(events: bytes) -> bytes | None:
    """The whole answer that whole events of a stream of ours end with; ``None``: they do not end it."""
    if not any(name in events for name in _ENDS):
        return None
    for block in events.split(b"\n\n"):
        name, data = parse_block(block)
        if name in _ENDS:
            return bytes(members(data).get("response", NULL))
    return None


def id_of(answer: bytes) -> str:
    """The id of a whole answer."""
    return str(loads(members(answer).get("id", NULL)))


def output_of(answer: bytes) -> list[bytes]:
    """The items of a whole answer."""
    return [bytes(item) for item in items(members(answer).get("output", Json(b"[]")), "output")]


def kept_as(answer: bytes, previous: str) -> bytes:
    """A whole answer as its client gets it when it asks for it again."""
    return replace_members(answer, {_PREVIOUS: encode(previous or None), "store": b"true"})


def items_page(given: Sequence[bytes], order: str, after: str, limit: int) -> bytes:
    """A page of the items that an answer was made of, in the form of the vendor's list.

    :param order: ``asc`` or ``desc``.
    :param after: the id of the last item of the page before; empty: there was none.
    :param limit: the most items.
    """
    found = [_with_id(item, number) for number, item in enumerate(given)]
    if order != "asc":
        found.reverse()
    ids = [str(item["id"]) for item in found]
    begin = ids.index(after) + 1 if after in ids else 0
    page = found[begin : begin + limit]
    return encode(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": begin + limit < len(found),
        }
    )


def _with_id(item: bytes, number: int) -> dict[str, Any]:
    """An item as lists show it: with an id, and a message's text as a part."""
    found: dict[str, Any] = loads(item, {})
    kind = found.setdefault("type", "message")
    if kind == "message" and isinstance(found.get("content"), str):
        found["content"] = [{"type": "input_text", "text": found["content"]}]
    return {"id": f"item_{number}", **found}


def stores(request: bytes) -> bool:
    """Whether a request leaves it to its vendor to keep the answer, so that a client may refer to it."""
    return _NOT_STORED.search(request) is None


def with_items(request: bytes, find: Callable[[str], bytes | None]) -> bytes:
    """The request with the items that it refers to in the place of the references; the same object where it
    refers to none that is known.

    :param find: gives an item by its id.
    :raises ampproxy.errors.ClientFault: it is not a JSON object, or its items are no objects.
    """
    if request.rfind(_REFERENCE) < 0:
        return request

    def known(number: int, item: Json) -> bytes | Json:
        return _known(item, f"input[{number}]", find) if _REFERENCE in bytes(item) else item

    return bytes(edit_items(request, "input", known, members(request)))


def _known(item: Json, at: str, find: Callable[[str], bytes | None]) -> bytes | Json:
    fields = members(item, at)
    id_ = loads(fields.get("id", NULL))
    if loads(fields.get("type", NULL)) != "item_reference" or not isinstance(id_, str):
        return item
    return find(id_) or item


def items_of(answer: bytes) -> Iterator[Item]:
    """The items of a whole answer of ours."""
    for item in items(members(answer).get("output", Json(b"[]")), "output"):
        yield from _identified(item)


def items_in(events: bytes) -> Iterator[Item]:
    """The items that whole events of a stream of ours end."""
    if _DONE not in events:
        return
    for block in events.split(b"\n\n"):
        if _DONE in block:
            yield from _identified(members(parse_block(block)[1]).get("item", NULL))


def _identified(item: Json) -> Iterator[Item]:
    if first(item) == b"{" and isinstance(id_ := loads(members(item).get("id", NULL)), str):
        yield id_, bytes(item)
