"""The versions in the documentation are those that the programs are built with."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.sdks.programs import HERE, LANGUAGES

ROOT = HERE.parents[1]


def _read(path: str) -> str:
    return (HERE / path).read_text(encoding="utf-8")


def declared() -> set[tuple[str, str]]:
    """(package, version) of each program, without what they need beside SDKs."""
    npm = json.loads(_read("javascript/package.json"))["dependencies"].items()
    go = re.findall(r"(?m)^\t([\w./-]+) v([\d.]+)$", _read("go/go.mod"))
    blocks = _read("java/pom.xml").split("<dependency>")[1:]
    java = [re.findall(r"<(?:artifactId|version)>([^<]+)<", block)[:2] for block in blocks]
    rust = re.findall(r'(?m)^([\w-]+) = (?:\{ version = )?"=([\d.]+)"', _read("rust/Cargo.toml"))
    found = [*npm, *go, *java, *rust]
    return {(name, version) for name, version in found if not re.search(r"^futures$|^@ai-sdk", name)}


def documented() -> set[tuple[str, str]]:
    """The same of the table in ``docs/clients.md``."""
    below = (ROOT / "docs/clients.md").read_text(encoding="utf-8").partition("\n## SDKs\n")[2]
    rows = re.findall(r"(?m)^\| (`.+?) \| ([\d.]+) \| ", below)
    return {(re.findall(r"`([^`]+)`", names)[0], version) for names, version in rows}


def test_versions() -> None:
    """Each SDK of the programs has its row; a row names the first of a family of one version."""
    told, built = documented(), declared()
    assert len(told) == 16
    for name, version in told:
        assert [one for one in built if one[0].endswith(name) and one[1] == version], (name, version)
    for name, version in built:
        family = name.startswith("langchain4j-")
        assert [one for one in told if one[1] == version and (name.endswith(one[0]) or family)], (
            name,
            version,
        )


def test_each_language_has_its_sources() -> None:
    """The programs are those of the folders."""
    folders = {path.name for path in Path(HERE).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(LANGUAGES)
