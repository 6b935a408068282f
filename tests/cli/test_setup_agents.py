"""``ampproxy setup CLIENT``: each agent's files, as they are written and as they are taken back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ampproxy.config.load import load
from ampproxy.desktop.clients import dotenv, toml
from ampproxy.desktop.clients.agents import AGENTS
from tests.cli.test_setup import ACCOUNT, KEY, Home
from tests.desktop.clients.test_client_setup import tree

URL = "http://127.0.0.1:8317"
NAMES = [agent.name for agent in AGENTS]
#: Each agent's files -> what stands there before, in its owner's own hand.
OWN = {
    "claude-code": {".claude/settings.json": '{\n  // mine\n  "env": {"A": "1"},\n  "model": "opus",\n}\n'},
    "codex": {
        ".codex/config.toml": '# mine\nmodel = "gpt-5.5"\nmodel_provider = "work"\n\n[model_providers.work]\n'
        'name = "work" # [x]\nnotes = """\nmodel_provider = "no"\n"""\n[[hooks]]\nx = [\n "]"\n]\n'
    },
    "gemini-cli": {
        ".gemini/.env": "# mine\nexport GEMINI_API_KEY='old'\nB=2\n",
        ".gemini/settings.json": "{}",
    },
    "opencode": {
        ".config/opencode/opencode.json": '{"provider": {"other": {"npm": "x"}}, "model": "other/m"}'
    },
    "qwen-code": {".qwen/settings.json": '{"security": {"auth": {"selectedType": "qwen-oauth"}}}\n'},
    "copilot": {},
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, f"api-keys: [{KEY}]\n{ACCOUNT}")


def told(home: Home, name: str) -> dict[str, Any]:
    """Where the agent goes now, by its own files: address, key, model."""

    def text(file: str) -> str:
        return (home.path / file).read_text()

    match name:
        case "claude-code":
            settings = json.loads(text(".claude/settings.json").replace("// mine", "").replace(",\n}", "\n}"))
            env = settings["env"]
            return {
                "url": env["ANTHROPIC_BASE_URL"],
                "key": env["ANTHROPIC_AUTH_TOKEN"],
                "model": settings["model"],
            }
        case "codex":
            at, found = "model_providers.ampproxy.", text(".codex/config.toml")
            assert toml.get(found, "model_provider") == "ampproxy"
            assert toml.get(found, f"{at}wire_api") == "responses"
            url = toml.get(found, f"{at}base_url")
            key = toml.get(found, f"{at}experimental_bearer_token")
            return {"url": url, "key": key, "model": toml.get(found, "model")}
        case "gemini-cli":
            settings = json.loads(text(".gemini/settings.json"))
            assert settings["security"]["auth"]["selectedType"] == "gemini-api-key"
            env = text(".gemini/.env")
            url, key = dotenv.get(env, "GOOGLE_GEMINI_BASE_URL"), dotenv.get(env, "GEMINI_API_KEY")
            return {"url": url, "key": key, "model": settings["model"]["name"]}
        case "opencode":
            settings = json.loads(text(".config/opencode/opencode.json"))
            provider = settings["provider"]["ampproxy"]
            assert list(provider["models"]) == ["m"]
            options = provider["options"]
            return {"url": options["baseURL"], "key": options["apiKey"], "model": settings["model"]}
        case _:
            settings = json.loads(text(".qwen/settings.json"))
            assert settings["security"]["auth"]["selectedType"] == "openai"
            env = text(".qwen/.env")
            found = (dotenv.get(env, f"OPENAI_{one}") for one in ("BASE_URL", "API_KEY", "MODEL"))
            return dict(zip(("url", "key", "model"), found, strict=True))


@pytest.mark.parametrize("before", [False, True], ids=["fresh", "own-files"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "copilot"])
def test_set_up_and_taken_back(home: Home, name: str, before: bool) -> None:
    """The agent gets the address, the key and the model; taking it back leaves each byte as it was."""
    for file, text in OWN[name].items() if before else ():
        home.write(file, text)
    then = tree(home.path)
    result = home.run(name, "--model", "m", "--yes", "--no-check")
    assert result.exit_code == 0, result.output
    path = "" if name in ("claude-code", "gemini-cli") else "/v1"
    model = "ampproxy/m" if name == "opencode" else "m"
    assert told(home, name) == {"url": URL + path, "key": KEY, "model": model}
    if before:
        for file in OWN[name]:
            assert "mine" not in OWN[name][file] or "mine" in (home.path / file).read_text()
    again = home.run(name, "--model", "m", "--yes", "--no-check")
    assert "Nothing has to be changed" in again.output
    assert "canary" not in result.output + again.output
    undone = home.run(name, "--undo", "--yes")
    assert undone.exit_code == 0, undone.output
    assert tree(home.path) == then


@pytest.mark.parametrize("name", ["claude-code", "codex", "gemini-cli", "opencode", "qwen-code"])
def test_what_has_changed_since_stays(home: Home, name: str) -> None:
    """Only what setup wrote is taken out of a file that its owner, or the agent, has changed since."""
    for file, text in OWN[name].items():
        home.write(file, text)
    home.run(name, "--model", "m", "--yes", "--no-check")
    changed = next(iter(OWN[name]))
    path = home.path / changed
    added = '{"later": true, ' if changed.endswith("json") else "# later\n"
    path.write_text(added + path.read_text().removeprefix("{" if changed.endswith("json") else ""))
    undone = home.run(name, "--undo", "--yes")
    assert undone.exit_code == 0, undone.output
    left = path.read_text()
    assert "later" in left
    assert KEY not in left
    assert URL not in left
    assert not (name == "codex" and "[model_providers.ampproxy]" in left)


def test_one_client_is_taken_back_without_the_others(home: Home) -> None:
    """And without a client all of them are, Amp's among them."""
    before = tree(home.path)
    home.run("--yes", "--no-check")
    home.run("claude-code", "--yes", "--no-check")
    home.run("codex", "--yes", "--no-check")
    home.run("claude-code", "--undo", "--yes")
    assert not (home.path / ".claude").exists()
    assert (home.path / ".codex/config.toml").exists()
    assert home.settings.exists()
    assert home.run("--undo", "--yes").exit_code == 0
    assert tree(home.path) == before


