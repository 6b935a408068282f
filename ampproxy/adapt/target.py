"""What a model takes at a server, by which the passes of this room go: its family and the host profile."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from ampproxy.catalog.families import Families, Family, Taken, shipped
from ampproxy.catalog.hosts import Host, shipped_hosts
from ampproxy.catalog.names import without_suffix
from ampproxy.model.base import Value
from ampproxy.model.request import Level


class Target(Value, frozen=True):
    """The model that a request is rendered for, and what it takes.

    :param thinking: ``budget``: a token budget; ``level``: an effort level; ``both``; ``none``: not
        at all (thinking wishes are a loss); ``unknown``: a model without a description, trusted to take
        what the client asks in the dialect's classic form.
    :param budget: smallest and largest budget that is accepted.
    :param levels: the effort levels that are accepted; others are moved to the nearest.
    :param thinks_unasked: whether it thinks where a request leaves it open.
    :param can_disable: whether thinking can be switched off.
    :param between_tools: whether it takes Anthropic's ``between_tools``.
    :param forced_tools: whether a call can be demanded: ``always``, ``not-thinking`` or ``never``.
    :param chat_tools: whether it takes functions over Chat Completions, likewise.
    :param prefill: whether it continues an assistant's turn that ends the conversation.
    :param sampling: whether temperature, top_p and penalties are accepted.
    :param penalties: whether presence and frequency penalties are, where sampling is.
    :param candidates: the most answers that one request may ask for, where known.
    :param max_output: the largest number of tokens it generates, where known.
    :param openai_members: whether it is one of OpenAI's own models; ``None``: as its name says; likewise
        ``searches``, a model for searching the web, and ``wants_reasoning``, one whose own thinking has to be
        given back to it.
    :param thinks: whether it reasons before it answers, where that is known.
    :param host: what the server takes that serves it.
    """

    model: str
    thinking: str = "unknown"
    budget: tuple[int, int] = (1024, 128_000)
    levels: tuple[Level, ...] = ("low", "medium", "high")
    thinks_unasked: bool = False
    can_disable: bool = True
    between_tools: bool = False
    forced_tools: Taken = "not-thinking"
    chat_tools: Taken = "always"
    prefill: bool = True
    sampling: bool = True
    penalties: bool = True
    candidates: int | None = None
    max_output: int | None = None
    openai_members: bool | None = None
    searches: bool | None = None
    wants_reasoning: bool | None = None
    thinks: bool | None = None
    host: Host = Host()


def is_known(target: Target, member: str) -> bool:
    """Whether ``openai_members`` and the like hold: what is known of a target, or else of its name."""
    value = getattr(target, member)
    return (getattr(shipped().find(target.model), member) if value is None else value) is True


def thought_member(target: Target, *, own: bool) -> str:
    """The member of Chat Completions that takes a model's own thinking back; empty: there is none.

    :param own: the client speaks that dialect.
    """
    if target.host.thought == "by-model":
        return "reasoning_content" if own or is_known(target, "wants_reasoning") else ""
    return "" if target.host.thought == "none" else target.host.thought


def can_disable(target: Target) -> bool:
    """Whether a model can be kept from thinking at its server."""
    host = target.host
    if host.switch == "effort":
        return target.can_disable and (host.efforts is None or "none" in host.efforts)
    return target.can_disable and host.switch != "none"


#: Members of a family that hold wherever the model is asked.
_EVERYWHERE = ("openai_members", "searches", "wants_reasoning")
#: The others that a target has as well: they hold in the family's own dialects. Whether it thinks is asked
#: apart.
_OF_REQUESTS = tuple(
    name
    for name in Target.__struct_fields__
    if name in Family.__struct_fields__ and name not in (*_EVERYWHERE, "thinks")
)
#: From what takes least.
_TAKEN: tuple[Taken, ...] = ("never", "not-thinking", "always")


@lru_cache(maxsize=256)
def target_at(
    dialect: str, model: str, base_url: str, profile: str = "", families: Families | None = None
) -> Target:
    """What a model takes when it is asked in a dialect at an address.

    :param base_url: of the account; empty: any.
    :param profile: the host profile that the account names; empty: the address's.
    :param families: what is known of models; ``None``: the shipped table.
    """
    target = target_for(dialect, model, families)
    if dialect in shipped_hosts().table.messages_dialects:
        return _over_messages(target, shipped_hosts().find_messages(base_url, profile, model))
    if dialect not in shipped_hosts().table.dialects:
        return target
    host = _host(base_url, profile, target)
    thinks = _thinks((families or shipped()).find(model))
    chat_tools = target.chat_tools if host.vendor_rules else "always"
    return replace(target, host=host, thinks=thinks, chat_tools=chat_tools)


def _over_messages(target: Target, host: Host | None) -> Target:
    """The model as a server of Messages serves it; Anthropic's own rules hold for its own models anywhere."""
    if host is None:
        return target
    return replace(
        target,
        host=host,
        thinking=host.thinking or target.thinking,
        can_disable=target.can_disable and host.switch != "none",
        forced_tools=min(target.forced_tools, host.forced_tools, key=_TAKEN.index),
    )


def _host(base_url: str, profile: str, target: Target) -> Host:
    """The server; OpenAI's own models are taken to be served as OpenAI does where no server is known."""
    found = shipped_hosts().find(base_url, profile, target.model)
    if found.known or target.openai_members is not True:
        return found
    served = shipped_hosts().find("", "openai", target.model)
    return replace(served, name=found.name, known=False, vendor_rules=False)


def _thinks(family: Family) -> bool | None:
    """Whether a family reasons, as far as that is known."""
    if family.thinks is not None or family.thinking is None:
        return family.thinks
    return family.thinking != "none"


@lru_cache(maxsize=256)
def target_for(dialect: str, model: str, families: Families | None = None) -> Target:
    """What a model takes when it is asked in a dialect.

    :param model: the vendor's name of it. A thinking suffix is not part of it and is cut off; a path
        before it (``anthropic/``, ``publishers/google/models/``) is kept but not looked at.
    :param families: what is known of models; ``None``: the shipped table.
    """
    family = (families or shipped()).find(model)
    names = _OF_REQUESTS + _EVERYWHERE if family.holds_in(dialect) else _EVERYWHERE
    known: dict[str, Any] = {name: value for name in names if (value := getattr(family, name)) is not None}
    return replace(Target(without_suffix(model)), **known)
