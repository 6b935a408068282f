"""Puts the turns of a conversation into the order that Gemini wants.

Its rules: the first content is the user's; the results of a turn's calls stand in one user content right
after it, in the order of the calls and as many as they are, because without ids they are paired by
place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ampproxy.dialects.common import Losses
from ampproxy.dialects.gemini.parts_out import PartRenderer, Wire
from ampproxy.dialects.pairing import Results
from ampproxy.model.parts import Part, ToolCall, ToolResult
from ampproxy.model.request import Turn

#: What is put before a conversation that the model begins, and after one that it ended and will not continue.
OPENING = "Continue."

#: A part and where it stands in the request.
Placed = tuple[str, Part]


class _Block:
    """Turns of one role in a row."""

    __slots__ = ("extras", "parts", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.parts: list[Placed] = []
        self.extras: dict[str, Any] = {}


class _Results:
    """The results of the conversation; each is given once."""

    def __init__(self, blocks: Iterable[_Block]) -> None:
        self._known = Results[tuple[str, ToolResult]]()
        self._used: set[str] = set()
        for number, block in enumerate(blocks):
            for path, part in block.parts:
                if isinstance(part, ToolResult):
                    self._known.add(part.call, number, (path, part))

    def take(self, call: str, after: int) -> tuple[str, ToolResult] | None:
        """Where the first unused result of a call after block ``after`` stands, and the result."""
        found = self._known.take(call, after)
        if found is not None:
            self._used.add(found[0])
        return found

    def used(self, path: str) -> bool:
        """Whether the result that stands there was given."""
        return path in self._used


def contents(
    turns: tuple[Turn, ...], renderer: PartRenderer, losses: Losses, *, own: bool, prefill: bool = True
) -> list[Wire]:
    """All contents of a request.

    :param own: the request is Gemini's own, so that members that only it knows are kept.
    :param prefill: whether the model continues a turn of its own that comes last.
    """
    for number, turn in enumerate(turns):
        renderer.lose_extras(turn.extras, f"turns[{number}]")
    blocks = _blocks(turns, losses)
    results = _Results(blocks)
    found: list[Wire] = []
    answers: list[Wire] = []
    for number, block in enumerate(blocks):
        if block.role == "assistant":
            _add(found, "user", answers, {})
            wires, calls = _model_parts(block, renderer)
            if wires and not found:
                losses("first_turn", "turns[0]", "Inserted a leading user turn, which Gemini requires.")
                _add(found, "user", [{"text": OPENING}], {})
            _add(found, "model", wires, block.extras if own else {})
            answers = _answers(calls, number, results, renderer)
        else:
            wires = answers + _user_parts(block, results, renderer)
            _add(found, "user", wires, block.extras if own else {})
            answers = []
    _add(found, "user", answers, {})
    if not found:
        losses("first_turn", "turns", "A request needs a content, so one was put there.")
        _add(found, "user", [{"text": OPENING}], {})
    if not prefill and found[-1]["role"] == "model":
        losses(
            "prefill",
            f"turns[{len(turns) - 1}]",
            f"The model does not continue a turn of its own: one of the user's, {OPENING!r}, was added.",
        )
        _add(found, "user", [{"text": OPENING}], {})
    return found


def _blocks(turns: tuple[Turn, ...], losses: Losses) -> list[_Block]:
    blocks: list[_Block] = []
    for number, turn in enumerate(turns):
        role = "assistant" if turn.role == "assistant" else "user"
        if turn.role == "system":
            losses("system_turn", f"turns[{number}]", "A system text inside the thread became the user's.")
        if not blocks or blocks[-1].role != role:
            blocks.append(_Block(role))
        blocks[-1].extras.update(turn.extras)
        blocks[-1].parts += [(f"turns[{number}].parts[{n}]", part) for n, part in enumerate(turn.parts)]
    return blocks


def _add(found: list[Wire], role: str, parts: list[Wire], extras: dict[str, Any]) -> None:
    """Add a content; to the last one if that has the same role."""
    if not parts:
        return
    if found and found[-1]["role"] == role:
        found[-1]["parts"] += parts
        found[-1].update(extras)
    else:
        found.append({"role": role, "parts": list(parts), **extras})


def _model_parts(block: _Block, renderer: PartRenderer) -> tuple[list[Wire], list[tuple[str, ToolCall]]]:
    wires: list[Wire] = []
    calls: list[tuple[str, ToolCall]] = []
    for path, part in block.parts:
        if isinstance(part, ToolCall):
            wires.append(renderer.call(part, path, first=not calls))
            calls.append((path, part))
        else:
            wires += renderer.part(part, path)
    return wires, calls


def _answers(
    calls: list[tuple[str, ToolCall]], after: int, results: _Results, renderer: PartRenderer
) -> list[Wire]:
    """The results of a turn's calls, in their order, and then what cannot stand among them."""
    wires: list[Wire] = []
    late: list[Wire] = []
    for path, call in calls:
        at, result = results.take(call.id, after) or (path, None)
        answer, more = renderer.result(call, result, at)
        wires.append(answer)
        late += more
    return wires + late


def _user_parts(block: _Block, results: _Results, renderer: PartRenderer) -> list[Wire]:
    wires: list[Wire] = []
    for path, part in block.parts:
        if isinstance(part, ToolResult):
            wires += [] if results.used(path) else renderer.orphan(part, path)
        elif isinstance(part, ToolCall):
            wires.append(renderer.call(part, path, first=False))
        else:
            wires += renderer.part(part, path)
    return wires
