"""Entries of api-keys are written, changed and taken out; nothing else of the file is touched."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ampproxy.config.edit import CannotEdit
from ampproxy.config.entries import add_entry, change_entry, entries, remove_entry
from ampproxy.config.load import parse

ENTRY = {"name": "new", "key-hash": "sha256:" + "0" * 64, "limits": {"usd-per-day": 2.5}}
LINES = ["- name: new", f"  key-hash: sha256:{'0' * 64}", "  limits: {usd-per-day: 2.5}"]
FLOW = f"{{name: new, key-hash: sha256:{'0' * 64}, limits: {{usd-per-day: 2.5}}}}"


def block(indent: str, end: str = "\n") -> str:
    return "".join(f"{indent}{line}{end}" for line in LINES)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("port: 1 # one\n", f"port: 1 # one\napi-keys:\n{block('  ')}"),
        ("port: 1\n# end", f"port: 1\n# end\napi-keys:\n{block('  ')}"),
        ("port: 1\r\n", f"port: 1\r\napi-keys:\r\n{block('  ', chr(13) + chr(10))}"),
        (
            "# top\napi-keys:\n  # anna\n  - a # hers\n\n# next\nport: 1\n",
            f"# top\napi-keys:\n  # anna\n  - a # hers\n{block('  ')}\n# next\nport: 1\n",
        ),
        ("api-keys:\n- a", f"api-keys:\n- a\n{block('')}"),
        (
            "api-keys:\n  - name: b\n    key: c # its\n    # of the port\nport: 1\n",
            f"api-keys:\n  - name: b\n    key: c # its\n{block('  ')}    # of the port\nport: 1\n",
        ),
        ("api-keys: [a, b] # c\n", f"api-keys: [a, b, {FLOW}] # c\n"),
        ("api-keys: [] # none\n", f"api-keys: [{FLOW}] # none\n"),
        ("api-keys: # none\nport: 1\n", f"api-keys: [{FLOW}] # none\nport: 1\n"),
        ("config-version: 8\n", f"config-version: 8\naccess:\n  api-keys:\n{block('    ')}"),
        (
            "access:\n  api-keys:\n    - a\n  other: 1\n",
            f"access:\n  api-keys:\n    - a\n{block('    ')}  other: 1\n",
        ),
    ],
)
def test_added(before: str, after: str) -> None:
    """The entry is the last of the list; taken out again, the file is as it was."""
    assert add_entry(before, ENTRY) == after
    found = entries(after)
    assert found[-1] == ENTRY
    if entries(before):
        assert remove_entry(after, len(found) - 1) in (before, before + "\n")
    assert (
        parse(after, name="a", environ={}, home=Path("/"), read_secret=lambda path: "").clients[-1].name
        == "new"
    )


BLOCK = """\
# Who may.
api-keys:
  - plain # mine
  # The builds.
  - name: ci   # in lower case
    key-hash: sha256:aa   # of 2026
    # until then
    expires: 2027-01-31
    limits:
      requests-per-day: 5  # enough
      # money
      usd-per-month: 10
  - {name: ben, key: b, models: [x]}  # short
