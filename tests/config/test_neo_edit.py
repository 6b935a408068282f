"""The section ``neo`` in the configuration file's text."""

from __future__ import annotations

import difflib

import pytest
import yaml

from ampproxy.config.edit import CannotEdit
from ampproxy.config.neo_edit import change_neo, neo_section, remove_neo

BEFORE = "# The gateway of the house.\nport: 0   # any\napi-keys:\n  - key-of-anna\n# Nothing else.\n"
NEO = {"public-url": "https://gw.example.org", "listen": "127.0.0.1:8319", "key-hash": "sha256:" + "0" * 64}


def diff(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    "before",
    [
        BEFORE,
        BEFORE.rstrip("\n"),
        BEFORE.replace("\n", "\r\n"),
        "{port: 0, api-keys: [a]}\n",
        BEFORE + "...\n",
        BEFORE + "neo:\n",
        BEFORE + "neo: {}  # soon\n",
        "\ufeff" + BEFORE,
    ],
)
def test_made(before: str) -> None:
    """The section is added, and nothing else is another."""
    after = change_neo(before, {**NEO, "expires": None})
    assert neo_section(after) == NEO
    found, was = yaml.safe_load(after), yaml.safe_load(before)
    assert {**found, "neo": None} == {**was, "neo": None}
    lost = [line for line in diff(before, after) if line.startswith("-")]
    assert not [line for line in lost if "neo" not in line and not line.startswith("-{")]


def test_changed() -> None:
    """Only the lines that are meant change; comments stay."""
    before = change_neo(BEFORE, NEO).replace("  listen", "  # for the tunnel\n  listen") + "port-note: 1\n"
    after = change_neo(before, {"key-hash": "sha256:" + "1" * 64, "old-until": "2099-01-01T00:00Z"})
    assert [line[0] for line in diff(before, after)] == ["-", "+", "+"]
    assert "# for the tunnel" in after
    assert change_neo(after, {"old-until": None, "key-hash": NEO["key-hash"]}) == before


def test_removed() -> None:
    """Taking it out leaves what was there before."""
    after = remove_neo(change_neo(BEFORE, NEO))
    assert neo_section(after) == {}
    assert after == BEFORE
    assert remove_neo(BEFORE) == BEFORE


@pytest.mark.parametrize("before", ["neo: [1]\n", "- a\n", "a: [\n", "neo: 5\n"])
def test_cannot(before: str) -> None:
    """What is no section is not changed."""
    with pytest.raises(CannotEdit):
        change_neo(before, NEO)
