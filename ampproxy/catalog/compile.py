"""``python -m ampproxy.catalog.compile``: make ``families.json`` of ``families.yaml``.

The YAML is for people: it has comments, anchors and merge keys. Reading it takes some 40 times as long as the
compiled form, which is what a service reads when it starts. A test holds the two together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ampproxy.catalog.families import COMPILED, Family, Table, Vendor

SOURCE = COMPILED.with_suffix(".yaml")
_SECTIONS = {"as-of", "vendors", "families", "shapes"}


class CatalogError(ValueError):
    """The table is wrong; says what and where: ``families.yaml:12: ...``, a line for each mistake."""


def read(text: str, name: str) -> Table:
    """The table in a text.

    :param name: what complaints call it.
    :raises CatalogError: something in it is wrong.
    """
    try:
        return _Reading(text, name).table()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise CatalogError(f"{name}:{line}: {getattr(error, 'problem', error)}") from None


class _Reading:
    """One file being read: each row by itself, so that a mistake is told with its line."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._loader = yaml.SafeLoader(text)
        self._root = self._loader.get_single_node()
        self._faults: list[str] = []

    def table(self) -> Table:
        sections = dict(self._sections())
        as_of = sections.get("as-of")
        day = None if as_of is None else self._loader.construct_document(as_of)
        vendors = tuple(self._rows(sections.get("vendors"), Vendor))
        families = tuple(self._rows(sections.get("families"), Family))
        for need in ("as-of", "vendors", "families"):
            if need not in sections:
                self._faults.append(f"{self._name}:1: {need} is missing")
        if self._faults:
            raise CatalogError("\n".join(self._faults))
        return msgspec.convert({"as-of": day, "vendors": vendors, "families": families}, Table)

    def _fault(self, node: Any, message: str) -> None:
        self._faults.append(f"{self._name}:{node.start_mark.line + 1}: {message}")

    def _sections(self) -> Iterator[tuple[str, Any]]:
        if not isinstance(self._root, yaml.MappingNode):
            raise CatalogError(f"{self._name}:1: expected a mapping of as-of, vendors and families")
        for key, value in self._root.value:
            if key.value not in _SECTIONS:
                self._fault(key, f"unknown section {key.value}")
            yield key.value, value

    def _rows(self, node: Any, kind: type[Any]) -> Iterator[Any]:
        for row in () if node is None else node.value:
            twice = _repeated(row)
            if twice:
                self._fault(row, f"{twice} is defined twice")
            try:
                found = msgspec.convert(self._loader.construct_document(row), kind)
            except msgspec.ValidationError as error:
                self._fault(row, str(error))
                continue
            if kind is Family and not found.names:
                self._fault(row, "it has no names")
            yield found


def _repeated(row: Any) -> str:
    keys = [key.value for key, _ in row.value if key.value != "<<"] if row.id == "mapping" else []
    return next((key for key in keys if keys.count(key) > 1), "")


def compiled(text: str, name: str) -> bytes:
    """The compiled form of a text: JSON, a line for each row, so that a change shows in a diff.

    :raises CatalogError: something in it is wrong.
    """
    table = read(text, name)
    encode = msgspec.json.encode
    rows = [b",\n".join(map(encode, rows)) for rows in (table.vendors, table.families)]
    return b'{"as-of":%b,"vendors":[\n%b\n],"families":[\n%b\n]}\n' % (encode(table.as_of), *rows)


def main(source: Path = SOURCE, target: Path = COMPILED) -> None:
    """Write the compiled form."""
    try:
        target.write_bytes(compiled(source.read_text(encoding="utf-8"), source.name))
    except CatalogError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
