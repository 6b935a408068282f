"""The table of agents: what it says is what the documentation says, and what the tests install."""

from __future__ import annotations

import re
from pathlib import Path

from ampproxy.desktop.clients.agents import AGENTS, look_for
from ampproxy.desktop.clients.places import Machine
from ampproxy.dialects.registry import DIALECTS
from tests.agents.programs import PROGRAMS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
SPOKEN = {
    "Anthropic Messages": "anthropic",
    "OpenAI Responses": "openai-responses",
    "OpenAI Chat": "openai-chat",
    "Gemini": "gemini",
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    below = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    table = lines[
        : next((at for at, line in enumerate(lines) if at > 1 and "---" in line), len(lines) + 1) - 1
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_versions_and_dialects() -> None:
    """Each agent has its row, with the version that the tests install and the dialect that it asks in."""
    told = {row[0]: (row[1], SPOKEN[row[2]]) for row in rows("At a glance")}
    assert told == {agent.name: (agent.version, agent.dialect) for agent in AGENTS}
    assert {name: program.version for name, program in PROGRAMS.items()} == {
        name: version for name, (version, _) in told.items()
    }
    assert {agent.dialect for agent in AGENTS} <= set(DIALECTS)


def test_what_each_bears() -> None:
    """Which of them ask again after a stream that breaks."""
    told = {row[0]: row[1].startswith("asks again") for row in rows("What each does when a stream breaks")}
    assert told == {agent.name: agent.asks_again for agent in AGENTS}


def test_each_has_its_section() -> None:
    titles = re.findall(r"(?m)^## (.+)$", TEXT)
    assert [agent.title for agent in AGENTS if agent.title not in titles] == []


def test_nothing_is_found_on_an_empty_machine(tmp_path: Path) -> None:
    assert look_for(Machine(tmp_path, {}, "linux")) == []


def test_found_by_program_file_and_environment(tmp_path: Path) -> None:
    """The environment goes before the file; a file that cannot be read is told."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "qwen"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini/.env").write_text(
        "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:1\nGEMINI_API_KEY=canary\n"
    )
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text("{")
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/config.toml").write_text(
        "[model_providers.ampproxy]\nbase_url = 'http://127.0.0.1:1/v1'\nexperimental_bearer_token = 'k'\n"
    )
    environ = {"PATH": str(tmp_path / "bin"), "OPENAI_BASE_URL": "http://h/v1"}
    found = {one.agent.name: one for one in look_for(Machine(tmp_path, environ, "linux"))}
    assert set(found) == {"qwen-code", "gemini-cli", "claude-code", "codex"}
    assert found["qwen-code"].program == program
    assert (found["qwen-code"].url, found["qwen-code"].where) == ("http://h/v1", "the environment")
    gemini = found["gemini-cli"]
    assert gemini.key is not None
    assert (gemini.url, gemini.key.reveal()) == ("http://127.0.0.1:1", "canary")
    assert gemini.where.endswith(".gemini/.env")
    assert found["codex"].url == "http://127.0.0.1:1/v1"
    assert found["claude-code"].why
    assert "canary" not in repr(found)
