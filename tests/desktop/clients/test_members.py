"""One member deep in JSON, one variable of a file of variables: put and taken back, while all else stays."""

from __future__ import annotations

import json

import pytest

from ampproxy.desktop.clients import dotenv, members
from ampproxy.wire.jsonc import BadJsonc

FILE = b'{\n  // mine\n  "env": {"A": "1"},\n  "b": [1, 2],\n}\n'


@pytest.mark.parametrize("path", ["env/B", "env/A", "new", "x/y/z", "b"])
@pytest.mark.parametrize("before", [FILE, b"", b"{}", b'{"x": {"y": {}}}'])
def test_put_and_back(path: str, before: bytes) -> None:
    """What is made on the way is gone again; what was there is there again."""
    changed = members.put(before, path, '"v"')
    assert members.get(changed, path) == '"v"'
    assert b"mine" in changed or b"mine" not in before
    back = members.back(changed, path, before)
    assert members.get(back, path) == members.get(before, path)
    # An object that is empty again keeps its line end.
    assert back.replace(b"\n", b"") == (before or b"{}").replace(b"\n", b"")


@pytest.mark.parametrize("path", ["b/c", "env/A/x"])
def test_something_else_is_on_the_way(path: str) -> None:
    with pytest.raises(BadJsonc):
        members.put(FILE, path, "1")


VARIABLES = "# mine\nA=1\nexport B='two words' # why\nC=\nB=3\n"


@pytest.mark.parametrize(("name", "value"), [("A", "1"), ("B", "3"), ("C", ""), ("D", None), ("mine", None)])
def test_get(name: str, value: str | None) -> None:
    """The last of a name counts, as it does for those that read such files."""
    assert dotenv.get(VARIABLES, name) == value


@pytest.mark.parametrize("name", ["A", "B", "D"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:8317/v1", 'two "words" # x'])
def test_set(name: str, value: str) -> None:
    """Once, in its first place; the others stay."""
    changed = dotenv.put(VARIABLES, name, value)
    assert json.loads(json.dumps(dotenv.get(changed, name))).replace('\\"', '"') == value
    assert changed.count(f"{name}=") == 1
    assert "# mine" in changed
    assert dotenv.get(dotenv.remove(changed, name), name) is None


def test_no_line_break() -> None:
    with pytest.raises(ValueError, match="line break"):
        dotenv.put("", "A", "1\nB=2")
    assert dotenv.put("A=1", "B", "2") == "A=1\nB=2\n"
