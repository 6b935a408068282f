"""Changing the section ``neo`` in the configuration file's text: what is meant, and no other byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from ampproxy.config.edit import CannotEdit, child, line_end, load, root_of
from ampproxy.config.entries import Entry, flow, leaf_end, set_member

_NAME = "neo"


def neo_section(text: str) -> dict[str, Any]:
    """The section as YAML reads it; empty where there is none.

    :raises CannotEdit: the text is not YAML, or the section is none.
    """
    found = load(text).get(_NAME)
    if found is not None and not isinstance(found, dict):
        raise CannotEdit(f"{_NAME} is not a section")
    return dict(found or {})


def change_neo(text: str, changes: Entry) -> str:
    """The text with other values in the section, which is made where there is none.

    :param changes: by setting; ``None`` takes it out.
    :raises CannotEdit: it is written in a way in which that cannot be changed alone.
    """
    if not neo_section(text):
        return _first(text, _without_none(changes), _begun(text, _without_none(changes)))
    for name, value in changes.items():
        before = neo_section(text)
        wanted = _without_none({**before, name: value})
        if wanted != before:
            node = _node(text)
            candidates = iter(()) if node is None else set_member(text, node, name, value)
            text = _first(text, wanted, candidates)
    return text


def remove_neo(text: str) -> str:
    """The text without the section.

    :raises CannotEdit: it cannot be taken out without changing more than that.
    """
    if _NAME not in load(text):
        return text
    root = root_of(text)
    candidates = set_member(text, root, _NAME, None) if isinstance(root, yaml.MappingNode) else iter(())
    rest, end = _first(text, None, candidates), line_end(text)
    # The empty line before it at the end of the file came with it.
    return rest.removesuffix(end) if text.startswith(rest) and rest.endswith(2 * end) else rest


def _without_none(values: Entry) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _node(text: str) -> yaml.Node | None:
    root = root_of(text)
    return child(root, _NAME) if isinstance(root, yaml.MappingNode) else None


def _begun(text: str, values: Entry) -> Iterator[str]:
    root, end = root_of(text), line_end(text)
    if not isinstance(root, yaml.MappingNode):
        return
    lines = [f"{name}: {flow(value)}" for name, value in values.items()]
    if root.flow_style or child(root, _NAME) is not None:
        yield from set_member(text, root, _NAME, dict(values))
        return
    indent = " " * root.start_mark.column
    block = f"{indent}{_NAME}:{end}" + "".join(f"{indent}  {line}{end}" for line in lines)
    gap = "" if text.endswith(("\n", "\r")) else end
    yield f"{text}{gap}{end}{block}"
    # Where something ends the document, such as "...".
    stop = leaf_end(root)
    rest = text.find("\n", stop) + 1 or len(text)
    yield text[:rest] + block + text[rest:]


def _first(text: str, wanted: dict[str, Any] | None, candidates: Iterable[str]) -> str:
    others = {name: value for name, value in load(text).items() if name != _NAME}
    for candidate in candidates:
        if _reads(candidate) == (others if wanted is None else {**others, _NAME: wanted}):
            return candidate
    raise CannotEdit(
        f"the section {_NAME} is written in a way in which that cannot be changed alone: write it with a line"
        " for each setting, or change it by hand"
    )


def _reads(text: str) -> dict[str, Any] | None:
    try:
        return load(text)
    except CannotEdit:
        return None
