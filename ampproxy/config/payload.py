"""``payload``: rules over the bodies that go to vendors, in CLIProxyAPI's words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from ampproxy.config import fields
from ampproxy.config.document import KINDS, Entry, Node, Scalar, Sequence, YamlMapping
from ampproxy.config.parsing import (
    Absent,
    InvalidValue,
    ListOf,
    Location,
    ParsedSection,
    Reader,
    Section,
    Setting,
)
from ampproxy.model.payload import Payload, PayloadModel, PayloadRule

if TYPE_CHECKING:
    from ampproxy.wire.jsonpath import Path

#: A path and the JSON that belongs to it.
Param: TypeAlias = "tuple[Path, bytes]"

_PROTOCOLS = ("openai", "codex", "claude", "gemini")
_SOURCES = ("openai", "responses", "claude", "gemini")
#: Other words of CLIProxyAPI's for the same.
_ALSO = {
    "openai-response": "responses",
    "openai-responses": "responses",
    "response": "responses",
    "gemini-cli": "gemini",
}
#: What the gateway itself decides of a request.
_OWN = ("model", "stream")
_encode = msgspec.json.Encoder().encode


def _path(text: str) -> Path:
    # Not at the top: few configurations have rules.
    from ampproxy.wire.jsonpath import parse_path

    try:
        return parse_path(text)
    except ValueError as error:
        raise InvalidValue(f"is not a path into a body: it {error}") from None


def _json(place: Location, node: Node) -> Any:
    """A value of the file as JSON has it."""
    if isinstance(node, YamlMapping):
        return {entry.key: _json(place.child(entry), entry.node) for entry in node}
    if isinstance(node, Sequence):
        return [_json(Location(item, place.key, item.line, place.reading), item) for item in node.items]
    if node.type in ("int", "float", "bool") and node.plain:
        return _plain(node)
    return None if node.type == "null" and node.plain else _expanded(place, node)


def _expanded(place: Location, node: Scalar) -> str | None:
    """Text with variables filled in; nothing where one is not here and the reading is lenient."""
    try:
        return place.expanded(node)
    except Absent as absent:
        place.unseen(absent)
        return None


def _plain(node: Scalar) -> Any:
    text = node.text.replace("_", "").lower()
    if node.type == "bool":
        return text in ("true", "yes", "on")
    try:
        value = int(text, 0) if node.type == "int" else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidValue(f"is a number that JSON cannot express: {node.text}")
    return value


def _spelled(place: Location) -> bytes:
    return _encode(_json(place, place.node))


def _raw(place: Location) -> bytes:
    """JSON that is written as text; what is not text is itself."""
    if not (isinstance(place.node, Scalar) and place.node.type == "str"):
        return _spelled(place)
    text = _expanded(place, place.node)
    if text is None:
        return b"null"
    try:
        return bytes(msgspec.json.decode(text, type=msgspec.Raw))
    except msgspec.DecodeError:
        raise InvalidValue("is not valid JSON") from None


def _entries(place: Location) -> tuple[Entry, ...]:
    if not isinstance(place.node, YamlMapping):
        raise InvalidValue(f"expected paths and values, found {KINDS[type(place.node)]}")
    return place.node.entries


def _params(value: Callable[[Location], bytes]) -> Callable[[Location], tuple[Param, ...]]:
    """Reads paths with values. One that cannot be used is left out with a warning, as CLIProxyAPI does
    without.
    """

    def read(place: Location) -> tuple[Param, ...]:
        kept = []
        for entry in _entries(place):
            at = place.child(entry)
            try:
                kept.append((_own_path(entry.key), value(at)))
            except InvalidValue as wrong:
                at.warn(f"{wrong}; it is left out")
        return tuple(kept)

    return read


def _own_path(text: str) -> Path:
    if text.strip() in _OWN:
        raise InvalidValue("is decided by the gateway itself")
    return _path(text)


def _taken(place: Location) -> tuple[Param, ...]:
    kept = []
    for item in place.items("a list of paths"):
        try:
            kept.append((_own_path(item.text("a path")), b""))
        except InvalidValue as wrong:
            item.warn(f"{wrong}; it is left out")
    return tuple(kept)


def _condition(read: Callable[[Location], Any]) -> Callable[[Location], Any]:
    """Reads a condition; one that cannot be judged is never met, as in CLIProxyAPI, and warned of."""

    def judged(place: Location) -> Any:
        try:
            return read(place)
        except InvalidValue as wrong:
            place.warn(f"{wrong}; this part of the rule has no effect")
            return None

    return judged


def _model(found: ParsedSection) -> PayloadModel:
    if any(value is None for value in found.values.values()):
        return PayloadModel(name="")
    return PayloadModel(**found.values)


def _paths(place: Location) -> tuple[Path, ...]:
    return tuple(_path(item.text("a path")) for item in place.items("a list of paths"))


def _pairs(place: Location) -> tuple[Param, ...]:
    """A list of mappings from paths to values."""
    return tuple(
        (_path(entry.key), _spelled(item.child(entry)))
        for item in place.items("a list of paths with values")
        for entry in _entries(item)
    )


def _patterns(place: Location) -> tuple[tuple[str, str], ...]:
    if not isinstance(place.node, YamlMapping):
        raise InvalidValue(f"expected header names and patterns, found {KINDS[type(place.node)]}")
    return tuple(
        (entry.key.strip().lower(), place.child(entry).text("a pattern").lower()) for entry in place.node
    )


def _protocol(known: tuple[str, ...]) -> Callable[[Location], str]:
    def read(place: Location) -> str:
        text = place.text().lower()
        word = _ALSO.get(text, text)
        if word and word not in known:
            place.warn(f"is not one of {', '.join(known)}, so this part of the rule has no effect")
        return word

    return read


_VALUES_AT = Reader("a list of paths with values", _condition(_pairs))
_PATHS = Reader("a list of paths", _condition(_paths))
_MODEL = Section(
    _model,
    (
        Setting(
            "name",
            Reader("pattern", lambda place: fields.NAME(place).lower()),
            "The model, by its vendor's or the client's name; `*` stands for anything.",
            required=True,
        ),
        Setting(
            "protocol",
            Reader("text", _protocol(_PROTOCOLS)),
            "The dialect sent to the vendor: `openai`, `codex` (Responses), `claude` or `gemini`.",
            "all",
        ),
        Setting(
            "from-protocol",
            Reader("text", _protocol(_SOURCES)),
            "The dialect of the client: `openai`, `responses`, `claude` or `gemini`.",
            "all",
            field="source",
        ),
        Setting(
            "headers",
            Reader("header names and patterns", _patterns),
            "Headers that the client must send; `*` stands for anything.",
        ),
        Setting("match", _VALUES_AT, "Values that the body must have."),
        Setting("not-match", _VALUES_AT, "Values that the body must not have.", field="differ"),
        Setting("exist", _PATHS, "Places that must have a value other than null."),
        Setting("not-exist", _PATHS, "Places that must have no value, or null.", field="missing"),
    ),
)
_MODELS = Setting(
    "models", ListOf(_MODEL, "a list of models"), "The requests to which the rule applies: any of these."
)


def _rules(kind: Literal["default", "override", "filter"], params: Reader) -> ListOf:
    def build(found: ParsedSection) -> PayloadRule:
        if not found.values.get("models") and not found.broken("models"):
            found.place.warn("names no models, so it has no effect")
        return PayloadRule(
            kind=kind, models=found.values.get("models", ()), params=found.values.get("params", ())
        )

    section = Section(
        build,
        (
            _MODELS,
            Setting("params", params, "The places in the body, and for all but `filter` their values."),
        ),
    )
    return ListOf(section, "a list of rules")


_VALUES = Reader("paths with values", _params(_spelled))
_RAW_VALUES = Reader("paths with JSON", _params(_raw))


PAYLOAD = Section(
    lambda found: Payload(**found.values),
    (
        Setting("default", _rules("default", _VALUES), "Values to set where the body has none."),
        Setting(
            "default-raw", _rules("default", _RAW_VALUES), "The same, with values written as JSON texts."
        ),
        Setting("override", _rules("override", _VALUES), "Values to set in any case."),
        Setting(
            "override-raw", _rules("override", _RAW_VALUES), "The same, with values written as JSON texts."
        ),
        Setting("filter", _rules("filter", Reader("a list of paths", _taken)), "Members to remove."),
    ),
)
