"""Which room may know which: imports point down only. See docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.cases import each
from tests.tree import PACKAGE, module_of, nodes_of, places, text_of, tree_of

#: Rooms from the top down; members of one row do not import each other.
ROWS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("start",),
    ("tap",),
    ("process",),
    ("workers",),
    ("service", "restart"),
    ("assembly",),
    ("metrics", "dashboard", "alerts"),
    ("collector", "logs", "listen", "reload", "notify", "clock", "ledger", "desktop", "channel"),
    ("demo",),
    ("testing",),
    ("resources",),
    ("generation",),
    ("runtime",),
    ("server",),
    ("relay",),
    ("providers", "tenants"),
    ("upstream", "credentials", "credits", "desktop.clients"),
    ("http", "state"),
    ("dialects", "amp", "routing", "config"),
    ("config.schema",),
    ("adapt",),
    ("catalog",),
)
#: What everybody may import, and which imports nothing above itself.
FOUNDATION = ("wire", "model", "errors", "interfaces", "status", "lifecycle", "__init__")
#: Rooms that run without Twisted.
PURE = (
    "tenants",
    "desktop.clients",
    "dialects",
    "amp",
    "routing",
    "config",
    "config.schema",
    "adapt",
    "catalog",
    *FOUNDATION,
)
#: A third party's package -> the only rooms that may import it.
ALONE = {
    "treq": ("upstream",),
    "twisted.web.server": ("http", "server", "resources", "dashboard", "desktop", "testing"),
    "twisted.internet.reactor": ("tap", "cli", "workers"),
    "sqlalchemy": ("ledger",),
    "psycopg": ("ledger",),
}


def room_of(module: str) -> str:
    """The room of a dotted module name below ``ampproxy``."""
    for inner in ("config.schema", "desktop.clients"):
        if module == inner or module.startswith(f"{inner}."):
            return inner
    return module.partition(".")[0] or "__init__"


@cache
def imports(place: str) -> Collection[tuple[str, int]]:
    """Every module that a file imports, also inside functions, with the line."""
    found: list[tuple[str, int]] = []
    for node in nodes_of(place):
        if isinstance(node, ast.Import):
            found += ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.module, node.lineno))
            found += ((f"{node.module}.{name.name}", node.lineno) for name in node.names)
    return found


def rank(room: str) -> int:
    """The number of the row, counted from the bottom; the foundation is 0."""
    if room in FOUNDATION:
        return 0
    for index, row in enumerate(reversed(ROWS), 1):
        if room in row:
            return index
    raise AssertionError(f"{room} is in no row of the architecture")


@each("place", places())
def test_imports_point_down(place: str) -> None:
    """A room imports itself, what is below it, and nothing beside it."""
    room = room_of(module_of(place))
    for name, line in imports(place):
        if name != "ampproxy" and not name.startswith("ampproxy."):
            continue
        target = room_of(name.removeprefix("ampproxy").removeprefix("."))
        if target in (room, "__version__") or (target in FOUNDATION and room in FOUNDATION):
            continue
        assert rank(target) < rank(room), f"{place}:{line}: {room} imports {target}"


@each("place", places())
def test_others_packages(place: str) -> None:
    """Pure rooms know no Twisted; treq, the web server and the reactor have one room each."""
    room = room_of(module_of(place))
    for name, line in imports(place):
        if room in PURE:
            assert not name.startswith(("twisted", "treq")), f"{place}:{line}: {room} imports {name}"
        for package, rooms in ALONE.items():
            if name == package or name.startswith(package + "."):
                assert room in rooms, f"{place}:{line}: {room} imports {name}"


@each("place", [place for place in places() if place.startswith("dialects/")])
def test_no_dialect_knows_another(place: str) -> None:
    """Dialects share the modules beside their folders, which know no dialect but by the registry's rows."""
    module = module_of(place)
    parts = module.split(".")
    if len(parts) < 2:
        return
    beside = {file.stem for file in (PACKAGE / "dialects").glob("*.py")}
    known = beside if parts[1] in beside else beside - {"registry"} | {parts[1]}
    for name, line in imports(place):
        inner = name.split(".")
        if inner[:2] == ["ampproxy", "dialects"] and len(inner) > 2:
            assert inner[2] in known, f"{place}:{line}: {module} imports {name}"


#: What every dialect has; those that it needs beside them are its own.
FLOOR_PLAN = {"request_in", "request_out", "response", "stream_in", "stream_out", "passthrough", "profile"}


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in (PACKAGE / "dialects").glob("*/__init__.py"))
)
def test_dialects_have_one_floor_plan(folder: Path) -> None:
    """A reader who knows one dialect finds the same files in another, named by direction."""
    names = {path.stem for path in folder.glob("*.py")}
    assert names >= FLOOR_PLAN
    assert not [name for name in names if name.startswith(("parse_", "render_", "stream_p", "stream_r"))]


def imported_at_once(body: Iterable[ast.AST], known: Collection[str]) -> Iterator[str]:
    """What a module imports when it is loaded: not in its functions, nor for the type checker alone."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from imported_at_once(node.orelse, known)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from imported_at_once(ast.iter_child_nodes(node), known)


def loads(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """What each module imports when it is loaded."""
    return {module: set(imported_at_once(tree.body, trees)) for module, tree in trees.items()}


@cache
def loads_of_package() -> dict[str, set[str]]:
    return loads({f"ampproxy.{module_of(place)}": tree_of(place) for place in places()})


def circle(loaded: Mapping[str, set[str]]) -> list[str]:
    """Modules each of which imports the next, the last being the first; empty: there is no such circle."""
    arrows = {module: others - {module} for module, others in loaded.items()}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("import b", "import a"), True),
        (("import b", "from c import x", "if x:\n    import a"), True),
        (("import b", "try:\n    import a\nexcept ImportError:\n    pass"), True),
        (("import b", "class B:\n    import a"), True),
        (("import b", "from c import x", "import d"), False),
        (("import b", "def late():\n    import a"), False),
        (("import b", "if TYPE_CHECKING:\n    import a\nelse:\n    import c"), False),
    ],
)
def test_circles_are_found(texts: tuple[str, ...], found: bool) -> None:
    """Directly and by way of others, but not in functions, nor for the type checker."""
    trees = {name: ast.parse(text) for name, text in zip("abcd", texts, strict=False)}
    assert bool(circle(loads(trees))) == found


def test_nothing_is_loaded_without_redis() -> None:
    """Its client library is loaded by what uses it, and that only where the configuration names a Redis."""
    loaded = loads_of_package()
    inner = {module for module in loaded if module.startswith("ampproxy.state.redis.")}
    engine = inner | {"ampproxy.tenants.shared_counts"}
    assert inner
    for module in loaded.keys() - engine:
        assert not loaded[module] & engine, module
        assert not [name for name in loaded[module] if name.partition(".")[0] == "redis"], module


def test_no_circles() -> None:
    """Modules can be read, and loaded, from the bottom up."""
    assert circle(loads_of_package()) == []


def test_files_stay_small() -> None:
    """A file that grows past some 500 lines hides an idea that has no name yet."""
    large = {place: count for place in places() if (count := len(text_of(place).splitlines())) > 500}
    assert large == {}
