"""Changing the configuration file's text: one client key in or out, every other byte as it is.

The file is its user's own, with comments and an order. The key goes to the place that the file has for such
keys: ``access.api-keys`` in the layout of CLIProxyAPI 8, else ``api-keys``. What is changed is compared, as
YAML reads it, with what was meant; if it is anything else, nothing is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from ampproxy.config.layout import PLACES

_KEYS = "api-keys"
_SECTION = "access"
#: Sections that only CLIProxyAPI 8's layout has.
_OF_EIGHT = {"config-version", *(new.partition(".")[0] for new in PLACES)} - {"routing", "oauth"}
_BREAK = re.compile(r"\r\n|\n|\r")
_BLANK_REST = re.compile(r"[ \t]*(?:\r\n|\n|\r|\Z)")


class CannotEdit(ValueError):
    """The text cannot be changed that way. The message says why, and shows nothing of the text."""


def add_client_key(text: str, key: str) -> str:
    """The text with one more key, the first of the client keys.

    :param text: a configuration that can be loaded.
    :raises CannotEdit: it is written in a way in which nothing can be added safely.
    """
    before = load(text)
    path = place_of_keys(before)
    keys = at(before, path)
    if keys is None:
        keys = []
    if not isinstance(keys, list):
        raise CannotEdit(f"{'.'.join(path)} is not a list")
    wanted = with_keys(before, path, [key, *keys])
    for changed in additions(text, path, json.dumps(key)):
        if means(changed, wanted, path):
            return changed
    raise CannotEdit(f"no place for it was found: write {'.'.join(path)} as a list with a line for each key")


def remove_client_key(text: str, key: str) -> str:
    """The text without one of the client keys; as it is, if it is not there.

    :raises CannotEdit: it is written in a way in which it cannot be taken out safely.
    """
    before = load(text)
    path = place_of_keys(before)
    keys = at(before, path)
    if not isinstance(keys, list) or key not in keys:
        return text
    wanted = with_keys(before, path, [other for other in keys if other != key])
    changed = _removed(text, path, key)
    if not means(changed, wanted, path):
        raise CannotEdit(f"it cannot be taken out of {'.'.join(path)} without changing more than that")
    return changed


def client_keys(text: str) -> tuple[str, ...]:
    """The client keys that stand there as text.

    :raises CannotEdit: it is not YAML, or no mapping.
    """
    found = load(text)
    keys = at(found, place_of_keys(found))
    return tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()


def keys_place(text: str) -> str:
    """Where the file has its client keys, or would have them: ``api-keys`` or ``access.api-keys``.

    :raises CannotEdit: it is not YAML, or no mapping.
    """
    return ".".join(place_of_keys(load(text)))


def place_of_keys(found: dict[str, Any]) -> tuple[str, ...]:
    """The path of the client keys in a file's settings, or of where they would be."""
    section = found.get(_SECTION)
    if isinstance(section, dict) and _KEYS in section:
        return _SECTION, _KEYS
    if isinstance(found.get(_KEYS), list):
        return (_KEYS,)
    groups = isinstance(found.get(_KEYS), dict)
    return (_SECTION, _KEYS) if groups or not _OF_EIGHT.isdisjoint(found) else (_KEYS,)


def at(found: dict[str, Any], path: tuple[str, ...]) -> Any:
    """What stands at a path; ``None``: nothing.

    :raises CannotEdit: its section is none.
    """
    if len(path) == 1:
        return found.get(path[0])
    section = found.get(path[0])
    if section is not None and not isinstance(section, dict):
        raise CannotEdit(f"{path[0]} is not a section")
    return (section or {}).get(path[1])


def with_keys(found: dict[str, Any], path: tuple[str, ...], keys: list[Any]) -> dict[str, Any]:
    """The same settings with other client keys at a path."""
    if len(path) == 1:
        return {**found, path[0]: keys}
    return {**found, path[0]: {**(found.get(path[0]) or {}), path[1]: keys}}


def additions(text: str, path: tuple[str, ...], item: str) -> Iterator[str]:
    """The text with the item in each of the places where it may belong, best first."""
    root = root_of(text)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return
    value = child(root, path[0])
    if value is not None and len(path) == 2:
        yield from _into_section(text, value, path[1], item)
        return
    if value is not None:
        yield from _into(text, value, item)
        return
    end = line_end(text)
    first = root.start_mark.index
    indent = " " * root.start_mark.column
    section = "".join(f"{indent}{'  ' * depth}{name}:{end}" for depth, name in enumerate(path))
    section += f"{indent}{'  ' * len(path)}- {item}{end}"
    yield text + ("" if text.endswith(("\n", "\r")) else end) + section
    # Where something ends the document, such as "...".
    line = first - len(indent)
    yield text[:line] + section + text[line:]


