"""``catalog``: what the user knows of models is read and counts; wrong values are told with their line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from ampproxy.adapt.target import target_for
from ampproxy.catalog.families import shipped
from ampproxy.config.changes import changes
from ampproxy.config.load import parse
from ampproxy.desktop.doctor.capabilities import abilities
from ampproxy.errors import ConfigError


def unreadable(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def read(text: str):
    return parse(
        "api-keys: [k]\n" + dedent(text),
        name="amp.yaml",
        environ={},
        home=Path("/home/anna"),
        read_secret=unreadable,
    )


def test_members_reach_the_renderers_and_the_doctor():
    """Each member replaces what is known, the later entry first; other models keep theirs."""
    config = read(
        """
        catalog:
          - names: [my-model, claude-opus-5-5]
            dialects: [anthropic, openai-chat]
            thinking: budget
            budget: [2048, 9000]
            levels: [low, max]
            thinks-unasked: true
            can-disable: false
            between-tools: true
            forced-tools: never
            chat-tools: never
            prefill: false
            sampling: false
            penalties: false
            candidates: 3
            max-output: 5000
            context: 77000
            tools: false
            thinks: true
            input: [text, audio]
            output: [text, image]
            openai-members: true
            wants-reasoning: true
          - {names: ["MY-*"], max-output: 6000}
        """
    )
    assert config.warnings == ()
    target = target_for("openai-chat", "acme/my-model(high)", config.families)
    assert (target.thinking, target.budget, target.levels) == ("budget", (2048, 9000), ("low", "max"))
    assert (target.thinks_unasked, target.can_disable, target.between_tools) == (True, False, True)
    assert (target.forced_tools, target.chat_tools) == ("never", "never")
    assert (target.prefill, target.sampling) == (False, False)
    assert (target.penalties, target.candidates, target.max_output) == (False, 3, 6000)
    assert (target.openai_members, target.wants_reasoning) == (True, True)
    assert target_for("gemini", "my-model", config.families).thinking == "unknown"
    assert target_for("anthropic", "claude-opus-5-5", config.families).max_output == 5000
    can = abilities("my-model", config.families)
    assert (can.tools, can.sees, can.thinks, can.draws, can.context) == (False, False, True, True, 77_000)
    origins = {member: origin for member, _, origin in config.families.described("my-model")}
    assert (origins["context"], origins["max_output"]) == ("amp.yaml:4", "amp.yaml:26")


def test_another_line_is_no_change():
    """A reload tells of an entry that is another one now, and of none that only moved."""
    before = read("catalog: [{names: [a], tools: true}]\n")
    moved = read("\n\ncatalog: [{names: [a], tools: true}]\n")
    other = read("catalog: [{names: [a], tools: false}]\n")
    assert changes(before, moved) == ()
    assert changes(before, other) == ("catalog: changed",)


def test_nothing_said_is_the_shipped_table():
    """Without entries nothing is copied."""
    assert read("").families is shipped()
    assert read("catalog: []").families is shipped()


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ("{max-output: 5}", "catalog[0].names", "is missing"),
        ("{names: [a]}", "catalog[0]", "sets nothing for these models"),
        ("{names: [a], tools: no, dialects: [chat]}", "catalog[0].dialects[0]", "anthropic or openai-chat"),
        ("{names: [a], thinking: much}", "catalog[0].thinking", "none or budget or level or both"),
        ("{names: [a], budget: [9]}", "catalog[0].budget", "two numbers of tokens"),
        ("{names: [a], budget: [9, 8]}", "catalog[0].budget", "two numbers of tokens"),
        ("{names: [a], levels: [huge]}", "catalog[0].levels[0]", "minimal or low"),
        ("{names: [a], forced-tools: true}", "catalog[0].forced-tools", "always or not-thinking or never"),
        ("{names: [a], context: 0}", "catalog[0].context", "1 or more"),
        ("{names: [a], input: [smell]}", "catalog[0].input[0]", "text or image"),
    ],
)
def test_wrong_values(entry, key, words):
    """A slip keeps the configuration from being used and names its line."""
    with pytest.raises(ConfigError) as caught:
        read(f"catalog:\n  - {entry}\n")
    (complaint,) = caught.value.complaints
    assert complaint.startswith(f"amp.yaml:3: {key}: ")
    assert words in complaint


def test_an_unknown_member_is_told():
    """A member that is not there is named, with one that is like it."""
    (warning,) = read("catalog:\n  - {names: [a], max-outputs: 5, tools: true}\n").warnings
    assert "catalog[0].max-outputs" in warning
    assert "max-output" in warning
