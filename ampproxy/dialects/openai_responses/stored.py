"""Whole answers that a client may go on from, or fetch again, by their ids.

The vendor stores them, and goes on from one by its own record of the conversation; whoever serves such a
client with another vendor needs that conversation once more.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ampproxy.dialects.edit import edit_items
from ampproxy.dialects.json import NULL, encode, first, items, loads, members, text_of
from ampproxy.dialects.messages import Messages, Question
from ampproxy.errors import ClientFault
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


# Over a WebSocket each message of the client asks for one answer, whose events come as messages. Source:
# ``client.responses.connect`` of openai 3.57.0 (``ResponsesClientEvent``, ``ResponsesServerEvent``). The
# vendor keeps the last answers of a connection, whatever ``store`` is, so that the next message may go on
# from one of them with its new items alone.

#: Members that only the messages have.
_OF_MESSAGES = frozenset(("type", "stream_id", "generate"))
#: The events after which an answer may be gone on from.
_ENDING = ("response.completed", "response.incomplete")
#: What a client gets of an error of a request, beside its body.
_ERROR_HEADERS = ("retry-after", "x-request-id", "x-ampproxy-request-id")


def _stream_of(text: bytes) -> str:
    found = loads(text, {})
    stream_id = found.get("stream_id") if isinstance(found, dict) else None
    return stream_id if isinstance(stream_id, str) else ""


def _read(text: bytes) -> Question:
    found = members(text)
    kind = loads(found.get("type", NULL))
    if kind != "response.create":
        shown = kind[:100] if isinstance(kind, str) else kind
        raise ClientFault.of(
            "invalid_request",
            f"The gateway does not serve messages of the type {shown!r}: send `response.create`.",
            param="type",
        )
    body = replace_members(remove_members(text, _OF_MESSAGES), {"stream": b"true"})
    generate = loads(found.get("generate", NULL)) is not False
    return Question(body, text_of(found.get("stream_id", NULL)) or "", generate)


def _type_of(event: bytes) -> bytes:
    found = loads(members(event).get("type", NULL)) if event.startswith(b"{") else None
    return found.encode() if isinstance(found, str) else b""


def _message_of(event: bytes, stream_id: str) -> bytes:
    if not stream_id or not event.startswith(b"{"):
        return event
    return b'{"stream_id":' + encode(stream_id) + b"," + event[1:]


def _error(status: int, headers: Mapping[str, str], body: bytes, stream_id: str) -> bytes:
    error = loads(members(body).get("error", NULL), {})
    sent = {name: headers[name] for name in _ERROR_HEADERS if name in headers}
    event = {"type": "error", "status": status, "error": {**error, "headers": sent} if sent else error}
    return _message_of(encode(event), stream_id)


def _warm_up(question: Question, id: str, created: int) -> list[bytes]:
    model = members(question.body).get("model", NULL)
    head = {"id": id, "object": "response", "created_at": created}
    rest = b',"model":' + bytes(model) + b',"output":[],"error":null,"incomplete_details":null'
    rest += b',"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":null}'
    made = []
    for number, (kind, status) in enumerate((("created", "in_progress"), ("completed", "completed"))):
        response = encode({**head, "status": status})[:-1] + rest
        where = kind.encode(), number
        event = b'{"type":"response.%b","sequence_number":%d,"response":%b}' % (*where, response)
        made.append(_message_of(event, question.stream_id))
    return made


class _Conversation:
    """A :class:`~ampproxy.dialects.messages.Conversation`, of which ``most`` bytes are kept at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = 0
        self._known: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()

    def forget(self) -> None:
        self._known.clear()
        self.size = 0

    def whole(self, body: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        before = self._known.get(previous_of(body))
        items = tuple(own_items(body))
        if before is None:
            return body, items
        return joined(body, before), (*before, *items)

    def note(self, items: Sequence[bytes], event: bytes) -> None:
        found = members(event)
        if loads(found.get("type", NULL)) not in _ENDING:
            return
        answer = bytes(found.get("response", NULL))
        self.keep(id_of(answer), (*items, *output_of(answer)))

    def keep(self, id_: str, items: Sequence[bytes]) -> None:
        self._drop(id_)
        self._known[id_] = tuple(items)
        self.size += sum(map(len, items))
        while self.size > self._most and self._known:
            self._drop(next(iter(self._known)))

    def _drop(self, id_: str) -> None:
        self.size -= sum(map(len, self._known.pop(id_, ())))


MESSAGES = Messages(
    read=_read,
    stream_of=_stream_of,
    event=_message_of,
    error=_error,
    last=frozenset((b"response.completed", b"response.incomplete", b"response.failed", b"error")),
    type_of=_type_of,
    warm_up=_warm_up,
    conversation=_Conversation,
)
