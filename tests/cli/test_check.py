"""``ampproxy check`` and the group that it belongs to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ampproxy import __version__, cli
from ampproxy.cli import VERBS, main

TREE = Path(__file__).parents[2]


def check(tmp_path: Path, text: str, env: dict[str, str] | None = None):
    file = tmp_path / "amp.yaml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["check", str(file)], env={"HOME": str(tmp_path), **(env or {})})


def test_good_file(tmp_path):
    """A good file gives one line that says what the service would be, and status 0."""
    text = (
        "api-keys: [a, b]\nclaude-api-key: [{api-key: c}]\nampcode: {model-mappings: [{from: a, to: b}]}\n"
        "openai-compatibility:\n"
        "  - {name: x, base-url: 'http://127.0.0.1:1', api-key-entries: [{api-key: d}, {api-key: e}]}"
    )
    result = check(tmp_path, text)
    assert result.exit_code == 0
    assert result.output == (
        f"{tmp_path}/amp.yaml: ready: 3 accounts (1 claude, 2 openai-compatibility), "
        "1 model mapping, 2 client keys, listening on http://127.0.0.1:8317\n"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("port: 1", "http://127.0.0.1:1"),
        ("host: '::1'", "http://[::1]:8317"),
        ("host: ''\napi-keys: [a]", "http://*:8317"),
    ],
)
def test_address(tmp_path, text, address):
    """The summary says where the service would listen."""
    assert check(tmp_path, text).output.endswith(f"listening on {address}\n")


def test_https(tmp_path):
    """With a certificate the address is one of HTTPS."""
    (tmp_path / "pem").touch()
    text = f"tls: {{enable: true, cert: {tmp_path}/pem, key: ~/pem}}"
    assert check(tmp_path, text).output.endswith("listening on https://127.0.0.1:8317\n")


def test_warnings_do_not_stop(tmp_path):
    """A warning is printed, and the service would start all the same."""
    result = check(tmp_path, "prot: 1\nrequest-log: true")
    assert result.exit_code == 0
    first, second, last = result.output.splitlines()
    assert first.startswith(f"warning: {tmp_path}/amp.yaml:1: prot: ")
    assert second.startswith(f"warning: {tmp_path}/amp.yaml:2: request-log: ")
    assert ": ready: " in last


def test_bad_file(tmp_path):
    """Every complaint and every warning is printed, and the status is 1."""
    result = check(tmp_path, "port: x\nprot: 1\ndebug: 7")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split(": ")[:2] for line in lines[:2]] == [
        [f"{tmp_path}/amp.yaml:1", "port"],
        [f"{tmp_path}/amp.yaml:3", "debug"],
    ]
    assert lines[2].startswith(f"warning: {tmp_path}/amp.yaml:2: prot: ")
    assert len(lines) == 3


def test_environment(tmp_path):
    """The caller's environment is what ${NAME} looks in."""
    assert check(tmp_path, "port: ${P}", {"P": "77"}).output.endswith(":77\n")


def test_missing_file(tmp_path):
    """A file that is not there is said in the same form."""
    result = CliRunner().invoke(main, ["check", str(tmp_path / "no.yaml")])
    assert result.exit_code == 1
    assert "no.yaml:1: file: cannot be read: No such file" in result.output


def test_default_file(tmp_path, monkeypatch):
    """Without a name the file is looked for where the service would look."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / ".config" / "ampproxy"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("port: 4711")
    assert CliRunner().invoke(main, ["check"]).output.endswith(":4711\n")


def test_no_default_file(tmp_path, monkeypatch):
    """Where there is no file at all, it says where it has looked."""
    monkeypatch.setattr("ampproxy.cli.check.find", lambda home: None)
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1
    assert "~/.config/ampproxy" in result.output


def test_version():
    """The version is the package's."""
    assert CliRunner().invoke(main, ["--version"]).output == f"ampproxy, version {__version__}\n"


def test_help_lists_only_what_is_there(monkeypatch):
    """A verb without its module is neither listed nor known."""
    monkeypatch.setitem(VERBS, "no-such-verb", "Nothing.")
    result = CliRunner().invoke(main, ["--help"])
    assert "check" in result.output
    assert "no-such-verb" not in result.output
    assert CliRunner().invoke(main, ["no-such-verb"]).exit_code == 2


def test_every_verb_has_a_command():
    """Each module of a verb has its click command."""
    context = click.Context(main)
    for verb in main.list_commands(context):
        assert isinstance(main.get_command(context, verb), click.Command), verb
    assert main.get_command(context, "__init__") is None
    assert set(main.list_commands(context)) <= set(cli.VERBS)


@pytest.mark.parametrize("arguments", [["check", "etc/ampproxy.yaml"], ["--help"]])
def test_start_is_light(arguments):
    """Neither help nor check imports a reactor, or anything of Twisted."""
    code = (
        "import sys\nfrom ampproxy.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('twisted', 'treq')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE)
    assert run.stdout.endswith("[]\n")
