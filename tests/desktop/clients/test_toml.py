"""One member of a TOML file is put, replaced and removed; all else stays byte by byte."""

from __future__ import annotations

import sys
from unittest import mock

import pytest

from ampproxy.desktop.clients import toml

FILE = '''# mine
model = "x" # why
many = [
  "a", # ]
  "[t]",
]
text = """
[no.table]
model = "no"
"""

[profiles.a]
model = 'literal'

[[hooks]]
model = "of an array"
'''


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("model", "x"),
        ("profiles.a.model", "literal"),
        ("no.table.model", None),
        ("hooks.model", None),
        ("many", None),
    ],
)
def test_get(path: str, there: str | None) -> None:
    """What stands in strings, comments and arrays is nothing of its own."""
    assert toml.get(FILE, path) == there


@pytest.mark.parametrize("path", ["new", "model", "profiles.a.model", "profiles.a.other", "tables.b.member"])
@pytest.mark.parametrize("value", ["plain", 'Grüße "quoted" \\ and # [x]'])
def test_put_and_back(path: str, value: str) -> None:
    """Another member is what it was, and what was made is gone again."""
    before = toml.get(FILE, path)
    changed = toml.put(FILE, path, value)
    assert toml.get(changed, path) == value
    assert "# mine" in changed
    assert toml.put(changed, path, value) == changed
    if before is None:
        assert toml.remove(changed, path) == FILE
    else:
        assert toml.get(toml.put(changed, path, before), path) == before


def test_into_nothing() -> None:
    """A file that is not there yet, and one whose last line does not end."""
    assert toml.put("", "a.b.c", "x") == '[a.b]\nc = "x"\n'
    assert toml.put("m = 1", "a", "x") == 'm = 1\na = "x"\n'
    assert toml.get(toml.put("m = 1", "t.a", "x"), "t.a") == "x"


@pytest.mark.parametrize("text", ["model_providers = {}\n", 'model_providers.ampproxy.name = "x"\n'])
@pytest.mark.parametrize("reader", [True, False])
def test_what_is_written_in_another_way_is_refused(text: str, reader: bool) -> None:
    """With a reader of TOML (Python 3.11) and without."""
    missing = {} if reader else {"tomllib": None}
    with mock.patch.dict(sys.modules, missing), pytest.raises(toml.BadToml, match="by hand"):
        toml.put(text, "model_providers.ampproxy.name", "y")
