"""What a request to a model may hold: the catalogue's family of it, as the renderers' :class:`Target`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from ampproxy.adapt.target import Target
from ampproxy.catalog.families import Families, Family, Taken, shipped
from ampproxy.catalog.hosts import Host, shipped_hosts
from ampproxy.catalog.names import without_suffix

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
