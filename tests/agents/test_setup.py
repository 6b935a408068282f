"""``ampproxy setup CLIENT``, and then the agent itself, with nothing but what setup has written; with
``AMPPROXY_AGENTS=1``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.desktop.clients.agents import AGENTS
from tests.agents.drivers import Errand
from tests.agents.test_agents import WHOLE, explained, runnable
from tests.agents.world import CLIENT, Play, Step, World
from tests.cli.test_setup import OUTSIDE

pytestmark = [pytest.mark.loopback, pytest.mark.skipif(not WHOLE, reason="AMPPROXY_AGENTS=1 runs these")]

PROMPT = "Please do the test."
MODEL = "gpt-5.5"
#: How each is started, without a word of where it goes.
ARGUMENTS = {
    "claude-code": ["-p", PROMPT],
    "codex": ["exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access", PROMPT],
    "gemini-cli": ["--yolo", "--output-format", "json", "--prompt", PROMPT],
    "opencode": ["run", PROMPT],
    "qwen-code": ["--yolo", "--prompt", PROMPT],
    "copilot": ["--prompt", PROMPT, "--allow-all-tools", "--no-color"],
}
#: What is no setting of where to go.
VARIABLES = {"gemini-cli": {"GEMINI_CLI_TRUST_WORKSPACE": "true"}, "copilot": {"COPILOT_OFFLINE": "true"}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("gateway"), "anthropic", [MODEL])
    yield made
    made.stop()


@pytest.mark.parametrize("name", [agent.name for agent in AGENTS])
def test_set_up_and_used(world: World, tmp_path: Path, name: str) -> None:
    """The agent asks the gateway, with its key, for that model; taken back, nothing of it is left."""
    driver = runnable(name)
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    config = home / "config.yaml"
    config.write_text(f"api-keys: [{CLIENT}]\n")
    variables: dict[str, str | None] = {**dict.fromkeys(OUTSIDE), "HOME": str(home)}
    setup = ["setup", name, "--config", str(config)]
    told = CliRunner().invoke(
        main, [*setup, "--url", world.service.url, "--model", MODEL, "--yes"], env=variables
    )
    assert told.exit_code == 0, told.output
    exported = dict(re.findall(r"export (\w+)=(.*)", told.output))
    environ = {key: shlex.split(value)[0] for key, value in exported.items()} | VARIABLES.get(name, {})
    play = Play(driver, [Step(text="All done: Grüße.")])
    errand = Errand(home, work, world.service.url, CLIENT, MODEL, PROMPT, mcp=False)
    ran = world.start(driver, errand, play, environ, ARGUMENTS[name])
    why = explained(ran, play, world)
    assert ran.status == 0, why
    assert "All done: Grüße." in ran.answer, why
    assert play.seen, why
    back = CliRunner().invoke(main, [*setup, "--undo", "--yes"], env=variables)
    assert back.exit_code == 0, back.output
    assert not [path for path in home.rglob("*") if path.is_file() and CLIENT in _text(path, config)]


def _text(path: Path, config: Path) -> str:
    return "" if path == config else path.read_text(errors="replace")
