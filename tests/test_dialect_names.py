"""What a dialect is stands in its folder and its row: elsewhere its name is written for a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch

from ampproxy.dialects.registry import DIALECTS
from tests.tree import PACKAGE, nodes_of, places

#: Constants of ``model.base`` that are dialects' names.
CONSTANTS = {"ANTHROPIC", "CHAT", "COMPLETIONS", "GEMINI", "RESPONSES"}
#: Names of dialects that are no words of other things, as ``anthropic`` and ``gemini`` are vendors'.
WORDS = set(DIALECTS) - {"anthropic", "gemini"}

#: Files that name a dialect, and why they must.
REASONS = {
    "model/base.py": "the names themselves",
    "dialects/registry.py": "the rows",
    "routing/endpoints.py": "the paths of the vendors' SDKs, and of Amp's clients",
    "routing/vendor_calls.py": "in which dialect errors of a vendor's other calls are rendered",
    "relay/vendor_ids.py": "a vendor's other calls refer to what requests of its dialect refer to",
    "routing/neo.py": "the paths of Amp's cloud, and the formats of its connections",
    "resources/provider.py": "Codex asks for a socket where Responses are",
    "resources/unserved.py": "in which form the SDK of a path reads an error",
    "resources/neo.py": "the form of an error that clients of either vendor can read",
    "providers/*.py": "which dialect a vendor is asked in, where, and with which headers",
    "catalog/kinds.py": "which dialect each kind of account speaks",
    "config/catalog.py": "in which dialects a family of models may be asked, by the words of the setting",
    "amp/connections.py": "which dialect each format of Amp's model routing is",
    "adapt/settings.py": "which member of which dialect is a wish that only its own vendor knows",
    "adapt/tools.py": "which dialect writes which tool that a vendor runs",
    "amp/asks.py": "in which dialect each version of Amp's clients asks for which model",
    "amp/roles.py": "Amp's oracle is known by the dialect that it is asked in",
    "config/payload.py": "CLIProxyAPI's older names of dialects, which are in people's files",
    "desktop/clients/agents.py": "which dialect each coding agent asks in",
    "desktop/doctor/*.py": "the smallest request of each dialect, by which an account is tried",
    "testing/*": "stand-ins of the vendors",
    "demo/*": "which request is shown to which stand-in",
}


def named_in(place: str) -> Iterator[str]:
    """The names of dialects that a file writes, docstrings apart."""
    for node in nodes_of(place):
        if isinstance(node, ast.ImportFrom) and node.module == "ampproxy.model.base":
            yield from (name.name for name in node.names if name.name in CONSTANTS)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in WORDS:
            yield node.value


def outside() -> Iterator[tuple[str, list[str]]]:
    for place in places():
        in_folder = place.startswith("dialects/") and place.count("/") > 1
        if not in_folder and (found := sorted(set(named_in(place)))):
            yield place, found


def test_no_dialect_is_named_outside_its_folder() -> None:
    """A new dialect needs no change to what carries them all."""
    unreasoned = {
        place: found for place, found in outside() if not any(fnmatch(place, known) for known in REASONS)
    }
    assert unreasoned == {}


def test_reasons_are_needed() -> None:
    """No file is excused that names none."""
    places = [place for place, _ in outside()]
    assert [known for known in REASONS if not any(fnmatch(place, known) for place in places)] == []


def test_nothing_is_decided_by_a_dialects_package() -> None:
    """Who carries dialects imports none by name: the registry loads them."""
    folders = {path.parent.name for path in (PACKAGE / "dialects").glob("*/__init__.py")}
    rooms = ("relay/", "amp/", "resources/", "cli/", "routing/")
    for place in [place for place in places() if place.startswith(rooms)]:
        for node in nodes_of(place):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ampproxy.dialects."):
                assert (node.module or "").split(".")[2] not in folders, f"{place}:{node.lineno}"
