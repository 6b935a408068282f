"""Changing the configuration file's text: one client key in or out, every other byte as it is.

The file is its user's own, with comments and an order. What is changed is compared, as YAML reads it, with
what was meant; if it is anything else, nothing is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

_SECTION = "api-keys"
_BOM = "\ufeff"
_BREAK = re.compile(r"\r\n|\n|\r")
_HEADER = re.compile(rf"(?<! )[ ]*['\"]?{_SECTION}['\"]?[ ]*:[ \t]*(?:\r\n|\n|\r)\Z")
_BLANK_REST = re.compile(r"[ \t]*(?:\r\n|\n|\r|\Z)")


class CannotEdit(ValueError):
    """The text cannot be changed that way. The message says why, and shows nothing of the text."""


def add_client_key(text: str, key: str) -> str:
    """The text with one more key, the first in ``api-keys``.

    :param text: a configuration that can be loaded.
    :raises CannotEdit: it is written in a way in which nothing can be added safely.
    """
    before = _load(text)
    keys = before.get(_SECTION)
    if keys is None:
        keys = []
    if not isinstance(keys, list):
        raise CannotEdit(f"{_SECTION} is no list")
    wanted = {**before, _SECTION: [key, *keys]}
    for changed in _additions(text, json.dumps(key)):
        if _means(changed, wanted):
            return changed
    raise CannotEdit(f"no place for it was found: write {_SECTION} as a list with a line for each key")


def remove_client_key(text: str, key: str) -> str:
    """The text without a key in ``api-keys``; as it is, if it is not there.

    :raises CannotEdit: it is written in a way in which it cannot be taken out safely.
    """
    before = _load(text)
    keys = before.get(_SECTION)
    if not isinstance(keys, list) or key not in keys:
        return text
    wanted = {**before, _SECTION: [other for other in keys if other != key]}
    changed = _removed(text, key)
    if not _means(changed, wanted):
        raise CannotEdit(f"it cannot be taken out of {_SECTION} without changing more than that")
    return changed


def client_keys(text: str) -> tuple[str, ...]:
    """The keys that stand in ``api-keys`` as text.

    :raises CannotEdit: it is not YAML, or no mapping.
    """
    keys = _load(text).get(_SECTION)
    return tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else ()


def _additions(text: str, item: str) -> Iterator[str]:
    """The text with the item in each of the places where it may belong, best first."""
    root = _root(text)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return
    value = _section(root)
    if value is not None:
        yield from _into(text, value, item)
        return
    end = _line_end(text)
    first = root.start_mark.index
    indent = " " * root.start_mark.column
    section = f"{indent}{_SECTION}:{end}{indent}  - {item}{end}"
    yield text + ("" if text.endswith(("\n", "\r")) else end) + section
    # Where something ends the document, such as "...".
    line = first - len(indent)
    yield text[:line] + section + text[line:]


def _into(text: str, value: yaml.Node, item: str) -> Iterator[str]:
    start, stop = value.start_mark.index, value.end_mark.index
    if isinstance(value, yaml.SequenceNode) and value.flow_style:
        yield text[: start + 1] + item + (", " if value.value else "") + text[start + 1 :]
    elif isinstance(value, yaml.SequenceNode):
        indent = " " * value.start_mark.column
        yield f"{text[:start]}- {item}{_line_end(text)}{indent}{text[start:]}"
    elif isinstance(value, yaml.ScalarNode):
        # Nothing at all, "~" or "null".
        gap = "" if text[:start].endswith((" ", "\t")) else " "
        yield f"{text[:start]}{gap}[{item}]{text[stop:]}"


def _removed(text: str, key: str) -> str:
    root = _root(text)
    value = _section(root) if isinstance(root, yaml.MappingNode) else None
    if not isinstance(value, yaml.SequenceNode):
        return text
    items = value.value
    index = next(
        at for at, item in enumerate(items) if isinstance(item, yaml.ScalarNode) and item.value == key
    )
    start, stop = items[index].start_mark.index, items[index].end_mark.index
    if value.flow_style:
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
        header = _HEADER.search(text, 0, line)
        line = line if header is None else header.start()
    return text[:line] + text[stop:]


def _root(text: str) -> yaml.Node | None:
    """The document's node. Its marks count characters, a byte order mark included."""
    # libyaml counts otherwise; this file is read once, so the slower loader does no harm.
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _section(root: yaml.MappingNode) -> yaml.Node | None:
    return next((value for name, value in root.value if name.value == _SECTION), None)


def _load(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise CannotEdit("it is not valid YAML") from None
    if not isinstance(found, dict) and found is not None:
        raise CannotEdit("it holds no settings")
    return found or {}


def _means(text: str, wanted: dict[str, Any]) -> bool:
    """Whether it is read as this; no keys at all may be said by leaving them out."""
    try:
        return {**_load(text), _SECTION: _load(text).get(_SECTION) or []} == wanted
    except CannotEdit:
        return False


def _line_end(text: str) -> str:
    found = _BREAK.search(text)
    return "\n" if found is None else found.group()
