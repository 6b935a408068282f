"""The ids by which vendors' other calls name what an account keeps: in requests, in answers, in URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from urllib.parse import parse_qs

from msgspec.structs import replace

from ampproxy.dialects.registry import DIALECTS
from ampproxy.dialects.state import VendorState
from ampproxy.model.base import ANTHROPIC, GEMINI, RESPONSES
from ampproxy.routing.vendor_calls import CLAUDE, GOOGLE, OPENAI, VendorCall

#: So many ids of one answer are noted: a page of a vendor's list has up to a thousand.
_MAX_IDS = 1000


@cache
def _state(vendor: str) -> VendorState:
    """How a request of such a call refers to what is kept: as its dialect's own requests do, and more."""
    dialect, members, prefixes = _REFERRING[vendor]
    state = DIALECTS[dialect].passthrough.state
    return replace(
        state, members=state.members.union(members), prefixes=(*state.prefixes, *prefixes), issues=()
    )


#: Whose dialect's references count, by vendor, and what members and prefixes of ids there are beside them.
_REFERRING: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    OPENAI: (RESPONSES, ("input_file_id", "part_ids", "video_id"), ("part_", "video_")),
    CLAUDE: (ANTHROPIC, ("skill_id",), ("skill_",)),
    GOOGLE: (GEMINI, ("previous_interaction_id", "uri", "file_name", "fileName"), ()),
}
#: What an answer of such a call issues, by vendor.
_ISSUED: Mapping[str, re.Pattern[bytes]] = {
    OPENAI: re.compile(
        rb'"(?:id|[a-z_]{1,30}_id)"\s{0,8}:\s{0,8}"'
        rb'((?:file|batch|resp|conv|vs|vsfb|upload|part|cntr|cfile|video)[-_][\w-]{1,200})"'
    ),
    CLAUDE: re.compile(rb'"(?:id|file_id)"\s{0,8}:\s{0,8}"((?:file|msgbatch|skill)_[\w-]{1,200})"'),
    GOOGLE: re.compile(
        rb'"(?:name|responsesFile)"\s{0,8}:\s{0,8}"'
        rb'((?:(?:files|cachedContents|batches)|models/[\w.-]{1,200}/operations)/[\w.-]{1,200})"'
    ),
}
#: Google's files by their address, which requests to models refer to; of videos that a model made, it is
#: where they are downloaded.
_ADDRESS = re.compile(
    rb'"uri"\s{0,8}:\s{0,8}"(https?://[\w.:/-]{1,300}/(files/[\w.-]{1,200}))(?::download[^"]{0,100})?"'
)
_INTERACTION = re.compile(rb'"id"\s{0,8}:\s{0,8}"([\w.-]{1,512})"')
_PREVIOUS = re.compile(rb'"previous_interaction_id"\s{0,8}:\s{0,8}"([\w.-]{1,512})"')


def referred(call: VendorCall, body: bytes) -> tuple[str, ...]:
    """What a request refers to that one account keeps.

    :param body: as JSON; empty: only the path counts.
    """
    things = [call.thing] if call.thing else []
    if body and call.route.kind == "interactions":
        things += (_interaction(found) for found in _PREVIOUS.findall(body))
    if body:
        things += _state(call.route.vendor).references(body)
    return tuple(things)


def issued(vendor: str, part: bytes, kind: str = "") -> tuple[str, ...]:
    """The things that a part of an answer names.

    :param kind: of the call (see :attr:`~ampproxy.routing.vendor_calls.VendorRoute.kind`).
    """
    found = [text.decode("ascii", "replace") for text in _ISSUED[vendor].findall(part)[:_MAX_IDS]]
    if vendor == GOOGLE:
        for address in _ADDRESS.findall(part)[:_MAX_IDS]:
            found += (text.decode("ascii", "replace") for text in address)
    if kind == "interactions":
        # Of the members so named the first is the interaction's own.
        found += map(_interaction, _INTERACTION.findall(part)[:1])
    return tuple(dict.fromkeys(found))


def upload_of(query: bytes) -> str:
    """What a query names of Google's uploads that go on piece by piece; empty: nothing."""
    ids = parse_qs(query.decode("ascii", "replace")).get("upload_id") or [""]
    return f"upload:{ids[0]}" if ids[0] else ""


def _interaction(id_: bytes) -> str:
    return "interactions/" + id_.decode("ascii", "replace")