port: 1
"""


def diff(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    ("index", "changes", "expected"),
    [
        (1, {"expires": "2028-01-01"}, ["-    expires: 2027-01-31", '+    expires: "2028-01-01"']),
        (
            1,
            {"key-hash": "sha256:bb", "old-key-hash": "sha256:aa"},
            [
                "-    key-hash: sha256:aa   # of 2026",
                "+    key-hash: sha256:bb   # of 2026",
                "+    old-key-hash: sha256:aa",
            ],
        ),
        (1, {"expires": None}, ["-    expires: 2027-01-31"]),
        (1, {"amp": False, "models": ["claude-*"]}, ["+    amp: false", '+    models: ["claude-*"]']),
        (
            1,
            {"limits": {"requests-per-day": 6, "usd-per-month": 10}},
            ["-      requests-per-day: 5  # enough", "+      requests-per-day: 6  # enough"],
        ),
        (
            1,
            {"limits": {"usd-per-month": 10, "concurrent": 2}},
            ["-      requests-per-day: 5  # enough", "+      concurrent: 2"],
        ),
        (
            1,
            {"limits": None},
            [
                "-    limits:",
                "-      requests-per-day: 5  # enough",
                "-      # money",
                "-      usd-per-month: 10",
            ],
        ),
        (
            2,
            {"models": None, "key": None, "key-hash": "sha256:cc"},
            [
                "-  - {name: ben, key: b, models: [x]}  # short",
                "+  - {name: ben, key-hash: sha256:cc}  # short",
            ],
        ),
        (
            2,
            {"models": ["y"]},
            [
                "-  - {name: ben, key: b, models: [x]}  # short",
                "+  - {name: ben, key: b, models: [y]}  # short",
            ],
        ),
        (0, {"name": "me"}, ["-  - plain # mine", "+  - {key: plain, name: me} # mine"]),
        (1, {"name": "ci"}, []),
    ],
)
def test_changed(index: int, changes: dict, expected: list[str]) -> None:
    """A diff has the lines that were meant, and no other; comments stay where they are."""
    after = change_entry(BLOCK, index, changes)
    assert sorted(diff(BLOCK, after)) == sorted(expected)


def test_a_first_key_is_taken_out() -> None:
    """The line with the dash is kept for what comes next."""
    text = "api-keys:\n  - key: a\n    name: b\n"
    assert change_entry(text, 0, {"key": None}) == "api-keys:\n  - name: b\n"


@pytest.mark.parametrize(
    ("index", "gone"),
    [
        (0, ["-  - plain # mine"]),
        (2, ["-  - {name: ben, key: b, models: [x]}  # short"]),
        (1, [f"-{line}" for line in BLOCK.splitlines()[4:12]]),
    ],
)
def test_removed(index: int, gone: list[str]) -> None:
    """An entry goes with its lines and the comments in them; those above it stay."""
    assert diff(BLOCK, remove_entry(BLOCK, index)) == gone


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("api-keys:\n  - &a {name: x, key: k}\n  - *a\n", 1),
    ],
)
def test_refused(text: str, index: int) -> None:
    """What is shared with another place is not changed here and there."""
    with pytest.raises(CannotEdit, match="cannot be changed alone"):
        change_entry(text, index, {"name": "y"})


_NAMES = st.sampled_from(["key", "name", "expires", "models", "limits", "amp"])
_VALUES = st.one_of(
    st.text(max_size=12),
    st.booleans(),
    st.integers(0, 10**6),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.sampled_from(["requests-per-day", "concurrent"]), st.integers(1, 9), max_size=2),
)
_ENTRIES = st.lists(
    st.one_of(st.text(max_size=8), st.dictionaries(_NAMES, _VALUES, min_size=1)), min_size=1, max_size=4
)


@settings(max_examples=75, deadline=None)
@given(_ENTRIES, st.booleans(), st.integers(0, 3), _NAMES, _VALUES)
def test_any_file(items: list, flow: bool, index: int, name: str, value: object) -> None:
    """Whatever the file holds: what is read afterwards is what was meant, or nothing was changed."""
    text = (
        "# a\nport: 1\n"
        + yaml.safe_dump({"api-keys": items}, default_flow_style=flow, width=10**6)
        + "# end\n"
    )
    index %= len(items)
    try:
        changed = change_entry(text, index, {name: value})
    except CannotEdit:
        return
    before = items[index] if isinstance(items[index], dict) else {"key": items[index]}
    wanted = [*items]
    wanted[index] = (
        {**before, name: value}
        if not isinstance(items[index], str) or before != {**before, name: value}
        else items[index]
    )
    found = yaml.safe_load(changed)["api-keys"]
    assert [item if isinstance(item, dict) else {"key": item} for item in found] == [
        item if isinstance(item, dict) else {"key": item} for item in wanted
    ]
    assert changed.startswith("# a\nport: 1\n")
    assert changed.endswith("# end\n")
