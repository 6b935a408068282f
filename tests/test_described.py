"""Each public method says what it does, or is one of a contract that its class names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

import pytest

from tests.tree import nodes_of, places

#: How a docstring names a class.
_CLASS = re.compile(r":class:`(?:[^`<]*<)?~?(?:[\w.]*\.)?(\w+)>?`")


class Described:
    """What the classes of some modules describe, by their names: of two of one name both count."""

    def __init__(self, modules: Mapping[str, Iterable[ast.AST]]) -> None:
        self.classes = [
            (name, node)
            for name, nodes in modules.items()
            for node in nodes
            if isinstance(node, ast.ClassDef)
        ]
        self.methods: dict[str, set[str]] = {}
        self.above: dict[str, set[str]] = {}
        for _, node in self.classes:
            own = self.methods.setdefault(node.name, set())
            own.update(one.name for one in _public(node) if ast.get_docstring(one))
            bases = {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}
            named = _CLASS.findall(ast.get_docstring(node) or "")
            self.above.setdefault(node.name, set()).update(bases, named)

    def silent(self) -> list[str]:
        """The public methods that nothing describes."""
        return [
            f"{name}:{method.lineno} {node.name}.{method.name}"
            for name, node in self.classes
            if not node.name.startswith("_")
            for method in _public(node)
            if not ast.get_docstring(method) and not self._by_contract(node.name, method.name, set())
        ]

    def _by_contract(self, owner: str, method: str, seen: set[str]) -> bool:
        seen.add(owner)
        above = self.above.get(owner, set()) - seen
        return any(
            method in self.methods.get(one, ()) or self._by_contract(one, method, seen) for one in above
        )


def _public(node: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for one in node.body:
        if not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)) or one.name.startswith("_"):
            continue
        # A setter is described by its property.
        if not any(ast.unparse(each).endswith((".setter", "overload")) for each in one.decorator_list):
            yield one


def test_each_public_method_is_described() -> None:
    assert Described({place: nodes_of(place) for place in places()}).silent() == []


_CONTRACT = 'class Contract:\n    """A contract."""\n    def run(self):\n        """Run."""\n'


@pytest.mark.parametrize(
    ("text", "silent"),
    [
        ('class One:\n    """One."""\n    def run(self):\n        pass\n', True),
        ('class One:\n    """A :class:`Contract`."""\n    def run(self):\n        pass\n', False),
        ('class One:\n    """A :class:`~here.Contract`."""\n    def go(self):\n        pass\n', True),
        ("class Two(Contract):\n    pass\nclass One(Two):\n    def run(self):\n        pass\n", False),
        ("class _One:\n    def run(self):\n        pass\n", False),
    ],
    ids=["nothing", "of the contract", "beside the contract", "of a base", "not public"],
)
def test_a_contract_describes_what_it_has(text: str, silent: bool) -> None:
    modules = {"contract": ast.walk(ast.parse(_CONTRACT)), "one": ast.walk(ast.parse(text))}
    assert bool(Described(modules).silent()) is silent
