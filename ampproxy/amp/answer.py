"""Answers as Amp's clients need them, one event or one whole answer at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ampproxy.amp.anthropic import AnthropicRules
from ampproxy.amp.chat import ChatRules
from ampproxy.amp.edit import Exchange
from ampproxy.amp.gemini import GeminiRules
from ampproxy.amp.responses import ResponsesRules
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.wire.json import members, replace_members


class Rules(Protocol):
    """One dialect's rules for one exchange."""

    def event(self, name: bytes, data: bytes) -> tuple[bytes, bytes]:
        """The event as the client should see it; the very same ``data`` if nothing changes."""
        ...

    def whole(self, body: bytes) -> bytes:
        """The whole answer likewise."""
        ...


class _ModelOnly:
    """For an answer of which nothing but the model's name matters."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def event(self, name: bytes, data: bytes) -> tuple[bytes, bytes]:
        return name, self.whole(data)

    def whole(self, body: bytes) -> bytes:
        values = members(body)
        changes = self._exchange.model_changes(values) if values else None
        return replace_members(body, changes) if changes else body


_RULES: dict[str, Callable[[Exchange], Rules]] = {
    ANTHROPIC: AnthropicRules,
    CHAT: ChatRules,
    COMPLETIONS: _ModelOnly,
    GEMINI: GeminiRules,
    RESPONSES: ResponsesRules,
}


class AnswerRewriter:
    """Rewrites the answer of one exchange; holds the little state that a stream's repairs need.

    * The model's name becomes the asked one, where the answer has one at all.
    * Tool names get the casing of the request's tools.
    * What is missing and would stop Amp's clients is put in; see the modules of the dialects.

    :param dialect: of the client and of the backend (see :mod:`ampproxy.model.base`).
    :param asked_model: the name that the client asked for, suffix included; empty leaves names alone.
    :param request_body: the client's request, read for its tools only when the answer calls one.
    :param drop_thinking: whole Anthropic answers with a tool call lose their thinking: for a request
        that was mapped or is served by an account of another vendor, whose proofs would not hold.
    :param repairs: ``False``: only the model's name changes, for clients that are not Amp's.
    """

    __slots__ = ("_rules", "asked_model", "dialect")

    def __init__(
        self,
        dialect: str,
        asked_model: str,
        request_body: bytes = b"",
        drop_thinking: bool = False,
        *,
        repairs: bool = True,
    ) -> None:
        exchange = Exchange(dialect, asked_model, request_body, drop_thinking=drop_thinking)
        rules = _RULES.get(dialect, _ModelOnly) if repairs else _ModelOnly
        self._rules = rules(exchange)
        self.dialect = dialect
        self.asked_model = asked_model

    def event(self, name: bytes, data: bytes) -> tuple[bytes, bytes]:
        """One event of the stream: its name (empty if it has none) and its data.

        Events must come in order. ``data`` that needs no change comes back as the same object; what
        is not a JSON object (``[DONE]``) always does. Empty ``data``: the event is to be left out.
        """
        return self._rules.event(name, data)

    def whole(self, body: bytes) -> bytes:
        """A whole answer; the same object if nothing changes."""
        return self._rules.whole(body)
