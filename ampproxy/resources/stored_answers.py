"""Answers of translated requests that the gateway has kept: fetched, listed and deleted by their ids.

The forms are those of OpenAI's ``responses`` resource (openai 3.57.0).
"""

from __future__ import annotations

from urllib.parse import parse_qs

from ampproxy.dialects.base import Storing
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault
from ampproxy.generation import Generation
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.stored import StoredAnswer
from ampproxy.routing.vendor_calls import VendorCall
from ampproxy.server.site import GatewayRequest
from ampproxy.wire.values import encode

#: Items in a page of a list, unless the client asks for more or fewer; and the most.
_PAGE, _MAX_PAGE = 20, 100


def answered_here(
    generation: Generation, request: GatewayRequest, record: ExchangeRecord, call: VendorCall
) -> bool:
    """Answer a call of a stored response, if that is one of the gateway's own; says whether it was.

    :raises ClientFault: it is, but cannot be had so.
    """
    references = DIALECTS[call.route.dialect].passthrough.references
    storing = None if references is None else references.storing
    stored = generation.runtime.stored.find(record.client, call.thing) if call.thing else None
    if storing is None or stored is None:
        return False
    body = _body(generation, request, record, call, stored, storing)
    record.status, record.bytes_out = 200, len(body)
    request.answer(200, body)
    return True


def _body(
    generation: Generation,
    request: GatewayRequest,
    record: ExchangeRecord,
    call: VendorCall,
    stored: StoredAnswer,
    storing: Storing,
) -> bytes:
    query = parse_qs(request.query.decode("ascii", "replace"))
    if call.tail.endswith(b"/cancel"):
        raise ClientFault.of("invalid_request", "Only a response in the background can be cancelled.")
    if request.method == b"DELETE":
        generation.runtime.stored.forget(record.client, call.thing)
        if generation.runtime.kept_elsewhere is not None:
            generation.runtime.kept_elsewhere.forget(record.client, call.thing)
        return encode({"id": call.thing, "object": "response", "deleted": True})
    if call.tail.endswith(b"/input_items"):
        before = generation.runtime.stored.before(record.client, call.thing, storing, output=False)
        order, after, limit = (query.get(name, [""])[0] for name in ("order", "after", "limit"))
        return storing.page(before or stored.items, order, after, _limit(limit))
    if query.get("stream") == ["true"]:
        raise ClientFault.of(
            "invalid_request", "This response is complete: fetch it without `stream`.", param="stream"
        )
    return stored.body


def _limit(text: str) -> int:
    if not text:
        return _PAGE
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= _MAX_PAGE:
        raise ClientFault.of("invalid_request", f"limit has to be from 1 to {_MAX_PAGE}.", param="limit")
    return int(text)
