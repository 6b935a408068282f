"""Gemini, as Amp's clients need it: the asked model's name, and tool names in the client's casing."""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.dialects.edit import Changes, Exchange, Members, Raw, edit_list, edit_object, put

Rule = Callable[[Members], Changes]


class GeminiRules:
    """Rules for one exchange; see :class:`ampproxy.dialects.base.AnswerRules`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        name = exchange.tool_name_changes
        part = _inside("functionCall", lambda raw: edit_object(raw, name))
        content = _inside("parts", lambda raw: edit_list(raw, lambda item: edit_object(item, part)))
        candidate = _inside("content", lambda raw: edit_object(raw, content))
        self._candidates = _inside(
            "candidates", lambda raw: edit_list(raw, lambda item: edit_object(item, candidate))
        )

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        return name, self.whole(data, values)

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        calls = b"functionCall" in body
        return edit_object(body, lambda values: self._changes(values, calls), values) or body

    def _changes(self, values: Members, calls: bool) -> Changes:
        changes = self._exchange.model_changes(values)
        if calls:
            changes.update(self._candidates(values))
        return changes


def _inside(name: str, edit: Callable[[Raw | None], bytes | None]) -> Rule:
    """A rule that edits one member and nothing else."""

    def rule(values: Members) -> Changes:
        changes: Changes = {}
        put(changes, name, edit(values.get(name)))
        return changes

    return rule
