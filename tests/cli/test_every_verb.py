"""What all verbs have in common: help, ``--json``, ``--config``, guesses, completion, the manual page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

import ampproxy
from ampproxy.cli import VERBS, main
from ampproxy.cli.as_json import reports_json
from ampproxy.cli.service_client import NotRunning

#: What they print is for programs as it is, or is the text that was asked for.
TEXTS = {"completion", "man", "help", "schema"}
#: Those that need no configuration.
WITHOUT_CONFIG = {*TEXTS, "demo", "translate"}


#: Words of sentences that follow the name of a verb.
PROSE = {"and", "command", "does", "is", "lists", "shows", "then", "writes"}


def commands(
    above: click.Context | None = None, group: click.Group = main
) -> Iterator[tuple[str, click.Command]]:
    """Every verb, and those below it, by what is typed."""
    context = above or click.Context(main, info_name="ampproxy", **main.context_settings)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        inner = click.Context(found, info_name=name, parent=context)
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield inner.command_path.partition(" ")[2], found
        if isinstance(found, click.Group):
            yield from commands(inner, found)


COMMANDS = dict(commands())


@pytest.fixture(autouse=True)
def as_a_user_meets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that was run without the group keeps the option for help that it had then."""
    for command in COMMANDS.values():
        monkeypatch.setattr(command, "_help_option", None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def flags(command: click.Command) -> set[str]:
    return {flag for param in command.params for flag in param.opts}


@pytest.mark.parametrize("path", COMMANDS)
def test_options(path: str) -> None:
    """Each prints JSON on demand, and is given the configuration by one option; ``-y`` is ``--yes``."""
    found, verb = flags(COMMANDS[path]), path.split()[0]
    assert ("--json" in found) == (verb not in TEXTS)
    assert ("--config" in found) == (verb not in WITHOUT_CONFIG)
    assert ("--yes" in found) == ("-y" in found)


@pytest.mark.parametrize("path", COMMANDS)
def test_help(path: str) -> None:
    """By ``-h``, ``--help`` and ``ampproxy help``, which all show the same."""
    first, second, third = run(*path.split(), "-h"), run(*path.split(), "--help"), run("help", *path.split())
    assert first.exit_code == second.exit_code == third.exit_code == 0
    assert first.output == second.output
    assert third.output.partition("\n")[2] == first.output.partition("\n")[2]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("chek",), "There is no verb 'chek'. Did you mean check"),
        (("stat",), "status"),
        (("help", "usge"), "Did you mean usage?"),
        (("help", "check", "more"), "has no verbs"),
        (("key", "lst"), "list"),
        (("check", "--confg", "x"), "--config"),
        (("xyzzy",), "There is no verb 'xyzzy'.\n"),
    ],
)
def test_guesses(typed: tuple[str, ...], words: str) -> None:
    """A slip of the finger is answered with what was meant; status 2."""
    done = run(*typed)
    assert done.exit_code == 2
    assert words in done.output


def test_commands_that_messages_name() -> None:
    """What a message, a log line or a page tells people to type can be typed."""
    groups = {path.split()[0]: set() for path in COMMANDS if " " in path}
    for path in COMMANDS:
        if " " in path:
            groups[path.split()[0]].add(path.split()[1])
    named = re.compile(rf"ampproxy ({'|'.join(groups)}) ([a-z]+)")
    package, seen = Path(ampproxy.__file__).parent, set()
    for file in (*package.rglob("*.py"), *(package.parent / "docs").glob("*.md")):
        for verb, below in named.findall(file.read_text(encoding="utf-8")):
            seen.add((verb, below))
    wrong = {(verb, below) for verb, below in seen if below not in groups[verb] and below not in PROSE}
    assert wrong == set()
    assert ("key", "edit") in seen


def test_exit_statuses_are_told() -> None:
    """One set for all, in the help and in the manual page."""
    assert NotRunning.exit_code == 3
    told = " ".join(run("--help").output.split())
    assert "Exit status: 0 done, and all is well; 1 it failed, or something is wrong; 2 a wrong" in told
    assert ".SH EXIT STATUS" in run("man").output


