"""The sample and the reference name every setting, and say what the table says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampproxy.config import document
from ampproxy.config.ampcode import MOVED
from ampproxy.config.load import load
from ampproxy.config.parsing import Setting, walk
from ampproxy.config.sections import ROOT
from tests.cases import each

TREE = Path(__file__).parents[2]
SAMPLE = TREE / "etc" / "ampproxy.yaml"
REFERENCE = (TREE / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = [pytest.param(path, row, id=f"{path}.{row.name}".lstrip(".")) for path, _, row in walk(ROOT)]


def uncommented() -> str:
    """The sample with every setting switched on: a "#" goes unless a sentence follows it."""
    return re.sub(r"(?m)^#(?=\S|  )", "", SAMPLE.read_text(encoding="utf-8"))


def keys(node: document.Node | None, path: str = "") -> Iterator[str]:
    if isinstance(node, document.YamlMapping):
        for entry in node:
            below = f"{path}.{entry.key}" if path else entry.key
            yield below
            yield from keys(entry.node, below)
    elif isinstance(node, document.Sequence):
        for item in node.items:
            yield from keys(item, path + "[]")


def test_sample_loads(tmp_path):
    """The sample as it is shipped is a configuration, without a warning."""
    assert load(SAMPLE, environ={}, home=tmp_path).warnings == ()


def test_uncommented_sample_loads(tmp_path):
    """With every setting switched on it still is one, and still without a warning."""
    file = tmp_path / "config.yaml"
    file.write_text(uncommented(), encoding="utf-8")
    config = load(file, environ={}, home=tmp_path)
    assert config.warnings == ()
    assert {a.kind for a in config.accounts} == {
        "claude",
        "codex",
        "gemini",
        "vertex",
        "openai-compatibility",
    }


def test_sample_names_every_setting():
    """Every setting stands in the sample; one of the sections that share their settings is enough."""
    named = set(keys(document.compose(uncommented(), lambda *complaint: None)))
    shared: dict[tuple[int, str], bool] = {}
    for path, _, row in walk(ROOT):
        whole = f"{path}.{row.name}" if path else row.name
        shared[id(row), row.name] = shared.get((id(row), row.name), False) or whole in named
    assert [name for (_, name), there in shared.items() if not there] == []


def reference_row(row: Setting) -> str:
    default = "**required**" if row.required else row.default
    return f"| `{row.name}` | {row.reader.type} | {default} | {row.doc} |"


def reference_section(path: str) -> str:
    """The part of the reference that is about a section of the file."""
    for part in re.split(r"(?m)^## ", REFERENCE)[1:]:
        title, _, rest = part.partition("\n")
        if (title == "The top level" and not path) or (path and f"`{path}`" in title + rest.split("|")[0]):
            return part
    return ""


@each(("path", "row"), ROWS)
def test_reference_has_the_setting(path, row):
    """The reference says of each setting, under its section, its type, its default and its meaning."""
    assert reference_row(row) in reference_section(path).splitlines(), reference_row(row)


def test_reference_has_no_other_setting():
    """The reference does not tell of settings that are not there."""
    known = {reference_row(row) for _, _, row in walk(ROOT)}
    written = [
        line
        for path in dict.fromkeys(path for path, _, _ in walk(ROOT))
        for line in reference_section(path).splitlines()
        if line.startswith("| `")
        and line.count("|") == 5
        and not line.startswith("| `claude-api-key` | Anthropic")
    ]
    assert [line for line in written if line not in known and "`BASE/" not in line] == []


@pytest.mark.parametrize("old", MOVED)
def test_reference_has_deprecated_keys(old):
    """The reference says what replaces an old key."""
    section, key = MOVED[old]
    assert f"| `{old}` | `{section}.{key}` |" in REFERENCE


@each(
    "key",
    sorted({key for _, section, _ in walk(ROOT) for key in section.unsupported} - {"api-key", "api-keys"}),
)
def test_reference_has_unsupported_keys(key):
    """The reference names each of CLIProxyAPI's settings that has no effect."""
    assert re.search(rf"\| `((streaming|routing)\.)?{re.escape(key)}` \| ", REFERENCE)