def test_a_key_is_made(tmp_path: Path) -> None:
    """A configuration without client keys gets one, which stays for the other clients."""
    home = Home(tmp_path, f"# mine\n{ACCOUNT}")
    result = home.run("claude-code", "--yes", "--no-check")
    assert "api-keys: adds a client key" in result.output
    (key,) = load(home.config, environ={}, home=home.path).api_keys
    settings = json.loads((home.path / ".claude/settings.json").read_text())
    assert settings["env"]["ANTHROPIC_AUTH_TOKEN"] == key.reveal()
    assert key.reveal() not in result.output
    home.run("claude-code", "--undo", "--yes")
    assert len(load(home.config, environ={}, home=home.path).api_keys) == 1
    home.run("--undo", "--yes")
    assert home.config.read_text() == f"# mine\n{ACCOUNT}"


def test_copilot_has_only_variables(home: Home) -> None:
    """They are shown, and nothing is written."""
    before = tree(home.path)
    result = home.run("copilot", "--model", "m", "--yes", "--no-check")
    assert f"export COPILOT_PROVIDER_BASE_URL={URL}/v1" in result.output
    assert f"export COPILOT_PROVIDER_API_KEY={KEY}" in result.output
    assert "export COPILOT_MODEL=m" in result.output
    assert tree(home.path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["qwen-code", "--no-check"], "--model"),
        (["claude-code", "--vscode"], "--vscode"),
        (["--model", "m"], "another client"),
        (["codex", "--undo", "--model", "m"], "leave out"),
        (["emacs"], "emacs"),
    ],
)
def test_refused(home: Home, arguments: list[str], words: str) -> None:
    """With what helps."""
    result = home.run(*arguments)
    assert result.exit_code != 0
    assert words in result.output


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        (".claude/settings.json", '{"env": [', "claude-code"),
        (".claude/settings.json", '{"env": "x"}', "claude-code"),
        (".codex/config.toml", "model_providers = {}\n", "codex"),
        pytest.param(
            *(".codex/config.toml", "model = \n", "codex"),
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 reads no TOML"),
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(home: Home, file: str, text: str, name: str) -> None:
    """Nothing at all is written then."""
    home.write(file, text)
    before = tree(home.path)
    result = home.run(name, "--yes", "--no-check")
    assert result.exit_code == 1
    assert "Nothing was changed" in result.output
    assert tree(home.path) == before


def test_the_environment_goes_before(home: Home) -> None:
    """A variable that leads elsewhere is named."""
    result = home.run("claude-code", "--yes", "--no-check", ANTHROPIC_BASE_URL="https://elsewhere.example")
    assert "Note: ANTHROPIC_BASE_URL is set to https://elsewhere.example" in result.output