def test_completion() -> None:
    """Verbs and options; the script of each shell names the command."""
    complete = BashComplete(main, {}, "ampproxy", "_AMPPROXY_COMPLETE")
    assert "check" in {item.value for item in complete.get_completions([], "che")}
    assert "--thread" in {item.value for item in complete.get_completions(["log"], "--t")}
    for shell in ("bash", "zsh", "fish"):
        assert "_AMPPROXY_COMPLETE" in run("completion", shell).output
    assert run("completion", "tcsh").exit_code == 2


def test_manual_page() -> None:
    """It has every verb with every option, and no line that roff would take for a request."""
    text = run("man").output
    for path, command in COMMANDS.items():
        assert f"\n.SS ampproxy {path} ".replace("-", r"\-") in text
        for flag in flags(command):
            if flag.startswith("--"):
                assert flag.replace("-", r"\-") in text
    requests = {match[0] for match in re.finditer(r"(?m)^[.'][A-Za-z]+", text)}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".B", ".PP", ".nf", ".fi"}


def test_as_a_module() -> None:
    """``python -m ampproxy`` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "ampproxy", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "ampproxy,")


def reported(callback: object, *arguments: str) -> tuple[int, dict[str, object]]:
    command = click.command()(click.option("--yes", is_flag=True)(reports_json(callback)))  # type: ignore[arg-type,type-var]
    done = CliRunner().invoke(command, [*arguments, "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout else {}


def test_json_of_what_is_done() -> None:
    """Whether it was done, what it printed, and why not; it never asks."""

    def good(yes: bool) -> None:
        click.secho("One.", bold=True)
        click.echo("\nTwo.")

    def bad(yes: bool) -> None:
        click.echo("One.")
        raise NotRunning("it does not run")

    def half(yes: bool) -> None:
        raise SystemExit(1)

    assert reported(good, "--yes") == (0, {"ok": True, "status": 0, "lines": ["One.", "Two."]})
    assert reported(bad, "--yes") == (
        3, {"ok": False, "status": 3, "lines": ["One."], "error": "it does not run"},
    )  # fmt: skip
    assert reported(half, "--yes") == (1, {"ok": False, "status": 1, "lines": []})
    assert reported(good) == (2, {})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "amp.yaml"
    file.write_text(
        "port: 0\nstate-dir: state\nclaude-api-key: [{api-key: canary-key-1234}]\nprot: 1\n"
        "api-keys: [{name: ci, key: canary-client-77, limits: {requests-per-day: 5}}]\n"
        "ampcode: {upstream-url: 'https://amp.test', fallback: [{model: 'gpt-*', daily-requests: 5}]}\n"
    )
    return file


def test_json_of_check(file: Path) -> None:
    """Remarks with file and line."""
    seen = json.loads(run("check", "--json", "--config", str(file)).stdout)
    assert seen["ok"] is True
    (warning,) = seen["warnings"]
    assert (warning["file"], warning["line"]) == (str(file), 4)
    assert "did you mean port?" in warning["text"]
    assert seen["summary"].startswith("ready: 1 account")
    strict = run("check", "--json", "--strict", str(file))
    assert (strict.exit_code, json.loads(strict.stdout)["ok"]) == (1, False)
    file.write_text("port: x\n")
    done = run("check", str(file), "--json")
    assert done.exit_code == 1
    assert [one["line"] for one in json.loads(done.stdout)["errors"]] == [1]


def test_json_of_the_others(file: Path) -> None:
    """What is structured has its own members."""
    seen = json.loads(run("explain", "claude-x", "--json", "--config", str(file)).stdout)
    assert (seen["route"], seen["accounts"][0]["account"]) == ("local", "claude-api-key[0]")
    done = run("explain", "gpt-x", "--role", "oracle", "--json", "--config", str(file))
    assert json.loads(done.stdout)["route"] == "amp"
    (rule,) = json.loads(run("credits", "--json", "--config", str(file)).stdout)
    assert (rule["models"], rule["daily_requests"], rule["used_today"]) == (["gpt-*"], 5, [])
    seen = json.loads(run("key", "show", "ci", "--json", "--config", str(file)).stdout)
    assert (seen["name"], seen["stored"]) == ("ci", "stored as a text")
    done = run("stop", "--json", "--config", str(file))
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (3, False)


def test_verbs_are_listed() -> None:
    """In the order of the table."""
    listed = re.findall(r"(?m)^  ([a-z]+)  ", run("--help").output)
    assert listed == list(VERBS)
