"""Answers as their clients need them, one event or one whole answer at a time."""

from __future__ import annotations

from ampproxy.dialects.base import AnswerRules, Dialect
from ampproxy.dialects.edit import Exchange, Members, ModelOnly


class AnswerRewriter:
    """Rewrites the answer of one exchange; holds the little state that a stream's repairs need.

    * The model's name becomes the asked one, where the answer has one at all.
    * Tool names get the casing of the request's tools.
    * What is missing and would stop Amp's clients is put in; see the ``repairs`` of the dialects.

    :param dialect: of the client and of the backend.
    :param asked_model: the name that the client asked for, suffix included; empty leaves names alone.
    :param request_body: the client's request, read for its tools only when the answer calls one.
    :param drop_thinking: whole Anthropic answers with a tool call lose their thinking: for a request
        that was mapped or is served by an account of another vendor, whose proofs would not hold.
    :param repairs: ``False``: only the model's name changes, for clients that are not Amp's.
    """

    __slots__ = ("_rules", "asked_model")

    def __init__(
        self,
        dialect: Dialect,
        asked_model: str,
        request_body: bytes = b"",
        drop_thinking: bool = False,
        *,
        repairs: bool = True,
    ) -> None:
        passing = dialect.passthrough
        exchange = Exchange(passing.declared, asked_model, request_body, drop_thinking=drop_thinking)
        self._rules: AnswerRules = passing.rules(exchange) if repairs else ModelOnly(exchange)
        self.asked_model = asked_model

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        """One event of the stream: its name (empty if it has none) and its data.

        Events must come in order. ``data`` that needs no change comes back as the same object; what
        is not a JSON object (``[DONE]``) always does. Empty ``data``: the event is to be left out.

        :param values: its members, where they have been read already.
        """
        return self._rules.event(name, data, values)

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        """A whole answer; the same object if nothing changes.

        :param values: its members, where they have been read already.
        """
        return self._rules.whole(body, values)
