"""What is known of servers that speak another vendor's dialect, by their address: the host profiles.

The shipped table is ``hosts.yaml``, read in its compiled form. A profile is chosen by the account's
``profile``, else by its address, else it is ``default``, which is cautious: it asks for nothing that a server
may refuse. A profile's rows for single models go before what it says of all of them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import msgspec

from ampproxy.catalog.families import Taken, ThinkingForm
from ampproxy.catalog.names import Pattern, bare

#: What may be asked of the choice among tools.
Mode: TypeAlias = Literal["auto", "none", "required", "named"]
#: A value of ``reasoning_effort``. ``default`` stands for every level.
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "default"]
#: A role whose content is one text.
Plain: TypeAlias = Literal["system", "user", "assistant", "tool"]

#: The table as it is read; ``hosts.yaml`` is what people write.
COMPILED_HOSTS = Path(__file__).with_name("hosts.json")
#: The profile of an address that no other has.
DEFAULT = "default"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What a server takes for one model. Without any argument: all of the dialect.

    :param name: of its profile.
    :param known: whether the server, or the model at any server, was described. What is only cautious is no
        matter for a client that speaks the server's dialect itself.
    :param members: the members of a request that it takes; ``None``: those that it does not refuse.
    :param refuses: the members of a request that it refuses.
    :param renames: members that have another name there.
    :param output_limit: the name of the limit of an answer; ``by-model``: OpenAI's own have the new one.
    :param developer: whether it knows the role ``developer``.
    :param system: where a message of the system may stand: ``anywhere``, or ``first`` and nowhere else.
    :param call_ids: the form of a call's id: ``any``, or ``nine`` letters and digits.
    :param after_results: who may go on after results of tools: ``any``, or the ``assistant`` alone.
    :param thought: the member of an assistant's message that takes its thinking back; ``none``: there is
        none; ``by-model``: the usual one, for models that want it.
    :param thought_state: members of an assistant's message that it gives beside thinking and wants back.
    :param needs_thought: whether an assistant's message with calls must have that member.
    :param efforts: the values of ``reasoning_effort``; empty: it takes none at all; ``None``: the model's.
    :param switch: what turns thinking on and off: ``effort``, the value ``none``; ``thinking``, Anthropic's
        member; ``enable_thinking``, a flag; ``none``: nothing does.
    :param switch_on: what that member of Anthropic's says where the model is to think.
    :param asks_unknown: whether an effort may be asked of a model of which it is not known that it thinks.
    :param choices: what may be asked of the choice among tools.
    :param forced_tools: whether a call may be demanded: always, of a model that does not think, or never.
    :param strict_tools: whether a tool may ask for its schema to be enforced.
    :param plain: roles whose content must be one text.
    :param call_proofs: whether it wants Gemini's proofs back beside the calls.
    :param vendor_rules: whether it is the models' own vendor, whose rules beside the dialect hold
        (:attr:`~ampproxy.catalog.families.Family.chat_tools`).
    :param thinking: how a model is asked to think over Messages; ``None``: as its family says.
    :param responses: whether it has Responses beside Chat Completions, for models that need it.
    """

    name: str = DEFAULT
    known: bool = False
    members: tuple[str, ...] | None = None
    refuses: tuple[str, ...] = ()
    renames: dict[str, str] = {}
    output_limit: Literal["by-model", "max_tokens", "max_completion_tokens"] = "by-model"
    developer: bool = True
    system: Literal["anywhere", "first"] = "anywhere"
    call_ids: Literal["any", "nine"] = "any"
    after_results: Literal["any", "assistant"] = "any"
    thought: Literal["by-model", "reasoning_content", "reasoning", "none"] = "by-model"
    thought_state: tuple[str, ...] = ()
    needs_thought: bool = False
    efforts: tuple[Effort, ...] | None = None
    switch: Literal["effort", "thinking", "enable_thinking", "none"] = "effort"
    switch_on: Literal["enabled", "adaptive"] = "enabled"
    asks_unknown: bool = True
    choices: tuple[Mode, ...] = get_args(Mode)
    forced_tools: Taken = "always"
    strict_tools: bool = True
    plain: tuple[Plain, ...] = ()
    call_proofs: bool = False
    vendor_rules: bool = False
    responses: bool = False
    thinking: ThinkingForm | None = None

    def takes(self, member: str) -> bool:
        """Whether a request may have a member."""
        return member not in self.refuses and (self.members is None or member in self.members)

    def __hash__(self) -> int:
        return hash((self.name, self.known))


#: The members of a host that a profile and its rows may set.
_SET = tuple(name for name in Host.__struct_fields__ if name not in ("name", "known"))


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """What a server takes for the models that the patterns of ``names`` fit
    (:mod:`ampproxy.catalog.names`); the other members are those of :class:`Host`.
    """

    names: tuple[str, ...]
    ways: dict[str, Any] = {}


