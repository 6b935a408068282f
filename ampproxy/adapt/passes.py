"""All passes over a request, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from ampproxy.adapt.conversation import settle_turns, system_first
from ampproxy.adapt.names import ToolNameMap, tool_names
from ampproxy.adapt.parts import fit_parts
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.settings import fit_account, fit_ends, fit_sampling, is_small, leave_out_refused
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import (
    forbid_with_tools,
    plan_thinking,
    settle_amount,
    settle_level,
    without_member,
)
from ampproxy.adapt.tools import fit_output, fit_tools
from ampproxy.model.base import Json
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest, Turn
from ampproxy.wire.json import members

#: Whether a member that only one dialect knows, by its name and its text, asks nothing of another vendor.
Harmless: TypeAlias = Callable[[str, str, Json], bool]
#: Between the texts of a conversation.
_GAP: Final = "\n\n"
#: Fields of a request that a prompt has nothing for -> the kind of their loss, and what is there instead.
NO_PLACE: Final[Mapping[str, tuple[str, Any]]] = {
    "tools": ("tools", ()),
    "hosted": ("hosted_tool", ()),
    "choice": ("tool_choice", None),
    "thinking": ("thinking", None),
    "output": ("output_format", None),
}


class Fitted(NamedTuple):
    """A request that a renderer only has to write.

    :ivar names: gives the tool names to send.
    :ivar wrapped: the names, as sent, of freeform tools that are functions there.
    """

    request: ChatRequest
    names: ToolNameMap
    wrapped: frozenset[str]


def adapt(
    asked: ChatRequest, profile: DialectProfile, target: Target, losses: Losses, harmless: Harmless
) -> Fitted:
    """The request as a vendor, its server and its model take it; what that loses is noted."""
    names = tool_names(asked, profile)
    request = _adapted(asked, profile, target, losses, harmless)
    wrapped = {tool.name: tool for tool in asked.tools if tool.freeform}
    for tool in request.tools if wrapped else ():
        if tool.freeform:
            wrapped.pop(tool.name, None)
    return Fitted(request, names, frozenset(map(names, wrapped)))


def _adapted(
    request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses, harmless: Harmless
) -> ChatRequest:
    own, wish, host = request.dialect == profile.dialect, request.thinking, target.host
    request = fit_parts(request, profile, target, losses)
    if host.system == "first":
        request = system_first(request, losses)
    if host.members is not None or host.refuses:
        request = leave_out_refused(request, profile, target, losses)
    if profile.chat_tools and target.chat_tools == "not-thinking":
        request = forbid_with_tools(request, target, losses)
    request = fit_ends(request, profile, target, losses)
    request = fit_account(request, profile, losses)
    request = fit_tools(request, profile, target, losses)
    if request.output is not None:
        request = fit_output(request, profile, target, losses)
    if request.extras and not own:
        lose_extras(request, profile, losses, harmless)
    if profile.thinking == "planned":
        if request.thinking != wish:
            request = without_member(request)
        settled = request if _is_settled(request) else settle_turns(request, profile, target, losses)
        return plan_thinking(request, settled, profile, target, losses)
    trusted = own or profile.trusted_levels
    if request.thinking is None and not is_small(request):
        # Nothing is asked, and nothing has to be kept from being done unasked.
        pass
    elif profile.thinking == "level":
        kin = own or request.dialect in profile.kin
        request = settle_level(request, target, losses, trusted=trusted, kin=kin)
    else:
        request = settle_amount(request, target, losses, trusted=trusted)
    request = fit_sampling(request, profile, target, losses)
    return request if _is_settled(request) else settle_turns(request, profile, target, losses)


def _is_settled(request: ChatRequest) -> bool:
    """Whether the turns are texts of the user's and the assistant's in turn, as every vendor takes them."""
    expected = "user"
    for turn in request.turns:
        if turn.role != expected or not turn.parts:
            return False
        for part in turn.parts:
            if type(part) is not Text or not part.text:
                return False
        expected = "assistant" if expected == "user" else "user"
    return expected == "assistant"


def lose_extras(request: ChatRequest, profile: DialectProfile, losses: Losses, harmless: Harmless) -> None:
    """Note the members of a request that its client's dialect alone has. They stay: another one's renderer
    does not look at them.
    """
    known = profile.kin_extras if request.dialect in profile.kin else {}
    for name, raw in request.extras.items():
        inner = known.get(name)
        if inner:
            for lost in sorted((members(raw) or {}).keys() - inner):
                losses("extras", f"extras.{name}.{lost}", f"{profile.vendor} has no '{lost}' there.")
        elif inner is None and not harmless(request.dialect, name, raw):
            losses("extras", f"extras.{name}", f"Only {request.dialect} knows '{name}'.")


def as_prompt(request: ChatRequest, losses: Losses) -> ChatRequest:
    """The request with one turn of the user's, which has all its words."""
    changed: dict[str, Any] = {}
    for field, (kind, nothing) in NO_PLACE.items():
        if getattr(request, field):
            losses(kind, field, "A prompt has no place for it.")
            changed[field] = nothing
    turn = Turn("user", (Text(_GAP.join(_texts(request, losses))),))
    return replace(request, system=(), turns=(turn,), **changed)


def _texts(request: ChatRequest, losses: Losses) -> Iterator[str]:
    yield from (text.text for text in request.system)
    for number, turn in enumerate(request.turns):
        for index, part in enumerate(turn.parts):
            if isinstance(part, Text):
                yield part.text
            else:
                losses("part", f"turns[{number}].parts[{index}]", "A prompt is text and nothing else.")
    if len(request.turns) > 1:
        losses("turns", "turns", "A prompt has no roles.")
