"""What a model takes at a server: the profile that the passes of this room go by."""

from __future__ import annotations

from ampproxy.catalog.families import Taken, shipped
from ampproxy.catalog.hosts import Host
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
