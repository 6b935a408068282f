"""Changing entries of ``api-keys`` in the configuration file's text: what is meant, and no other byte.

The file is its user's own, in whatever style it is written. Each change is tried at the places where it may
belong; the first whose text YAML reads as exactly what was meant is taken, and if none is, nothing is changed
(:class:`~ampproxy.config.edit.CannotEdit`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ampproxy.config.edit import (
    CannotEdit,
    additions,
    at,
    child,
    line_end,
    load,
    means,
    place_of_keys,
    root_of,
    with_keys,
)

#: What of a text needs no quotes in YAML, wherever it stands; that it is read as a text is asked of YAML.
_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+/-]*(?::[A-Za-z0-9_.@+/-]+)*\Z")
_REST = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")

#: The values of an entry, by setting.
Entry = Mapping[str, Any]


def entries(text: str) -> list[Any]:
    """The items of the list of client keys.

    :raises CannotEdit: the text is not YAML, or what holds the keys is not a list.
    """
    keys, node = _keys(text)
    return keys if keys is not None and isinstance(node, yaml.SequenceNode) else []


def add_entry(text: str, entry: Entry) -> str:
    """The text with one more entry, the last of the client keys.

    :raises CannotEdit: it is written in a way in which nothing can be added safely.
    """
    keys, node = _keys(text)
    return _first(text, [*(keys or []), dict(entry)], _added(text, node, entry))


def remove_entry(text: str, index: int) -> str:
    """The text without one of the client keys.

    :raises CannotEdit: it cannot be taken out without changing more than that.
    """
    keys, node = _keys(text)
    if keys is None or not isinstance(node, yaml.SequenceNode):
        raise CannotEdit("there is not a list of client keys")
    return _first(text, [*keys[:index], *keys[index + 1 :]], _removed(text, node, index))


def change_entry(text: str, index: int, changes: Entry) -> str:
    """The text with other values in one of the entries.

    :param changes: by setting; ``None`` takes it out, a mapping is one of the settings within.
    :raises CannotEdit: one of them cannot be changed alone.
    """
    for name, value in changes.items():
        text = _change(text, index, name, value)
    return text


def _change(text: str, index: int, name: str, value: Any) -> str:
    keys, node = _keys(text)
    if keys is None or not isinstance(node, yaml.SequenceNode):
        raise CannotEdit("there is not a list of client keys")
    old, item = keys[index], node.value[index]
    if not isinstance(old, dict):
        old = {"key": old}
    wanted = {key: each for key, each in old.items() if key != name}
    if value is not None:
        wanted[name] = value
    if wanted == keys[index]:
        return text
    changed = [*keys[:index], wanted, *keys[index + 1 :]]
    if isinstance(item, yaml.ScalarNode):
        start, stop = item.start_mark.index, item.end_mark.index
        return _first(
            text,
            changed,
            iter([f"{text[:start]}{{key: {text[start:stop]}, {name}: {flow(value)}}}{text[stop:]}"]),
        )
    return _first(text, changed, set_member(text, item, name, value))


def _keys(text: str) -> tuple[list[Any] | None, yaml.Node | None]:
    """The list of client keys as values and as a node; ``None`` where there is none."""
    found = load(text)
    path = place_of_keys(found)
    keys = at(found, path)
    if keys is not None and not isinstance(keys, list):
        raise CannotEdit(f"{'.'.join(path)} is not a list")
    node = root_of(text)
    for name in path:
        node = child(node, name) if isinstance(node, yaml.MappingNode) else None
    return keys, node


def _first(text: str, keys: list[Any], candidates: Iterator[str]) -> str:
    found = load(text)
    path = place_of_keys(found)
    wanted = with_keys(found, path, keys)
    for candidate in candidates:
        if means(candidate, wanted, path):
            return candidate
    raise CannotEdit(
        f"{'.'.join(path)} is written in a way in which that cannot be changed alone: write it as a list with"
        " a line for each setting, or change it by hand"
    )


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and _BARE.match(value) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)


def _added(text: str, node: yaml.Node | None, entry: Entry) -> Iterator[str]:
    end = line_end(text)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        indent, after = " " * node.start_mark.column, _line_after(text, leaf_end(node))
        gap = "" if text[:after].endswith(("\n", "\r")) else end
        yield text[:after] + gap + _block(entry, indent, end) + text[after:]
    elif isinstance(node, yaml.SequenceNode) and node.value:
        stop = node.value[-1].end_mark.index
        yield f"{text[:stop]}, {flow(entry)}{text[stop:]}"
    if node is None:
        root = root_of(text)
        path = place_of_keys(load(text))
        if isinstance(root, yaml.MappingNode) and not root.flow_style and child(root, path[0]) is None:
            indent = " " * root.start_mark.column
            head = "".join(f"{indent}{'  ' * depth}{name}:{end}" for depth, name in enumerate(path))
            gap = "" if text.endswith(("\n", "\r")) else end
            yield text + gap + head + _block(entry, indent + "  " * len(path), end)
    yield from additions(text, place_of_keys(load(text)), flow(entry))


def _block(entry: Entry, indent: str, end: str) -> str:
    lines = [f"{name}: {flow(value)}" for name, value in entry.items()]
    return f"{indent}- {f'{end}{indent}  '.join(lines)}{end}"


def _removed(text: str, node: yaml.SequenceNode, index: int) -> Iterator[str]:
    item = node.value[index]
    start, stop = item.start_mark.index, leaf_end(item)
    if node.flow_style:
        if index + 1 < len(node.value):
            stop = node.value[index + 1].start_mark.index
        elif index:
            start = node.value[index - 1].end_mark.index
        yield text[:start] + text[stop:]
        return
    line = _line_before(text, text.rindex("-", 0, start))
    yield text[:line] + text[_line_after(text, stop) :]


def set_member(text: str, node: yaml.Node, name: str, value: Any) -> Iterator[str]:
    """A mapping with another value of one of its keys; without it where that is ``None``."""
    if not isinstance(node, yaml.MappingNode):
        return
    number = next((at for at, (key, _) in enumerate(node.value) if key.value == name), None)
    if number is None:
        yield from _put(text, node, f"{name}: {flow(value)}")
    elif value is None:
        yield from _taken_out(text, node, number)
    else:
        yield from _replaced(text, node, number, value)


def _put(text: str, node: yaml.MappingNode, pair: str) -> Iterator[str]:
    if node.flow_style:
        stop = node.value[-1][1].end_mark.index if node.value else node.start_mark.index + 1
        yield f"{text[:stop]}{', ' if node.value else ''}{pair}{text[stop:]}"
        return
    end, indent, after = line_end(text), " " * node.start_mark.column, _line_after(text, leaf_end(node))
    gap = "" if text[:after].endswith(("\n", "\r")) else end
    yield f"{text[:after]}{gap}{indent}{pair}{end}{text[after:]}"


def _taken_out(text: str, node: yaml.MappingNode, number: int) -> Iterator[str]:
    key, value = node.value[number]
    start, stop = key.start_mark.index, leaf_end(value)
    following = node.value[number + 1][0].start_mark.index if number + 1 < len(node.value) else None
    if node.flow_style:
        if following is not None:
            yield text[:start] + text[following:]
        elif number:
            yield text[: node.value[number - 1][1].end_mark.index] + text[stop:]
        return
    line = _line_before(text, start)
    if not text[line:start].strip():
        yield text[:line] + text[_line_after(text, stop) :]
    elif following is not None:
        # The line has the dash of the entry.
        yield text[:start] + text[following:]


def _replaced(text: str, node: yaml.MappingNode, number: int, value: Any) -> Iterator[str]:
    key, old = node.value[number]
    if isinstance(value, Mapping) and isinstance(old, yaml.MappingNode) and old.value:
        yield from _changed_within(text, node, number, value)
    if isinstance(old, yaml.ScalarNode) or node.flow_style or getattr(old, "flow_style", False):
        yield f"{text[: old.start_mark.index]}{flow(value)}{text[leaf_end(old) :]}"
    yield f"{text[: key.end_mark.index]}: {flow(value)}{text[leaf_end(old) :]}"


def _changed_within(text: str, node: yaml.MappingNode, number: int, value: Entry) -> Iterator[str]:
    """Only those members of an inner mapping that differ, with their comments."""
    first = node.start_mark.index
    before = {
        key.value: text[one.start_mark.index : leaf_end(one)] for key, one in node.value[number][1].value
    }
    for name in dict.fromkeys((*value, *before)):
        wanted = value.get(name)
        if wanted is None or before.get(name) != flow(wanted):
            here = _node_at(text, first)
            inner = None if here is None else here.value[number][1]
            found = next(set_member(text, inner, name, wanted), None) if inner is not None else None
            if found is None:
                return
            text = found
    yield text


def _node_at(text: str, index: int) -> yaml.MappingNode | None:
    """The mapping that begins there."""
    waiting: list[Any] = [root_of(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            if node.start_mark.index == index:
                return node
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return None


def leaf_end(node: yaml.Node) -> int:
    """Where the last thing that belongs to a node ends. What YAML calls the end of a block is the beginning
    of what follows, comments and empty lines included.
    """
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return leaf_end(last[1] if isinstance(node, yaml.MappingNode) else last)
    found: int = node.end_mark.index
    return found


def _line_before(text: str, index: int) -> int:
    """Where the line of a place begins."""
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _line_after(text: str, index: int) -> int:
    """Where the line after that of a place begins; comments behind it are passed over."""
    found = _REST.match(text, index)
    assert found is not None
    return found.end()