def _into_section(text: str, section: yaml.Node, name: str, item: str) -> Iterator[str]:
    start = section.start_mark.index
    if isinstance(section, yaml.ScalarNode):
        yield _instead(text, section, f"{{{name}: [{item}]}}")
        return
    if not isinstance(section, yaml.MappingNode):
        return
    keys = child(section, name)
    if keys is not None:
        yield from _into(text, keys, item)
    elif section.flow_style:
        more = ", " if section.value else ""
        yield f"{text[: start + 1]}{name}: [{item}]{more}{text[start + 1 :]}"
    else:
        end, indent = line_end(text), " " * section.start_mark.column
        yield f"{text[:start]}{name}:{end}{indent}  - {item}{end}{indent}{text[start:]}"


def _into(text: str, value: yaml.Node, item: str) -> Iterator[str]:
    start = value.start_mark.index
    if isinstance(value, yaml.SequenceNode) and value.flow_style:
        yield text[: start + 1] + item + (", " if value.value else "") + text[start + 1 :]
    elif isinstance(value, yaml.SequenceNode):
        indent = " " * value.start_mark.column
        yield f"{text[:start]}- {item}{line_end(text)}{indent}{text[start:]}"
    elif isinstance(value, yaml.ScalarNode):
        yield _instead(text, value, f"[{item}]")


def _instead(text: str, nothing: yaml.ScalarNode, value: str) -> str:
    """The text with a value in the place of nothing at all, "~" or "null"."""
    before, after = text[: nothing.start_mark.index], text[nothing.end_mark.index :]
    gap = "" if before.endswith((" ", "\t")) else " "
    return f"{before}{gap}{value}{after}"


def _removed(text: str, path: tuple[str, ...], key: str) -> str:
    node = root_of(text)
    for name in path:
        node = child(node, name) if isinstance(node, yaml.MappingNode) else None
    if not isinstance(node, yaml.SequenceNode):
        return text
    items = node.value
    index = next(
        at for at, item in enumerate(items) if isinstance(item, yaml.ScalarNode) and item.value == key
    )
    start, stop = items[index].start_mark.index, items[index].end_mark.index
    if node.flow_style:
        if index + 1 < len(items):
            stop = items[index + 1].start_mark.index
        elif index:
            start = items[index - 1].end_mark.index
        return text[:start] + text[stop:]
    dash = text.rindex("-", 0, start)
    line = max(text.rfind("\n", 0, dash), text.rfind("\r", 0, dash)) + 1
    rest = _BLANK_REST.match(text, stop)
    stop = stop if rest is None else rest.end()
    if len(items) == 1:
        line = _above(text, line, _KEYS)
        if len(path) == 2 and _is_only(text, path):
            line = _above(text, line, path[0])
    return text[:line] + text[stop:]


def _above(text: str, line: int, name: str) -> int:
    """Where the line of that key begins, if it stands right above this one; else where this one does."""
    header = _above_pattern(name).search(text, 0, line)
    return line if header is None else header.start()


def _above_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<! )[ ]*['\"]?{name}['\"]?[ ]*:[ \t]*(?:\r\n|\n|\r)\Z")


def _is_only(text: str, path: tuple[str, ...]) -> bool:
    """Whether the section holds these keys and nothing else."""
    return list(load(text)[path[0]]) == [path[1]]


def root_of(text: str) -> yaml.Node | None:
    """The document's node. Its marks count characters, a byte order mark included."""
    # libyaml counts otherwise; this file is read once, so the slower loader does no harm.
    return yaml.compose(text, Loader=yaml.SafeLoader)


def child(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    """The node of a key of a mapping; ``None``: it has no such key."""
    return next((value for name, value in node.value if name.value == key), None)


def load(text: str) -> dict[str, Any]:
    """The settings as YAML reads them.

    :raises CannotEdit: it cannot, or they are no mapping.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise CannotEdit("it is not valid YAML") from None
    if not isinstance(found, dict) and found is not None:
        raise CannotEdit("it is empty")
    return found or {}


def means(text: str, wanted: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether it is read as this; no keys at all may be said by leaving them, or their section, out."""
    try:
        found = load(text)
        return with_keys(found, path, at(found, path) or []) == wanted
    except (CannotEdit, TypeError):
        return False


def line_end(text: str) -> str:
    """How the lines of a text end."""
    found = _BREAK.search(text)
    return "\n" if found is None else found.group()
