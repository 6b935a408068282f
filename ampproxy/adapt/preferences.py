"""Members that ask for comfort, not for words: left out for another vendor as a hint.

They concern how an answer travels, how long it is, how the vendor's memory is kept, who asks. Nothing of what
the model is told or may call is missing without them, so strict translation does not refuse for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES, Json
from ampproxy.model.loss import Loss, Losses
from ampproxy.model.request import ChatRequest, Tool, Turn
from ampproxy.wire.values import loads

#: Dialect -> members of its requests -> those of their members that are such wishes; ``None``: all of it.
_TOP: Final[Mapping[str, Mapping[str, frozenset[str] | None]]] = {
    ANTHROPIC: {"context_management": None, "safeguards": None, "speed": None, "diagnostics": None},
    RESPONSES: {
        "client_metadata": None,
        "include": None,
        "prompt_cache_options": None,
        "reasoning": frozenset(("context", "generate_summary", "mode")),
        "text": frozenset(("verbosity",)),
    },
    CHAT: {"prediction": None, "prompt_cache_options": None, "verbosity": None},
    GEMINI: {"labels": None, "sessionId": None, "session_id": None},
}
#: What members of tools, and of turns, are such wishes.
_OF_TOOLS: Final = frozenset(("allowed_callers", "defer_loading", "eager_input_streaming"))
_OF_TURNS: Final = frozenset(("output_config",))
_WHY: Final = "Only the client's vendor knows this wish, which changes nothing of what the model gets."


def without_preferences(request: ChatRequest, spoken: str) -> tuple[ChatRequest, tuple[Loss, ...]]:
    """The request without such wishes, and what that lost; the same object where it has none.

    :param spoken: the dialect that it goes out in; one that its client speaks takes them as they are.
    """
    if request.dialect == spoken:
        return request, ()
    losses = Losses()
    known = _TOP.get(request.dialect, {})
    # Chat and Responses are one vendor's, and say this wish alike.
    sent = {"verbosity"} if spoken == RESPONSES else set()
    wishes = [name for name in request.extras if name in known and name not in sent]
    extras = _kept(request.extras, (name for name in wishes if _is_wish(known[name], request.extras[name])))
    for name in request.extras.keys() - extras.keys():
        if name == "safeguards":
            losses("safeguards", f"extras.{name}", "Only Anthropic's service checks calls for the client.")
        else:
            losses("preference", f"extras.{name}", _WHY)
    tools = _each(request.tools, _OF_TOOLS, "tools", losses)
    turns = _each(request.turns, _OF_TURNS, "turns", losses)
    found = losses.all()
    if not found:
        return request, ()
    return msgspec.structs.replace(request, extras=extras, tools=tools, turns=turns), found


def _is_wish(members: frozenset[str] | None, value: Json) -> bool:
    found = loads(value)
    return members is None or (isinstance(found, dict) and found.keys() <= members)


def _kept(extras: dict[str, Json], without: Iterable[str]) -> dict[str, Json]:
    dropped = frozenset(without)
    return {name: value for name, value in extras.items() if name not in dropped}


def _each(these: tuple[Any, ...], wishes: frozenset[str], at: str, losses: Losses) -> tuple[Any, ...]:
    """Tools or turns without such members."""
    if not any(wishes & each.extras.keys() for each in these):
        return these
    return tuple(_one(each, wishes, f"{at}[{number}]", losses) for number, each in enumerate(these))


def _one(each: Tool | Turn, wishes: frozenset[str], at: str, losses: Losses) -> Tool | Turn:
    found = sorted(wishes & each.extras.keys())
    for name in found:
        losses("preference", f"{at}.extras.{name}", _WHY)
    return msgspec.structs.replace(each, extras=_kept(each.extras, found)) if found else each
