"""Changing single members of JSON, inside out: what no rule changes keeps its exact text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

import msgspec

from ampproxy.dialects.monitor import Members as Members
from ampproxy.dialects.tool_names import ToolNames
from ampproxy.wire.json import elements, members, replace_members, string
from ampproxy.wire.values import encode

Raw = msgspec.Raw
#: What is to change of an object: name -> new text.
Changes: TypeAlias = dict[str, bytes]
_MODELS = ("model", "modelVersion")
#: Objects in which those, or some of them, stand as well.
_WITHIN = {"message": ("model",), "response": _MODELS}


def edit_object(
    raw: bytes | Raw | None, rule: Callable[[Members], Changes], known: Members | None = None
) -> bytes | None:
    """The object with ``rule``'s changes; ``None`` if there are none, or if it is no object.

    :param known: its members, where they have been read already.
    """
    values = known if known is not None or raw is None else members(raw)
    if raw is None or values is None:
        return None
    changes = rule(values)
    return replace_members(raw, changes, values) if changes else None


def edit_list(raw: bytes | Raw | None, rule: Callable[[Raw], bytes | None]) -> bytes | None:
    """The list with its elements as ``rule`` gives them (``None``: as it is); ``None`` if none changed."""
    given = elements(raw)
    edited = [rule(element) for element in given]
    if all(new is None for new in edited):
        return None
    return join(old if new is None else new for old, new in zip(given, edited, strict=True))


def edit_items(
    body: bytes | Raw, name: str, rule: Callable[[int, Raw], bytes | Raw | None], known: Members | None = None
) -> bytes | Raw:
    """An object with the elements of one of its lists as ``rule`` gives them, by their numbers: the very same
    element: it stays; ``None``: it is left out.

    :param known: the object's members, where they have been read already.
    :returns: the same object where nothing changed.
    """
    values = known if known is not None else members(body) or {}
    given = elements(values.get(name))
    edited = [rule(number, element) for number, element in enumerate(given)]
    if all(new is old for new, old in zip(edited, given, strict=True)):
        return body
    return replace_members(body, {name: join(new for new in edited if new is not None)}, values)


def inside(values: Members, name: str, rule: Callable[[Members], Changes]) -> Changes:
    """The change of a member that is an object, if ``rule`` makes one."""
    new = edit_object(values.get(name), rule)
    return {} if new is None else {name: new}


def in_each(values: Members, name: str, rule: Callable[[Members], Changes]) -> Changes:
    """The change of a member that is a list of objects, if ``rule`` makes one in any of them."""
    new = edit_list(values.get(name), lambda raw: edit_object(raw, rule))
    return {} if new is None else {name: new}


def join(pieces: Iterable[bytes | Raw]) -> bytes:
    """A JSON list of elements that are JSON text."""
    return b"[" + b",".join(map(bytes, pieces)) + b"]"


class Exchange:
    """What the rules know of the exchange whose answer they change.

    :param model: the name that the client asked for; empty: the vendor's name stays.
    :param declared: reads the names of the request's tools.
    :param request: the client's request; its tools are read only when the answer calls one.
    :param drop_thinking: whether a whole answer with a tool call loses its thinking.
    """

    __slots__ = ("_declared", "_names", "_request", "drop_thinking", "model")

    def __init__(
        self, declared: Callable[[bytes], ToolNames], model: str, request: bytes, *, drop_thinking: bool
    ) -> None:
        self.model = encode(model) if model else None
        self.drop_thinking = drop_thinking
        self._declared = declared
        self._request = request
        self._names: ToolNames | None = None

    def tool_name(self, raw: Raw | None) -> bytes | None:
        """The name as the client knows it, as JSON; ``None`` if it is that already."""
        name = None if raw is None else string(raw)
        if name is None:
            return None
        if self._names is None:
            self._names = self._declared(self._request)
            self._request = b""
        restored = self._names.restore(name)
        return None if restored == name else encode(restored)

    def tool_name_changes(self, values: Members) -> Changes:
        """The change of a ``name`` member."""
        name = self.tool_name(values.get("name"))
        return {} if name is None else {"name": name}

    def model_changes(self, values: Members) -> Changes:
        """The asked name in ``model``, ``modelVersion``, ``message.model``, ``response.model`` and
        ``response.modelVersion``, where those exist.
        """
        if self.model is None:
            return {}
        changes = self._named(values, _MODELS)
        for name, names in _WITHIN.items():
            if name in values:
                changes |= inside(values, name, partial(self._named, names=names))
        return changes

    def _named(self, values: Members, names: tuple[str, ...]) -> Changes:
        model, changes = self.model or b"", {}
        for name in names:
            if name in values and bytes(values[name]) != model:
                changes[name] = model
        return changes


class ModelOnly(msgspec.Struct):
    """:class:`~ampproxy.dialects.base.AnswerRules` for an answer of which the model's name alone matters."""

    _exchange: Exchange

    def event(self, name: bytes, data: bytes, values: Members | None = None) -> tuple[bytes, bytes]:
        return name, self.whole(data, values)

    def whole(self, body: bytes, values: Members | None = None) -> bytes:
        values = members(body) if values is None else values
        changes = self._exchange.model_changes(values) if values else None
        return replace_members(body, changes, values) if changes else body
