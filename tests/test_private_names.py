"""Private names of other packages are used in one table's places only, each for its reason."""

from __future__ import annotations

import ast
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import pytest

from tests.tree import module_of, nodes_of, places

#: What may be used: module and name -> why there is no public way.
REASONS: dict[tuple[str, str], str] = {
    ("http/transports.py", "_ssl"): "OpenSSL's connection, to give back what its large pieces needed",
    ("http/transports.py", "_lib"): "SSL_free and its like: pyOpenSSL has no public name for them",
    ("http/transports.py", "_ffi"): "as _lib",
    ("http/transports.py", "_into_ssl"): "the BIOs' memory is what is given back",
    ("http/transports.py", "_from_ssl"): "as _into_ssl",
    ("listen/sockets.py", "_fromListeningDescriptor"): "Twisted makes no port of a listening Unix socket",
    ("metrics/stalls.py", "_current_frames"): "CPython's documented way to see what a thread runs",
    ("server/descriptors.py", "_logger"): "Twisted logs each failed accept; no setting turns that off",
    ("workers/template.py", "_exit"): "the documented end of a process that was forked",
}

#: Public by the documentation of ``collections.namedtuple``, in spite of the underscore.
PUBLIC = frozenset(("_asdict", "_fields", "_field_defaults", "_make", "_replace"))

#: Methods of other packages' classes that a class here overrides although they are private.
OVERRIDDEN: dict[tuple[str, str], str] = {
    ("ampproxy.listen.sockets._UnixPort", "_shouldShutdown"): (
        "false: Twisted would shut the socket down, on which another process may still listen"
    ),
}

LIBRARIES = ("OpenSSL", "attr", "h11", "prometheus_client", "service_identity", "treq", "twisted", "zope")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in PUBLIC


def defined(nodes: Iterable[ast.AST]) -> set[str]:
    """The private names that a module makes: of its functions, classes, variables, attributes and slots."""
    found = set()
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            found.add(node.attr)
    return {name for name in found if is_private(name)}


def is_own(node: ast.expr) -> bool:
    """Whether an expression is an object of the class at hand."""
    return (isinstance(node, ast.Name) and node.id in ("self", "cls")) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    )


def private_names(nodes: Iterable[ast.AST], here: set[str], ours: set[str]) -> Iterator[str]:
    """The private names that a module uses and that are not its own.

    :param nodes: all of the module's.
    :param here: those that the module makes.
    :param ours: those that any module of the package makes.
    """
    siblings = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ampproxy")
        for alias in node.names
    }
    for node in nodes:
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            near = is_own(node.value) or (isinstance(node.value, ast.Name) and node.value.id in siblings)
            if node.attr not in (here | ours if near else here):
                yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = node.args[1] if len(node.args) > 1 else None
            reads = node.func.id in ("delattr", "getattr", "hasattr", "setattr")
            if reads and isinstance(named, ast.Constant) and is_private(str(named.value)):
                yield str(named.value)
        elif isinstance(node, ast.Import):
            yield from (part for name in node.names for part in name.name.split(".") if is_private(part))
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("ampproxy"):
            parts = [*(node.module or "").split("."), *(name.name for name in node.names)]
            yield from (part for part in parts if is_private(part))


@cache
def found() -> Mapping[tuple[str, str], int]:
    made = {place: defined(nodes_of(place)) for place in places()}
    ours = set().union(*made.values())
    uses: dict[tuple[str, str], int] = defaultdict(int)
    for place in places():
        for name in private_names(nodes_of(place), made[place], ours):
            uses[place, name] += 1
    return uses


def test_private_names_have_a_reason() -> None:
    """A release of Twisted, treq or OpenSSL can break nothing that the table does not name."""
    assert sorted(set(found()) - set(REASONS)) == []


def test_the_table_has_no_other_row() -> None:
    """What is no longer used is taken out of the table."""
    assert sorted(set(REASONS) - set(found())) == []


def test_no_private_method_is_overridden() -> None:
    """No class here has a private name of a library's class that it inherits from: that would replace it."""
    for place in places():
        importlib.import_module(f"ampproxy.{module_of(place)}".removesuffix(".__init__"))
    clashes = set()
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "ampproxy"]:
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__.split(".")[0] == "ampproxy":
                clashes |= {(f"{kind.__module__}.{kind.__name__}", name) for name in inherited_names(kind)}
    assert sorted(clashes - set(OVERRIDDEN)) == []


def inherited_names(kind: type) -> Iterator[str]:
    """The private names of a class that a library's class, from which it is derived, has as well."""
    bases = [base for base in kind.__mro__ if base.__module__.split(".")[0] in LIBRARIES]
    for name in vars(kind):
        if is_private(name) and any(name in vars(base) for base in bases):
            yield name


@pytest.mark.parametrize(
    "code",
    [
        "port._logger",
        "getattr(port, '_logger')",
        "class A(Port):\n  def f(self): return self._logger",
        "from twisted.web._newclient import HTTPClientParser",
        "from twisted.web.http import _IdentityTransferDecoder",
        "import twisted.internet._sslverify",
    ],
)
def test_each_way_is_seen(code: str) -> None:
    """The walk sees attributes, their names as texts, inherited ones, and imports."""
    nodes = list(ast.walk(ast.parse(code)))
    assert list(private_names(nodes, defined(nodes), set()))


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n  def __init__(self): self._log = 1\n  def f(self, other): return other._log",
        "row._replace(a=1)",
        "from ampproxy.config._x import y",
        "self.__class__",
    ],
)
def test_own_names_pass(code: str) -> None:
    """What a module makes itself is its own business, and so are a named tuple's methods."""
    nodes = list(ast.walk(ast.parse(code)))
    assert not list(private_names(nodes, defined(nodes), set()))