class Messages(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """What a server takes over Messages, if it has that dialect, too; as a :class:`Profile`."""

    source: str = ""
    ways: dict[str, Any] = {}
    models: tuple[Row, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """A server, or a kind of them.

    :param source: where what is said here is from.
    :param addresses: its addresses: a host's name and, where they matter, a port and the beginning of the
        path; ``*`` stands for any text without a slash.
    :param ways: what it takes: members of :class:`Host`.
    :param models: rows for single models; each that fits counts, a later one before an earlier one.
    :param messages: likewise over Messages; ``None``: it has no such dialect.
    """

    name: str
    source: str = ""
    addresses: tuple[str, ...] = ()
    ways: dict[str, Any] = {}
    models: tuple[Row, ...] = ()
    messages: Messages | None = None


class HostTable(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The whole file.

    :param as_of: the day on which it was checked.
    :param dialects: those that the profiles are about.
    :param messages_dialects: those that their ``messages`` are about.
    """

    as_of: datetime.date
    dialects: tuple[str, ...] = ()
    messages_dialects: tuple[str, ...] = ()
    profiles: tuple[Profile, ...]


class Hosts:
    """Profiles by name and by address. Immutable.

    :raises ValueError: something in the table is wrong; says what.
    """

    def __init__(self, table: HostTable) -> None:
        self.table = table
        self.profiles: Mapping[str, Profile] = {profile.name: profile for profile in table.profiles}
        if DEFAULT not in self.profiles:
            raise ValueError(f"there is no profile {DEFAULT}")
        self._table = table
        self._rows = {name: tuple(_rows(profile, name)) for name, profile in self.profiles.items()}
        #: The profiles of the servers that speak Messages, too.
        self.of_messages = {name: found.messages for name, found in self.profiles.items() if found.messages}
        self._message_rows = {name: tuple(_rows(found, name)) for name, found in self.of_messages.items()}
        for name, profile in self.profiles.items():
            _host(profile.ways, name, known=True)
        for name, found in self.of_messages.items():
            _host(found.ways, name, known=True)
        #: What a server takes for a model, by its address, the name of a profile (empty: by the address), and
        #: the model's name.
        self.find = lru_cache(maxsize=512)(self._find)
        #: Likewise over Messages; ``None``: nothing is known of that server.
        self.find_messages = lru_cache(maxsize=512)(self._find_messages)

    @cached_property
    def _addresses(self) -> tuple[tuple[re.Pattern[str], Profile], ...]:
        """Where each profile's servers are. Not needed before a server is asked."""
        return tuple(
            (_address(pattern), profile) for profile in self._table.profiles for pattern in profile.addresses
        )

    def profile(self, base_url: str, name: str = "") -> Profile:
        """The profile of an account.

        :param name: the one that the configuration names; empty, or unknown: the address's.
        """
        if name in self.profiles:
            return self.profiles[name]
        found = (profile for pattern, profile in self._addresses if pattern.match(_place(base_url)))
        return next(found, self.profiles[DEFAULT])

    def _find(self, base_url: str, name: str, model: str) -> Host:
        profile = self.profile(base_url, name)
        host = _host(profile.ways, profile.name, known=profile.name != DEFAULT)
        return _for_model(host, self._rows[profile.name], model)

    def _find_messages(self, base_url: str, name: str, model: str) -> Host | None:
        profile = self.profile(base_url, name)
        if profile.messages is None:
            return None
        host = _host(profile.messages.ways, profile.name, known=True)
        return _for_model(host, self._message_rows[profile.name], model)


#: The rows of a profile: patterns of models' names, and what holds for those.
_HostRows: TypeAlias = tuple[tuple[tuple[Pattern, ...], dict[str, Any]], ...]


def _for_model(host: Host, rows: _HostRows, model: str) -> Host:
    called = bare(model)
    for patterns, ways in rows:
        if any(pattern.fits(called) for pattern in patterns):
            host = msgspec.structs.replace(host, known=True, **ways)
    return host


def _host(ways: Mapping[str, Any], name: str, *, known: bool) -> Host:
    return Host(name=name, known=known, **_ways(ways, name))


def _rows(profile: Profile | Messages, name: str) -> Iterator[tuple[tuple[Pattern, ...], dict[str, Any]]]:
    for row in profile.models:
        yield tuple(map(Pattern, row.names)), _ways(row.ways, f"{name}, {' '.join(row.names)}")


def _ways(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Members of a host as they are typed.

    :raises ValueError: one is unknown, or has a value that there is not.
    """
    named = {name.replace("-", "_"): value for name, value in found.items()}
    if unknown := sorted(named.keys() - set(_SET)):
        raise ValueError(f"{where}: unknown member {unknown[0].replace('_', '-')}")
    try:
        host = msgspec.convert(named, Host)
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}: {error}") from None
    return {name: getattr(host, name) for name in named}


def _place(base_url: str) -> str:
    """The host, port and path of an address, as they are compared."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    # The colons of IPv6 are no mark of a port.
    return f"{host.replace(':', '.')}:{port or ''}{parts.path.rstrip('/')}/".lower()


def _address(pattern: str) -> re.Pattern[str]:
    host, slash, path = pattern.lower().partition("/")
    name, colon, port = host.partition(":")
    wild = [re.escape(text).replace(r"\*", "[^/:]*") for text in (name, port, path)]
    return re.compile(f"{wild[0]}:{wild[1] if colon else '[0-9]*'}/{wild[2] + '/' if slash else ''}")


@lru_cache(maxsize=1)
def shipped_hosts() -> Hosts:
    """The shipped table, read once."""
    return Hosts(msgspec.json.decode(COMPILED_HOSTS.read_bytes(), type=HostTable))
