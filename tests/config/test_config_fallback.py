"""``ampcode.fallback`` and mappings by role, as the file says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.config.schema import ALLOW, FallbackRule
from ampproxy.errors import ConfigError


def read(ampcode: str):
    text = "ampcode:\n  upstream-url: https://amp.test\n" + ampcode
    return parse(text, name="f", environ={}, home=Path("/h"), read_secret=lambda path: "")


def rules(text: str):
    return read("  fallback:" + text).ampcode.fallback


def test_words():
    assert read("").ampcode.fallback == rules(" allow") == rules(" ALLOW") == ALLOW
    assert rules(" never") == (FallbackRule(action="never", line=3),)
    assert rules(" []") == ()


def test_rules():
    assert rules("""
    - {model: [GPT-*, "o?*"], role: oracle, daily-requests: 0, per: client}
    - role: [Title, finder]
      daily-tokens: 5
      daily-requests: 6
    - action: allow
""") == (
        FallbackRule(
            action="limit", models=("gpt-*", "o?*"), roles=("oracle",), requests=0, per_client=True, line=4
        ),
        FallbackRule(action="limit", roles=("title", "finder"), requests=6, tokens=5, line=5),
        FallbackRule(action="allow", line=8),
    )


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (" sometimes", "3: ampcode.fallback", "allow or never, found 'sometimes'"),
        (" {model: x}", "3: ampcode.fallback", "allow, never, or a list of rules"),
        ("\n    - {model: x}", "4: ampcode.fallback[0]", "needs action, daily-requests or daily-tokens"),
        ("\n    - {action: allow, daily-tokens: 3}", "4: ampcode.fallback[0].action", "one of the two"),
        ("\n    - {role: orakle, action: never}", "4: ampcode.fallback[0].role", "did you mean oracle?"),
        ("\n    - {role: [x], action: never}", "4: ampcode.fallback[0].role", "expected one of smart, rush"),
        # For no model is not for all.
        ("\n    - {model: [], action: allow}", "4: ampcode.fallback[0].model", "is an empty list"),
        ("\n    - {role: [], action: allow}", "4: ampcode.fallback[0].role", "is an empty list"),
        ("\n    - {model: '', action: allow}", "4: ampcode.fallback[0].model", "is empty"),
        ("\n    - {role: , action: allow}", "4: ampcode.fallback[0].role", "leave it out for all"),
        # Rules that were all commented out are not meant to open it, either.
        ("", "3: ampcode.fallback", "is empty: expected allow, never, or a list of rules, or"),
        (" ''", "3: ampcode.fallback", "is empty"),
        ("\n    - {daily-tokens: many}", "4: ampcode.fallback[0].daily-tokens", "a whole number"),
        ("\n    - {daily-tokens: 3, per: key}", "4: ampcode.fallback[0].per", "client or all"),
    ],
)
def test_complaints(text, where, what):
    with pytest.raises(ConfigError) as caught:
        rules(text)
    (complaint,) = caught.value.complaints
    assert complaint.startswith(f"f:{where}: ")
    assert what in complaint


def test_warnings():
    config = read("  fallback:\n    - {action: never, per: client}\n    - {model: x, action: allow}\n")
    assert [warning.partition(": ")[2] for warning in config.warnings] == [
        "ampcode.fallback[0].per: has no effect without a daily limit",
        "ampcode.fallback[1]: never applies: the rule in line 4 matches everything",
    ]


def test_mappings_by_role():
    config = read("""
  model-mappings:
    - {role: oracle, to: a}
    - {from: x, role: [title, finder], to: b}
    - {from: x, to: c}
    - {role: Oracle, to: d}
""")
    assert [(m.source, m.roles, m.target) for m in config.ampcode.mappings] == [
        ("", ("oracle",), "a"),
        ("x", ("title", "finder"), "b"),
        ("x", (), "c"),
    ]
    (warning,) = config.warnings
    assert "the role oracle repeats the one in line 5 and never applies" in warning


def test_mapping_with_nothing_to_match():
    (warning,) = read("  model-mappings:\n    - {role: smart, regex: true, to: x}\n").warnings
    assert warning == "f:4: ampcode.model-mappings[0].regex: has no effect without from"


def test_mapping_for_nothing():
    with pytest.raises(ConfigError, match=r"model-mappings\[0\]: needs from, role, or both"):
        read("  model-mappings:\n    - to: b\n")
