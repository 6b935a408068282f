"""YAML text to a tree of nodes that know their lines.

PyYAML's composer does the syntax; what is made of it here keeps three things its constructor
loses: the line of every key, the text of a scalar as it was written, and keys that stand twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import yaml
from yaml.reader import Reader as _YamlReader

from ampproxy.model.base import Value
from ampproxy.wire.late import LatePattern

#: libyaml's loader where it was built in, else the slower one in Python.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STANDARD_TAG = "tag:yaml.org,2002:"
_MERGE = _STANDARD_TAG + "merge"

#: A scalar's or a collection's anchor could be a secret that lost its quotes (``api-key: *abc``);
#: token names such as '<block end>' and single characters cannot.
_QUOTED = LatePattern(r"'(?!<)[^']{2,}'|\"[^\"]{2,}\"")

#: No setting lies deeper than six collections.
_MAX_DEPTH = 50

#: ``(line, key, message)``: how a complaint is reported.
Report = Callable[[int, str, str], None]


class Scalar(Value, frozen=True):
    """One value.

    :param text: as written, quotes removed.
    :param type: what YAML takes it for: ``str``, ``int``, ``float``, ``bool``, ``null``, ``timestamp``...
    :param plain: whether it was written without quotes.
    """

    line: int
    text: str
    type: str
    plain: bool = True


def is_null(node: object) -> bool:
    """Whether nothing stands there."""
    return isinstance(node, Scalar) and node.type == "null"


class Sequence(Value, frozen=True):
    """A list.

    :param shown: the whole keys of the items as complaints name them, where position does not tell them.
    """

    line: int
    items: tuple[Node, ...]
    shown: tuple[str, ...] = ()


class Entry(Value, frozen=True):
    """A key of a mapping, with its value.

    :param shown: the whole key as complaints name it, where that does not follow from its position.
    """

    key: str
    line: int
    node: Node
    shown: str = ""


class YamlMapping(Value, frozen=True):
    """Keys and values, in the order of the file, no key twice."""

    line: int
    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def get(self, key: str) -> Entry | None:
        """The entry of that key."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node: TypeAlias = "Scalar | Sequence | YamlMapping"

#: How complaints name each kind of node.
KINDS: dict[type, str] = {
    Scalar: "a single value",
    Sequence: "a list",
    YamlMapping: "a mapping of keys to values",
}


_WORD = LatePattern(r"[\w.*-]{1,60}\Z")


def below(path: str, key: str) -> str:
    """The whole key of ``key`` in the mapping at ``path``, as complaints name it: on one line."""
    word = key if _WORD.match(key) else repr(key[:40])
    return f"{path}.{word}" if path else word


def compose(text: str, report: Report) -> Node | None:
    """Turn YAML text into nodes.

    :param report: told of every syntax error, duplicate key and custom tag.
    :returns: ``None`` if the text has no document, or none that can be read.
    """
    bad = _YamlReader.NON_PRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        report(line, "syntax", f"the character U+{ord(bad.group()):04X} is not allowed in YAML: remove it")
        return None
    try:
        line = _too_deep(text)
        if line:
            report(line, "syntax", f"nested more than {_MAX_DEPTH} levels deep")
            return None
        root = yaml.compose(text, Loader=_LOADER)
        return None if root is None else _Converter(report).convert(root, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        # libyaml 0.2.6 (PyYAML 6.0.4) has a limit of its own, which flow collections meet before ours.
        if "maximum nesting depth" in str(error.problem):
            report(line, "syntax", f"nested more than {_MAX_DEPTH} levels deep")
        else:
            report(line, "syntax", f"not valid YAML: {_problem(error)}")
    except yaml.YAMLError:
        report(1, "syntax", "not valid YAML")
    return None


def _too_deep(text: str) -> int:
    """The line where collections are nested too deeply, else 0: composing recurses, and libyaml's
    composer ends the process where the stack does.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return 0


def _problem(error: yaml.MarkedYAMLError) -> str:
    """What PyYAML says, without any text of the file that could be a secret."""
    parts = [part for part in (error.context, error.problem) if part]
    return _QUOTED.sub("'...'", ", ".join(parts)) or "it cannot be read"


class _Converter:
    """One document's composed nodes to ours; aliases are shared, as YAML means them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._done: dict[int, Node] = {}
        self._open: set[int] = set()

    def convert(self, node: yaml.Node, path: str) -> Node:
        known = self._done.get(id(node))
        if known is not None:
            return known
        line = node.start_mark.line + 1
        if id(node) in self._open:
            self._report(line, path, "an alias refers to a value that contains it: write the value out")
            return Scalar(line, "", "null")
        self._open.add(id(node))
        result = self._fresh(node, line, path)
        self._open.discard(id(node))
        self._done[id(node)] = result
        return result

    def _fresh(self, node: yaml.Node, line: int, path: str) -> Node:
        if not node.tag.startswith(_STANDARD_TAG):
            self._report(
                line,
                path or "syntax",
                ("YAML tags (!name) are not supported: quote the value, or remove the tag"),
            )
        if isinstance(node, yaml.MappingNode):
            return YamlMapping(line, tuple(self._entries(node, path).values()))
        if isinstance(node, yaml.SequenceNode):
            return Sequence(line, tuple(self.convert(n, f"{path}[{i}]") for i, n in enumerate(node.value)))
        plain = not getattr(node, "style", None)  # libyaml says "", the loader in Python says None
        return Scalar(line, node.value, node.tag.removeprefix(_STANDARD_TAG), plain)

    def _entries(self, node: yaml.MappingNode, path: str) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                for entry in self._merge(value_node, path):
                    merged.setdefault(entry.key, entry)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(line, path or "syntax", "a key must be a single word, not a list or a mapping")
                continue
            key = key_node.value
            shown = below(path, key)
            first = entries.get(key)
            if first is not None:
                self._report(line, shown, f"is defined twice, first in line {first.line}: keep one of them")
                continue
            entries[key] = Entry(key, line, self.convert(value_node, shown))
        return {**{key: entry for key, entry in merged.items() if key not in entries}, **entries}

    def _merge(self, node: yaml.Node, path: str) -> Iterator[Entry]:
        """The entries that ``<<`` brings in; the first of several mappings wins."""
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            converted = self.convert(source, path)
            if isinstance(converted, YamlMapping):
                yield from converted
            else:
                self._report(source.start_mark.line + 1, path or "syntax", "<< needs a mapping to merge")
