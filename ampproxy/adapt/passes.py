"""All passes over a request, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ampproxy.adapt.account import fit_account
from ampproxy.adapt.content import fit_parts
from ampproxy.adapt.conversation import settle_turns
from ampproxy.adapt.declarations import fit_tools
from ampproxy.adapt.history import drop_remembered, system_first
from ampproxy.adapt.members import leave_out_refused
from ampproxy.adapt.output import fit_output
from ampproxy.adapt.parts import parts_to_text
from ampproxy.adapt.plan import plan_thinking
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.sampling import fit_ends, fit_sampling
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import forbid_with_tools, settle_amount, settle_level
from ampproxy.model.base import Json
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest

#: Whether a member that only one dialect knows, by its name and its text, asks nothing of another vendor.
Harmless: TypeAlias = Callable[[str, str, Json], bool]


def adapt(
    request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses, harmless: Harmless
) -> ChatRequest:
    """The request as a vendor, its server and its model take it; what that loses is noted."""
    own = request.dialect == profile.dialect
    if not profile.stores:
        request = drop_remembered(request, losses)
    request = parts_to_text(request, profile.dialect, losses)
    request = fit_parts(request, profile, target, losses)
    request = system_first(request, target, losses)
    request = leave_out_refused(request, target, losses, same=own)
    if profile.chat_tools:
        request = forbid_with_tools(request, target, losses)
    request = fit_ends(request, profile, target, losses)
    request = fit_account(request, profile, losses)
    request = fit_tools(request, profile, target, losses)
    request = fit_output(request, profile, target, losses)
    lose_extras(request, profile, losses, harmless)
    if profile.thinking == "planned":
        settled = settle_turns(request, profile, target, losses)
        return plan_thinking(request, settled, profile, target, losses)
    settle = settle_level if profile.thinking == "level" else settle_amount
    request = settle(request, target, losses, trusted=own or profile.trusted_levels)
    request = fit_sampling(request, profile, target, losses)
    return settle_turns(request, profile, target, losses)


def lose_extras(request: ChatRequest, profile: DialectProfile, losses: Losses, harmless: Harmless) -> None:
    """Note the members of a request that its client's dialect alone has. They stay: another one's renderer
    does not look at them.
    """
    if request.dialect == profile.dialect:
        return
    known = profile.kin_extras if request.dialect in profile.kin else ()
    for name, raw in request.extras.items():
        if name not in known and not harmless(request.dialect, name, raw):
            losses("extras", f"extras.{name}", f"Only {request.dialect} knows '{name}'.")
