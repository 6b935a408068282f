"""Responses over a WebSocket: each message of the client asks for one answer, whose events come as messages.

Source: ``client.responses.connect`` of openai 3.57.0 (``ResponsesClientEvent``, ``ResponsesServerEvent``).
The vendor keeps the last answers of a connection, whatever ``store`` is, so that the next message may go on
from one of them with its new items alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from ampproxy.dialects.json import NULL, encode, loads, members, text_of
from ampproxy.dialects.messages import Messages, Question
from ampproxy.dialects.openai_responses.stored import id_of, joined, output_of, own_items, previous_of
from ampproxy.errors import ClientFault
from ampproxy.wire.json import remove_members, replace_members

#: Members that only the messages have.
_OF_MESSAGES = frozenset(("type", "stream_id", "generate"))
#: The events after which an answer may be gone on from.
_ENDS = ("response.completed", "response.incomplete")
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
        if loads(found.get("type", NULL)) not in _ENDS:
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
