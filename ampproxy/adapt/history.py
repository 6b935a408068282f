"""The turns of a conversation, in the roles and the order that a server takes."""

from __future__ import annotations

import msgspec

from ampproxy.adapt.target import Target
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Part, Reasoning, Text
from ampproxy.model.request import ChatRequest, Turn

_WHY = "A system text in mid-conversation became a user's text, marked as a reminder."
_MARK = "<system-reminder>\n{}\n</system-reminder>"


def system_first(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """No message of the system but the first, where the server takes no other.

    Its text goes, marked, to the end of the user's turn before it, else to the beginning of the user's next,
    and is a turn of the user's if there is neither. Turns keep their numbers: where one was, an empty one
    of the system stays.
    """
    if target.host.system != "first" or "system" not in [turn.role for turn in request.turns]:
        return request
    turns = list(request.turns)
    for number, turn in enumerate(turns):
        if turn.role == "system" and turn.parts:
            losses("system_turn", f"turns[{number}]", _WHY)
            _hand_over(turns, number, tuple(map(_marked, turn.parts)))
    return msgspec.structs.replace(request, turns=tuple(turns))


def _marked(part: Part) -> Part:
    if not isinstance(part, Text) or not part.text:
        return part
    return msgspec.structs.replace(part, text=_MARK.format(part.text))


def _hand_over(turns: list[Turn], number: int, parts: tuple[Part, ...]) -> None:
    """Give a turn's parts to a neighbour of the user's."""
    before, after = _neighbour(turns, number, -1), _neighbour(turns, number, 1)
    if before is not None:
        turns[before] = msgspec.structs.replace(turns[before], parts=turns[before].parts + parts)
    elif after is not None:
        turns[after] = msgspec.structs.replace(turns[after], parts=parts + turns[after].parts)
    else:
        turns[number] = Turn("user", parts)
        return
    turns[number] = Turn("system", ())


def _neighbour(turns: list[Turn], number: int, step: int) -> int | None:
    """The user's turn that is next in a direction; ``None``: the assistant's comes first, or none does."""
    number += step
    while 0 <= number < len(turns) and turns[number].role == "system":
        number += step
    return number if 0 <= number < len(turns) and turns[number].role == "user" else None


def drop_remembered(request: ChatRequest, losses: Losses) -> ChatRequest:
    """No thinking that is there by its id alone: its vendor remembers it, and no other knows it."""
    # Loops without calls: most requests have no such part, and all are looked at.
    for turn in request.turns:
        for part in turn.parts:
            if type(part) is Reasoning and not part.text:
                return _without_all_remembered(request, losses)
    return request


def _without_all_remembered(request: ChatRequest, losses: Losses) -> ChatRequest:
    turns = tuple(_without_remembered(turn, f"turns[{n}]", losses) for n, turn in enumerate(request.turns))
    return request if turns == request.turns else msgspec.structs.replace(request, turns=turns)


def _without_remembered(turn: Turn, path: str, losses: Losses) -> Turn:
    kept = tuple(part for part in turn.parts if not _is_remembered(part))
    if len(kept) == len(turn.parts):
        return turn
    losses("orphan_reasoning", path, "Thinking that its vendor stores, sent only as an id, was dropped.")
    return msgspec.structs.replace(turn, parts=kept)


def _is_remembered(part: Part) -> bool:
    if not isinstance(part, Reasoning) or part.text or part.sealed is None:
        return False
    return bool(part.sealed.item) and not part.sealed.value
