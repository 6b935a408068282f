"""Items of an answer that a client refers to by their ids in its next request, as one does whose answers are
stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.json import NULL, first, items, loads, members
from ampproxy.model.base import Json
from ampproxy.wire.sse import parse_block

_REFERENCE = b'"item_reference"'
_DONE = b'"response.output_item.done"'
_NOT_STORED = re.compile(rb'"store"\s{0,8}:\s{0,8}false')
#: An item by its id.
Item = tuple[str, bytes]


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
        yield from _with_id(item)


def items_in(events: bytes) -> Iterator[Item]:
    """The items that whole events of a stream of ours end."""
    if _DONE not in events:
        return
    for block in events.split(b"\n\n"):
        if _DONE in block:
            yield from _with_id(members(parse_block(block)[1]).get("item", NULL))


def _with_id(item: Json) -> Iterator[Item]:
    if first(item) == b"{" and isinstance(id_ := loads(members(item).get("id", NULL)), str):
        yield id_, bytes(item)
