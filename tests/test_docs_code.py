"""The code in the documentation: whoever copies a block has something that works."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.ledger.prices import parse_prices

TREE = Path(__file__).parents[1]
PAGES = [TREE / "README.md", *sorted((TREE / "docs").glob("*.md"))]
#: A block, perhaps below a comment that says what file it is, where it is no configuration:
#: ``<!-- file: prices -->``.
BLOCK = re.compile(r"(?ms)(?:^<!-- file: (\w+) -->\n+)?^```([^\n]*)\n(.*?)^```[ \t]*$")
#: tests/neo/test_recipes.py runs nginx, HAProxy and Caddy with theirs.
LANGUAGES = {"yaml", "sh", "json", "nginx", "haproxy", "caddyfile", ""}


class Block(NamedTuple):
    page: str
    line: int
    language: str
    kind: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.name,
            text.count("\n", 0, found.start(3)) + 1,
            found[2].strip(),
            found[1] or "config",
            found[3],
        )
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{block.page}:{block.line}") for block in BLOCKS if block.language == language
    ]


def test_all_are_found() -> None:
    """No fence is left over, and each names a language that is looked at here, or is a drawing."""
    fences = sum(len(re.findall(r"(?m)^```", page.read_text(encoding="utf-8"))) for page in PAGES)
    assert fences == 2 * len(BLOCKS)
    assert {block.language for block in BLOCKS} <= LANGUAGES
    drawings = [block for block in BLOCKS if not block.language]
    # What looks like a setting should say that it is one.
    assert [one.page for one in drawings if re.search(r"(?m)^ *[a-z-]+:( |$)", one.text)] == []


def wrong_in(text: str, folder: Path) -> list[str]:
    """What ``ampproxy check`` has against a configuration; that a piece has no account is no fault of it."""
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["check", str(file)], env={"HOME": str(folder), "AMP_API_KEY": ""})
    marked = [line for line in done.output.splitlines() if re.search(r": (error|warning): ", line)]
    found = [line for line in marked if "there is no account" not in line]
    assert done.exit_code == bool([line for line in found if ": error: " in line]), done.output
    return found


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml(block: Block, tmp_path: Path) -> None:
    """Each block is a configuration without a fault, or what the comment above it says."""
    if block.kind == "prices":
        assert parse_prices(block.text, block.page).models
        return
    assert block.kind == "config"
    if block.page == "neo.md":
        return  # A piece without its key and certificate: tests/neo/test_recipes.py follows it with both.
    assert wrong_in(block.text, tmp_path) == []


@pytest.mark.parametrize("name", ["compose.yaml"])
def test_yaml_in_comments(name: str, tmp_path: Path) -> None:
    """So is the configuration in the comment at the head of a shipped file."""
    head = (TREE / "etc" / "docker" / name).read_text().partition("\nname:")[0]
    text = "\n".join(line[4:] for line in head.splitlines() if line.startswith("#   "))
    assert text.startswith("api-keys:")
    assert wrong_in(text, tmp_path) == []


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    """The check above finds what it is for: YAML that is none, and settings that are none."""
    assert "not valid YAML" in wrong_in("api-keys: [file:${DIRECTORY}/key]\n", tmp_path)[0]
    assert "not a known setting" in wrong_in("api-keyz: [a]\n", tmp_path)[0]


@pytest.mark.parametrize("block", of("sh"))
def test_shell(block: Block, tmp_path: Path) -> None:
    """A shell can read each block, and shellcheck, where it is there, has nothing against it."""
    file = tmp_path / "block.sh"
    file.write_text(block.text)
    for shell in filter(shutil.which, ("sh", "bash")):
        done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    if shutil.which("shellcheck"):
        command = ["shellcheck", "-s", "sh", "-S", "warning", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
