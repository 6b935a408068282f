"""MiniMax's errors within an answer of status 200: ``base_resp``, in place of the choices."""

from __future__ import annotations

from typing import Final

from ampproxy.errors import STATUS
from ampproxy.model.events import ErrorKind, WireError

#: Its numbers (platform.minimax.io, "Error Code"); others are faults of its own.
_KINDS: Final[dict[int, ErrorKind]] = {
    1001: "timeout",
    1002: "rate_limit",
    1004: "authentication",
    1008: "billing",
    1026: "invalid_request",
    1027: "invalid_request",
    1039: "rate_limit",
    1041: "rate_limit",
    1042: "invalid_request",
    2013: "invalid_request",
    2045: "rate_limit",
    2049: "authentication",
    2056: "rate_limit",
}


def error_in(value: object) -> WireError | None:
    """The error that an answer, or a chunk of one, tells in ``base_resp``; ``None``: it tells none.

    :param value: the decoded object.
    """
    status = value.get("base_resp") if isinstance(value, dict) else None
    number = status.get("status_code") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(number, int) or not number:
        return None
    kind = _KINDS.get(number, "internal")
    message = status.get("status_msg")
    words = message[:1000] if isinstance(message, str) and message else "No reason was given."
    return WireError(kind, f"{words} (status_code {number})", STATUS[kind], str(number))
