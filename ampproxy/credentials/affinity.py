"""What names the conversation that a request belongs to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

import msgspec

#: The clients' own words for a conversation. Session-Id and Session_id are Codex's.
_AMP = b"x-amp-thread-id"
_HEADERS = (b"x-session-id", b"session-id", b"session_id")
_REQUEST = b"x-client-request-id"

#: How much of each text counts where a conversation is known by its first words.
_FIRST = 100
_MAX_ID_CHARS = 200

_CLAUDE_CODE = re.compile(r"_session_([0-9a-fA-F-]{36})\Z")

_Raw = msgspec.Raw
_NONE: Final = msgspec.Raw(b"null")


class HasHeaders(Protocol):
    """What is looked at: ``twisted.web.http_headers.Headers``."""

    def getRawHeaders(self, name: bytes) -> Sequence[bytes] | None:
        """All values of a header."""


class _Body(msgspec.Struct):
    """The members of a request, of any dialect, that can tell."""

    metadata: _Raw = _NONE
    conversation_id: _Raw = _NONE
    prompt_cache_key: _Raw = _NONE
    system: _Raw = _NONE
    systemInstruction: _Raw = _NONE
    instructions: _Raw = _NONE
    messages: _Raw = _NONE
    contents: _Raw = _NONE
    input: _Raw = _NONE


_BODY: Final = msgspec.json.Decoder(_Body)
_ITEMS: Final = msgspec.json.Decoder(list[_Raw])
_STEPWISE: Final = json.JSONDecoder()
_BETWEEN: Final = re.compile(r"[\s,]*(?=\{)")
#: The first turns are looked for in so many bytes before all of them are read.
_HEAD = 16 * 1024
_ANY: Final = msgspec.json.Decoder()
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def session_key(headers: HasHeaders, body: bytes) -> str | None:
    """What names the conversation; ``None`` if nothing does. Never raises.

    The first that is there, as in CLIProxyAPI: ``X-Session-ID``, ``Session-Id`` or ``Session_id``, before
    which Claude Code's session in ``metadata.user_id`` goes; ``X-Amp-Thread-Id``; that session alone;
    ``X-Client-Request-Id``; any other ``metadata.user_id``; ``conversation_id``; ``prompt_cache_key``; the
    first words of the system prompt and of the first user turn, which stay while a conversation grows.

    :param body: JSON; not looked into where Amp's header is the only one.
    """
    named = next((found for name in _HEADERS if (found := _header(headers, name)) is not None), None)
    thread = _header(headers, _AMP) if named is None else None
    if thread is not None:
        return thread
    try:
        members = _BODY.decode(body)
    except _BAD:
        members = _Body()
    user = _user(members.metadata)
    session = _claude_code(user)
    if session is not None:
        return session
    if named is None:
        named = _header(headers, _REQUEST)
    if named is not None:
        return named
    for text in (user, _text(members.conversation_id), _text(members.prompt_cache_key)):
        if text:
            return _bounded("body", text)
    return _first_words(members)


def thread_key(thread: str) -> str:
    """What names the conversation of a thread of Amp's, whichever of its clients says which it is."""
    return _bounded(_AMP.decode(), thread)


def _header(headers: HasHeaders, name: bytes) -> str | None:
    values = headers.getRawHeaders(name)
    value = values[0].strip() if values else b""
    return _bounded(name.decode(), value.decode("latin-1")) if value else None


def _bounded(kind: str, text: str) -> str:
    return f"{kind}:{text}" if len(text) <= _MAX_ID_CHARS else f"{kind}#{_digest(text)}"


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _value(raw: _Raw) -> Any:
    try:
        return _ANY.decode(raw)
    except _BAD:
        return None


def _is_string(raw: _Raw) -> bool:
    return memoryview(raw)[:1].tobytes() == b'"'


def _text(raw: _Raw) -> str:
    value = _value(raw) if _is_string(raw) else None
    return value if isinstance(value, str) else ""


def _user(metadata: _Raw) -> str:
    value = _value(metadata)
    user = value.get("user_id") if isinstance(value, dict) else None
    return user if isinstance(user, str) else ""


def _claude_code(user: str) -> str | None:
    """The session of a ``user_id`` that ends in it, or that is JSON with a ``session_id``."""
    if match := _CLAUDE_CODE.search(user):
        return _bounded("session", match[1])
    value = _value(_Raw(user.encode("utf-8", "replace"))) if user.startswith("{") else None
    session = value.get("session_id") if isinstance(value, dict) else None
    return _bounded("session", session) if isinstance(session, str) and session else None


def _first_words(members: _Body) -> str | None:
    turns = next((raw for raw in (members.messages, members.contents, members.input) if raw != _NONE), _NONE)
    system = next(
        (raw for raw in (members.system, members.systemInstruction, members.instructions) if raw != _NONE),
        _NONE,
    )
    first, spoken = _first_turns(turns)
    if not first:
        return None
    return f"words#{_digest(_words(_value(system)) + chr(0) + spoken + chr(0) + first)}"


def _first_turns(raw: _Raw) -> tuple[str, str]:
    """The first words of the user, and of a system turn before them."""
    if _is_string(raw):
        return _text(raw)[:_FIRST], ""
    spoken = ""
    for turn in _turns(raw):
        content = turn.get("content", turn.get("parts"))
        # Gemini's turns may leave the user's role out.
        role = turn.get("role", "user")
        if role == "user":
            return _words(content), spoken
        if role in ("system", "developer") and not spoken:
            spoken = _words(content)
    return "", spoken


def _turns(raw: _Raw) -> Iterator[dict[str, Any]]:
    """The turns, one by one: the first are enough, and the rest may be megabytes."""
    head = memoryview(raw)[:_HEAD].tobytes()
    text = head.decode("utf-8", "ignore")
    at, count = 1, 0
    while found := _BETWEEN.match(text, at):
        try:
            turn, at = _STEPWISE.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            break
        count += 1
        if isinstance(turn, dict):
            yield turn
    if len(head) == len(raw):
        return
    try:
        rest = _ITEMS.decode(raw)[count:]
    except _BAD:
        return
    yield from (turn for turn in map(_value, rest) if isinstance(turn, dict))


def _words(value: Any) -> str:
    """The beginning of whatever holds text: a string, parts, an object with parts."""
    for _ in range(4):
        if isinstance(value, str):
            return value[:_FIRST]
        if isinstance(value, list):
            texts = [item for item in value if isinstance(item, dict) and isinstance(item.get("text"), str)]
            value = texts[0] if texts else None
        elif isinstance(value, dict):
            value = value.get("text", value.get("parts"))
    return ""
