"""What models can do, as the catalogue knows it, and what each of Amp's roles needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ampproxy.catalog.families import NOTHING, Families, Family, shipped

Verdict = Literal["lacks", "short", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Can:
    """What a model can do; ``None``: nobody here knows.

    :param tools: whether it calls tools.
    :param sees: whether it takes images.
    :param thinks: whether it reasons before it answers, where asked to.
    :param draws: whether it makes images.
    :param context: tokens that it takes, question and answer together, as its vendor serves it.
    """

    tools: bool | None = None
    sees: bool | None = None
    thinks: bool | None = None
    draws: bool | None = False
    context: int | None = None


_UNKNOWN = Can(draws=None)
_200K, _128K = 200_000, 128_000


def abilities(model: str, families: Families | None = None) -> Can:
    """What a model can do, by its vendor's name.

    :param families: what is known of models; ``None``: the shipped table.
    """
    family = (families or shipped()).find(model)
    return _UNKNOWN if family == NOTHING else _abilities(family)


def _abilities(family: Family) -> Can:
    thinks = family.thinks
    if thinks is None and family.thinking is not None:
        thinks = family.thinking != "none"
    return Can(
        tools=family.tools,
        sees=None if family.input is None else "image" in family.input,
        thinks=thinks,
        draws="image" in (family.output or ()),
        context=family.context,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a role asks of its model.

    :param must_see: whether images are what it is for; ``sees``: whether they may come along.
    :param context: tokens.
    """

    tools: bool = False
    sees: bool = False
    must_see: bool = False
    thinks: bool = False
    draws: bool = False
    context: int = 32_000


#: A main conversation begins with some 15,000 tokens of tools and instructions, and goes on for hours.
_CONVERSATION = Needs(tools=True, sees=True, thinks=True, context=_200K)
_SUBAGENT = Needs(tools=True, context=_128K)

#: By the roles of :data:`ampproxy.model.roles.ROLES`.
NEEDS: Mapping[str, Needs] = {
    "smart": _CONVERSATION,
    "rush": _CONVERSATION,
    "free": _CONVERSATION,
    "large": Needs(tools=True, sees=True, thinks=True, context=400_000),
    "deep": _CONVERSATION,
    "main": _CONVERSATION,
    "oracle": Needs(tools=True, thinks=True, context=_128K),
    "finder": _SUBAGENT,
    "librarian": _SUBAGENT,
    "task": Needs(tools=True, sees=True, thinks=True, context=_128K),
    "title": Needs(tools=True, context=4_000),
    "handoff": Needs(tools=True, context=_200K),
    "review": Needs(tools=True, thinks=True, context=_128K),
    "painter": Needs(draws=True, sees=True, context=8_000),
    "look_at": Needs(must_see=True),
    "read_thread": Needs(context=_200K),
    "analyze": Needs(context=_200K),
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a role needs and a model may not have.

    :param what: for people: ``tools``, ``a context of 200,000 tokens``.
    :param grave: whether the role cannot do its work without it.
    """

    what: str
    verdict: Verdict
    grave: bool = False


def gaps(role: str, model: str, families: Families | None = None) -> list[Gap]:
    """What a role needs and a model lacks, or may lack."""
    return list(_gaps(NEEDS.get(role, Needs()), abilities(model, families)))


def _gaps(needs: Needs, can: Can) -> Iterator[Gap]:
    rows = (
        ("tools", needs.tools, can.tools, True),
        ("images", needs.sees or needs.must_see, can.sees, needs.must_see),
        ("thinking", needs.thinks, can.thinks, False),
        ("drawing", needs.draws, can.draws, True),
    )
    for what, needed, has, grave in rows:
        if needed and has is not True:
            yield Gap(what, "unknown" if has is None else "lacks", grave and has is False)
    if can.context is None:
        yield Gap(f"a context of {needs.context:,} tokens", "unknown")
    elif can.context < needs.context:
        # Half of it serves for a good while; less ends most threads.
        short = f"a context of {needs.context:,} tokens (it has {can.context:,})"
        yield Gap(short, "short", can.context * 2 < needs.context)
