"""What is known of a model, by its name.

The shipped table is ``families.yaml``, read in its compiled form. It is read from the top, and the first
family that fits a name wins; the last ones of each vendor have the widest patterns and describe its newest
family, so that a name nobody described is asked in the way that tomorrow's models understand.

What is known comes in layers, each of which replaces members of the one before it: the shipped table, or a
newer one in its place; newer facts about single models; what the vendors' own lists of models declare; what
refusals taught; and the user's configuration, in which a later entry replaces an earlier one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import msgspec

from ampproxy.catalog.names import Pattern, bare, exact
from ampproxy.model.base import Noted, Value
from ampproxy.model.request import Level

Medium: TypeAlias = Literal["text", "image", "audio", "video", "pdf"]
ThinkingForm: TypeAlias = Literal["none", "budget", "level", "both"]
#: Where a member is taken: always; only while the model does not think; never.
Taken: TypeAlias = Literal["always", "not-thinking", "never"]
#: OpenAI's calls that a model serves.
Endpoint: TypeAlias = Literal["responses", "chat", "completions", "other"]

MEDIA: tuple[Medium, ...] = get_args(Medium)
#: The table as it is read; ``families.yaml`` is what people write.
COMPILED = Path(__file__).with_name("families.json")


class Family(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab", forbid_unknown_fields=True
):
    """What is known of the models that its patterns fit. ``None`` and an empty text: not known.

    :param names: patterns, see :mod:`ampproxy.catalog.names`.
    :param source: where it is from.
    :param dialects: in which the members up to ``candidates`` hold; empty: in any.
    :param thinking: how it is asked to think: ``budget``, in tokens; ``level``, an effort; ``both``;
        ``none``: it does not think.
    :param budget: smallest and largest budget that is accepted, tokens.
    :param levels: the efforts that are accepted.
    :param thinks_unasked: whether it thinks where a request says nothing about it.
    :param can_disable: whether thinking can be switched off.
    :param between_tools: whether it takes Anthropic's ``between_tools``.
    :param forced_tools: whether a call can be demanded.
    :param chat_tools: whether OpenAI's own service takes functions for it over Chat Completions.
    :param prefill: whether a conversation may end in the assistant's turn, which the model continues.
    :param sampling: whether temperature, top_p and their like are accepted.
    :param penalties: whether presence and frequency penalties are accepted.
    :param candidates: the most answers that one request may ask for.
    :param max_output: the largest number of tokens that it generates, thinking included.
    :param context: tokens that it takes, question and answer together.
    :param tools: whether it calls tools; ``thinks``: whether it reasons before it answers.
    :param input: what it takes; likewise ``output``, what it gives.
    :param endpoints: the calls that serve it, where not all of its vendor's do.
    :param openai_members: whether it is one of OpenAI's own, which take members that other servers refuse.
    :param searches: whether it is a model of OpenAI's for searching the web.
    :param wants_reasoning: whether its own thinking must be given back to it in the history.
    :param title: its name for people.
    :param released: the day on which it came out.
    :param deprecated: whether its vendor has announced its end; ``retires``: the day on which it is gone.
    :param retired: whether its vendor declares that it is gone, whatever day was announced.
    :param successor: the model that its vendor names instead.
    """

    names: tuple[str, ...]
    source: str = ""
    vendor: str = ""
    dialects: tuple[str, ...] | None = None
    thinking: ThinkingForm | None = None
    budget: tuple[int, int] | None = None
    levels: tuple[Level, ...] | None = None
    thinks_unasked: bool | None = None
    can_disable: bool | None = None
    between_tools: bool | None = None
    forced_tools: Taken | None = None
    chat_tools: Taken | None = None
    prefill: bool | None = None
    sampling: bool | None = None
    penalties: bool | None = None
    candidates: int | None = None
    max_output: int | None = None
    context: int | None = None
    tools: bool | None = None
    thinks: bool | None = None
    input: tuple[Medium, ...] | None = None
    output: tuple[Medium, ...] | None = None
    endpoints: tuple[Endpoint, ...] | None = None
    openai_members: bool | None = None
    searches: bool | None = None
    wants_reasoning: bool | None = None
    title: str = ""
    released: datetime.date | None = None
    deprecated: bool | None = None
    retires: datetime.date | None = None
    retired: bool | None = None
    successor: str = ""

    def holds_in(self, dialect: str) -> bool:
        """Whether what it says of requests holds in a dialect."""
        return not self.dialects or dialect in self.dialects

    def gone(self, today: datetime.date) -> bool:
        """Whether its vendor serves it no more, as far as is known."""
        if self.retired is not None:
            return self.retired
        return self.retires is not None and self.retires <= today


class Vendor(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A vendor and its names.

    :param names: wildcard patterns of its models, as lists and messages show them.
    :param login_models: what its logins are known to serve, for lists, until it has told.
    """

    name: str
    names: tuple[str, ...] = ()
    login_models: tuple[str, ...] = ()


class Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The whole file.

    :param as_of: the day on which it was checked.
    """

    as_of: datetime.date
    vendors: tuple[Vendor, ...]
    families: tuple[Family, ...]


class Override(Noted, frozen=True, eq=False):
    """What is known of models besides the table.

    :param origin: from where: ``config.yaml:12``. It is no difference between two configurations.
    """

    notes: ClassVar[frozenset[str]] = frozenset(("origin",))

    family: Family
    origin: str


#: What is known of single models, by :func:`~ampproxy.catalog.names.exact` of their vendors' names.
Layer: TypeAlias = Mapping[str, Override]
EMPTY: Layer = MappingProxyType({})


#: The members of a family that say something of its models, in the order of the table.
MEMBERS: tuple[str, ...] = tuple(name for name in Family.__struct_fields__ if name not in ("names", "source"))


def stated(family: Family) -> Iterator[tuple[str, Any]]:
    """The members that a family says something in, with their values."""
    for name in MEMBERS:
        value = getattr(family, name)
        if value is not None and value != "":
            yield name, value


#: What is known of a name that nothing fits.
NOTHING = Family(names=())


class Families:
    """What is known of models: a table and the layers above it. Immutable.

    :param overrides: the configuration's, in its order: of two that fit the later one counts.
    :param layers: of single models, each above the one before it.
    :param origin: what the table is called where a value's origin is shown.
    """

    def __init__(
        self,
        table: Table,
        overrides: tuple[Override, ...] = (),
        layers: tuple[Layer, ...] = (),
        origin: str = "ampproxy",
    ) -> None:
        self.table = table
        self._origin = origin
        self._rows = _prepared(table.families)
        self._all_overrides = overrides
        self._overrides = tuple(
            (tuple(map(Pattern, override.family.names)), override) for override in overrides
        )
        self._layers = tuple(layer for layer in layers if layer)
        #: What is known of a model, by its name in any spelling.
        self.find = lru_cache(maxsize=512)(self._find)

    def above(self, newer: Newer | None = None, *, listed: Layer = EMPTY, learned: Layer = EMPTY) -> Families:
        """The same with these layers between the table and the configuration; itself if there are none.

        :param newer: a newer table, facts about single models, or both.
        :param listed: what the vendors' own lists declare.
        :param learned: what refusals taught.
        """
        table, origin, facts = self.table, self._origin, EMPTY
        if newer is not None:
            facts = newer.facts
            if newer.table is not None:
                table, origin = newer.table, newer.origin
        layers = (*self._layers, facts, listed, learned)
        if table is self.table and not any(layers):
            return self
        return Families(table, self._all_overrides, layers, origin)

    def gone(self, day: datetime.date) -> Callable[[str], bool]:
        """Tells whether a model, by its vendor's name, is no longer there on a day."""
        return lambda model: self.find(model).gone(day)

    def described(self, model: str) -> Iterator[tuple[str, Any, str]]:
        """Each member that is known of a model: its name, its value, and where that is from."""
        family = self._shipped(bare(model))
        origin = f"{self._origin}, {self.table.as_of}{f', {family.source}' if family.source else ''}"
        found = {name: (value, origin) for name, value in stated(family)}
        for override in self._above(model):
            found |= {name: (value, override.origin) for name, value in stated(override.family)}
        for name in MEMBERS:
            if name in found:
                yield name, *found[name]

    def _find(self, model: str) -> Family:
        family = self._shipped(bare(model))
        for override in self._above(model):
            family = msgspec.structs.replace(family, **dict(stated(override.family)))
        return family

    def _above(self, model: str) -> Iterator[Override]:
        """What is known of a model above the table, in order."""
        name = exact(model)
        for layer in self._layers:
            if name in layer:
                yield layer[name]
        yield from self._overriding(bare(model))

    def _shipped(self, name: str) -> Family:
        for patterns, family in self._rows.get(name[:1], self._rows[""]):
            if any(pattern.fits(name) for pattern in patterns):
                return family
        return NOTHING

    def _overriding(self, name: str) -> Iterator[Override]:
        for patterns, override in self._overrides:
            if any(pattern.fits(name) for pattern in patterns):
                yield override


class Newer(Value, frozen=True):
    """What was read after the release: a table in place of the shipped one, facts about single models.

    :param origin: from where, for people.
    """

    table: Table | None
    facts: Layer
    origin: str


#: The rows that a name may be of, by its first letter; empty: those whose pattern begins with a ``*``.
_Rows: TypeAlias = Mapping[str, tuple[tuple[tuple[Pattern, ...], Family], ...]]


@lru_cache(maxsize=4)
def _prepared(families: tuple[Family, ...]) -> _Rows:
    rows = [(tuple(map(Pattern, family.names)), family) for family in families]
    letters = {pattern.letter for patterns, _ in rows for pattern in patterns} | {""}
    return {letter: tuple(_beginning(rows, letter)) for letter in letters}


def _beginning(
    rows: Iterable[tuple[tuple[Pattern, ...], Family]], letter: str
) -> Iterator[tuple[tuple[Pattern, ...], Family]]:
    for patterns, family in rows:
        kept = tuple(pattern for pattern in patterns if pattern.letter in ("", letter))
        if kept:
            yield kept, family


@lru_cache(maxsize=1)
def shipped() -> Families:
    """The shipped table, read once."""
    return Families(msgspec.json.decode(COMPILED.read_bytes(), type=Table))


@lru_cache(maxsize=8)
def known(overrides: tuple[Override, ...]) -> Families:
    """The shipped table with a configuration's own entries before it, made once for each configuration."""
    return Families(shipped().table, overrides) if overrides else shipped()


@lru_cache(maxsize=1)
def vendors() -> Mapping[str, Vendor]:
    """The vendors of the shipped table, by name."""
    return {vendor.name: vendor for vendor in shipped().table.vendors}
