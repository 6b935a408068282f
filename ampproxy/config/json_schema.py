"""The configuration as a JSON Schema (draft 2020-12), for editors: completion, documentation, wrong values.

It follows from the same rows as the reading does. It is a little more generous: what several settings forbid
together, and what a reader looks up, only ``ampproxy check`` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ampproxy.config.parsing import NOT_SUPPORTED, Reads, Section, Setting
from ampproxy.config.sections import ROOT
from ampproxy.model.alerts import KINDS
from ampproxy.model.roles import ROLES

Schema: TypeAlias = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL: Schema = {"type": "null"}
#: Text may be written as a number, too: a name, a key.
_TEXT: Schema = {"type": ["string", "number"]}
_VARIABLE: Schema = {"type": "string", "pattern": r"\$\{"}


def _whole(low: int, high: int | None = None) -> Schema:
    number: Schema = {"type": "integer", "minimum": low}
    if high is not None:
        number["maximum"] = high
    return {"anyOf": [number, _VARIABLE]}


def _list(item: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": item} | ({"minItems": least} if least else {})


def _mapping(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _words(*words: str) -> Schema:
    """One of several words, in any case."""
    pattern = "|".join(map(_any_case, words))
    return {"type": "string", "examples": list(words), "pattern": rf"^\s*({pattern})\s*$|\$\{{"}


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else letter for letter in word)


_FLAG: Schema = {
    "anyOf": [
        {"type": "boolean"},
        {
            "type": "string",
            "pattern": r"^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$|\$\{",
        },
    ]
}
_URL: Schema = {"type": "string", "pattern": r"^\s*(https?://\S+)?\s*$|\$\{"}
_PATTERNS = _list(_TEXT)
_ROLES: Schema = {"type": "string", "enum": list(ROLES)}

#: What each kind of reader takes, by the name that the documentation has for it.
_KINDS: dict[str, Schema] = {
    "text": _TEXT,
    "secret": _TEXT,
    "hash": {"type": "string"},
    "host": {"type": "string"},
    "path": {"type": "string"},
    "pattern": _TEXT,
    "day": {"type": "string"},
    "date or time": {"type": "string"},
    "an address with a port": {"type": "string", "pattern": r":\d+\s*$|\$\{"},
    "URL": _URL,
    "URL on this machine": _URL,
    "URL, or file:/path": {"type": "string", "pattern": r"^\s*(https?://\S+|file:.+)\s*$|\$\{"},
    "Redis URL, or file:/path": {
        "type": "string",
        "pattern": r"^\s*(rediss?(\+sentinel)?://\S+|unix://\S+|file:.+)\s*$|\$\{",
    },
    "URL of PostgreSQL, or file:/path": {
        "type": "string",
        "pattern": r"^\s*(postgres(ql)?://\S+|file:.+)\s*$|\$\{",
    },
    "URL, or direct": {"type": "string", "pattern": r"^\s*((https?|socks5h?)://\S+|direct|none)?\s*$|\$\{"},
    "true or false": _FLAG,
    "duration": {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": r"^\s*([0-9.]+(h|m|s|ms|us|µs|ns|d)?)+\s*$|\$\{"},
        ]
    },
    "size": {
        "anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": r"^\s*[0-9.]+\s*([KMGTkmgt]?[Ii]?[Bb]?)\s*$|\$\{"},
        ]
    },
    "size, or 0": {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^\s*[0-9.]+\s*([KMGTkmgt]?[Ii]?[Bb]?)\s*$|\$\{"},
        ]
    },
    "number": {"type": "number"},
    "US dollars": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]},
    "a port from 0 to 65535": _whole(0, 65535),
    "a whole number": _whole(-(10**9)),
    "a whole number up to 1000000": _whole(-(10**9), 10**6),
    # A smaller one counts as 0.
    "a whole number, 0 or more": _whole(-(10**9)),
    "a whole number, 1 or more": _whole(1),
    "a number from 1 to 64, or auto": {"anyOf": [_whole(1, 64), _words("auto")]},
    "two numbers of tokens": _list(_whole(1), 2),
    "a host profile": _TEXT,
    "a list of patterns": _PATTERNS,
    "a list of kinds of alerts": _list(_words(*KINDS), 1),
    "a program and its arguments": _list(_TEXT, 1),
    "a list of addresses or ids": _list(_TEXT, 1),
    "a list of routes": _PATTERNS,
    "a pattern, or a list of patterns": {"anyOf": [_TEXT, _list(_TEXT, 1)]},
    "a role, or a list of roles": {"anyOf": [_ROLES, _list(_ROLES, 1)]},
    "header names and values": _mapping(_TEXT | {"type": ["string", "number", "null"]}),
    "header names and patterns": _mapping(_TEXT),
    # Rules of `payload` hold values of any shape.
    "a list of paths": {"type": "array"},
    "a list of paths with values": {"type": ["array", "object"]},
    "paths with values": {"type": "object"},
    "paths with JSON": {"type": "object"},
    # Beside its item.
    "section, or false": _FLAG,
    "allow, never, or a list of rules": _words("allow", "never"),
    "a list of secrets or of entries": _TEXT,
}


class UnknownKind(KeyError):
    """No schema is known for what a reader takes."""


def schema(root: Section = ROOT, *, title: str = "ampproxy") -> Schema:
    """The schema of a configuration file.

    :param root: the table of all settings.
    :raises UnknownKind: a reader's type has no row here.
    """
    return {
        "$schema": _DIALECT,
        "title": f"Configuration of {title}",
        # CLIProxyAPI 8 has a layout of its own, which is read as well.
        "if": {"type": "object", "required": ["config-version"]},
        "then": {"type": "object"},
        "else": _section(root),
    }


def _section(section: Section) -> Schema:
    members = {row.name: _setting(row) for row in section.rows}
    for key, why in section.unsupported.items():
        members.setdefault(key, {"deprecated": True, "description": f"{NOT_SUPPORTED}: {why}"})
    required = [row.name for row in section.rows if row.required]
    made: Schema = {"type": "object", "properties": members, "additionalProperties": False}
    return made | ({"required": required} if required else {})


def _setting(row: Setting) -> Schema:
    """What a key takes; with nothing behind it, it counts as absent."""
    default = "" if row.required or row.default == "none" else f" Default: {row.default}."
    about = {"description": row.doc + default}
    taken = of(row.reader)
    if row.required or not row.hollow:
        return about | taken
    return about | {"anyOf": [*(taken["anyOf"] if set(taken) == {"anyOf"} else [taken]), _NULL]}


def of(reader: Reads) -> Schema:
    """The schema of what a reader takes.

    :raises UnknownKind: its type has no row here.
    """
    special = _SPECIAL.get(reader.type)
    if special is not None:
        return special(reader)
    item = getattr(reader, "item", None)
    if isinstance(reader, Section):
        return _section(reader)
    if item is not None:
        taken = _section(item) if isinstance(item, Section) else of(item)
        return _list({"anyOf": [_TEXT, taken]} if getattr(reader, "shorthand", False) else taken)
    if " or " in reader.type and reader.type not in _KINDS:
        return _words(*_spellings(reader))
    try:
        return _KINDS[reader.type]
    except KeyError:
        raise UnknownKind(reader.type) from None


def _spellings(reader: Reads) -> tuple[str, ...]:
    """The words that a choice takes: those that it means, then the others."""
    words: tuple[str, ...] = getattr(reader, "words", ())
    return words or tuple(reader.type.split(" or "))


def _beside(reader: Any) -> Schema:
    """A section, or one word in its place."""
    return {"anyOf": [_KINDS[reader.type], _section(reader)]}


def _instead(reader: Any) -> Schema:
    """A list, or one word in its place."""
    return {"anyOf": [_KINDS[reader.type], _list(_section(reader.item))]}


def _mixed(reader: Any) -> Schema:
    """A list of texts and of sections."""
    return _list({"anyOf": [_KINDS[reader.type], _section(reader.item), _NULL]})


_SPECIAL: dict[str, Callable[[Any], Schema]] = {
    "section, or false": _beside,
    "allow, never, or a list of rules": _instead,
    "a list of secrets or of entries": _mixed,
}
