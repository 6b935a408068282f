"""``ampproxy check`` and the group that it belongs to."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import click
import pytest
import trustme
from click.testing import CliRunner

from ampproxy import __version__, cli
from ampproxy.cli import VERBS, main
from ampproxy.cli import check as cli_check
from ampproxy.cli.check import remarks

ACCOUNT = "claude-api-key: [{api-key: a}]"
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
    text = certified(tmp_path, 2099)
    assert check(tmp_path, text).output.endswith("listening on https://127.0.0.1:8317\n")


def certified(folder, year):
    """Settings with a certificate that ends in the middle of a year."""
    made = trustme.CA().issue_cert("localhost", not_after=datetime(year, 7, 1, tzinfo=timezone.utc))
    made.private_key_and_cert_chain_pem.write_to_path(folder / "pem")
    return f"\ntls: {{enable: true, cert: {folder}/pem, key: {folder}/pem}}\n"


def test_a_certificate_that_has_expired(tmp_path):
    """Is a warning with its line: the service starts with it."""
    done = check(tmp_path, certified(tmp_path, 2024))
    assert done.exit_code == 0
    assert ":2: warning: tls.cert: the certificate" in done.output
    assert "has expired (2024-07-01" in done.output


@pytest.mark.parametrize("content", ["", "no PEM", "another's key"])
def test_a_certificate_that_cannot_be_used(tmp_path, content):
    """Is an error with its line: the service would not start with it."""
    text = certified(tmp_path, 2099)
    other = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    (tmp_path / "key").write_bytes(other if content == "another's key" else content.encode())
    done = check(tmp_path, text.replace(f"key: {tmp_path}/pem", f"key: {tmp_path}/key"))
    assert done.exit_code == 1
    assert ":2: error: tls: " in done.output
    assert "ready" not in done.output


def test_warnings_do_not_stop(tmp_path):
    """A warning is printed, and the service would start all the same."""
    result = check(tmp_path, f"prot: 1\nrequest-log: true\n{ACCOUNT}")
    assert result.exit_code == 0
    first, second, last = result.output.splitlines()
    assert first.startswith(f"{tmp_path}/amp.yaml:1: warning: prot: ")
    assert second.startswith(f"{tmp_path}/amp.yaml:2: warning: request-log: ")
    assert ": ready: " in last


def test_bad_file(tmp_path):
    """Every complaint and every warning is printed, and the status is 1."""
    result = check(tmp_path, "port: x\nprot: 1\ndebug: 7")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split(": ")[:3] for line in lines] == [
        [f"{tmp_path}/amp.yaml:1", "error", "port"],
        [f"{tmp_path}/amp.yaml:3", "error", "debug"],
        [f"{tmp_path}/amp.yaml:2", "warning", "prot"],
    ]
    assert len(lines) == 3


def test_environment(tmp_path):
    """The caller's environment is what ${NAME} looks in."""
    assert check(tmp_path, "port: ${P}", {"P": "77"}).output.endswith(":77\n")


@pytest.mark.parametrize("verb", [["check"], ["models", "--config"]])
def test_missing_file(tmp_path, verb):
    """A file that is not there is said so, by every verb alike."""
    result = CliRunner().invoke(main, [*verb, str(tmp_path / "no.yaml")])
    assert (result.exit_code, result.output) == (1, f"Error: {tmp_path}/no.yaml: no such file\n")


@pytest.mark.parametrize("verb", [["check"], ["models", "--config"]])
def test_unreadable_file(tmp_path, verb, monkeypatch):
    """One that cannot be read is said with the reason, and has the same status."""
    assert CliRunner().invoke(main, [*verb, str(tmp_path)]).output == (
        f"Error: {tmp_path}: cannot be read: Is a directory\n"
    )

    def refuse(*arguments, **named):
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "config.yaml"
    file.write_text("port: 1")
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("os.access", lambda *arguments, **named: False)
    result = CliRunner().invoke(main, [*verb, str(file)])
    assert (result.exit_code, result.output) == (1, f"Error: {file}: cannot be read: Permission denied\n")


@pytest.mark.parametrize(
    ("text", "warning", "verdict"),
    [
        ("port: 1", "there is no account, so that nothing can be served", "valid, but no model is served: "),
        (
            "ampcode: {upstream-url: https://a.example}",
            "there is no account: all models are asked of Amp, which spends Amp credits",
            "ready: ",
        ),
        (
            "ampcode: {upstream-url: https://a.example, fallback: never}",
            "there is no account, so that nothing can be served",
            "valid, but no model is served: ",
        ),
        (
            "routing: {strategy: wrr}\nclaude-api-key: [{api-key: a, weight: 0}]",
            "every account has a weight of 0 or less, so that nothing can be served",
            "valid, but no model is served: ",
        ),
        ("claude-api-key: [{api-key: a, weight: 0}]", "", "ready: "),
    ],
)
def test_nothing_is_served(tmp_path, text, warning, verdict):
    """A file by which no model would be served is not called ready."""
    result = check(tmp_path, text)
    assert result.exit_code == 0
    *warnings, last = result.output.splitlines()
    assert last.startswith(f"{tmp_path}/amp.yaml: {verdict}")
    assert len(warnings) == bool(warning)
    assert all(line.startswith(f"{tmp_path}/amp.yaml: warning: {warning}") for line in warnings)


def test_logins_count(tmp_path):
    """Logins are accounts; one of a kind that is not served is named with its file and its kind."""
    folder = tmp_path / "auth"
    folder.mkdir()
    (folder / "claude-a.json").write_text('{"type": "claude", "access_token": "canary", "email": "a@b.c"}')
    (folder / "antigravity-me.json").write_text('{"type": "antigravity", "access_token": "canary"}')
    result = check(tmp_path, f"auth-dir: {folder}")
    first, last = result.output.splitlines()
    assert first == (
        f"{tmp_path}/amp.yaml: warning: auth-dir: antigravity-me.json is a login of the kind antigravity,"
        " which is not served"
    )
    assert "ready: 1 account (1 claude-login)" in last
    assert "canary" not in result.output


@pytest.mark.parametrize(
    ("mapping", "why"),
    [
        ("{from: a, to: nobody-has-this}", "no account serves nobody-has-this"),
        ("{from: a, to: 'nobody(high)'}", "no account serves nobody"),
        (
            "{from: claude-haiku-4-5, to: gpt-6-sol}",
            "claude-haiku-4-5 is served by claude-api-key[0], and force-model-mappings is not set",
        ),
        (
            "{from: ^claude-haiku-, to: gpt-6-sol, regex: true}",
            "claude-haiku-4-5-20251001 is served by claude-api-key[0], and force-model-mappings is not set",
        ),
        (
            "{from: ^claude-, to: gpt-6-sol, regex: true}",
            "models that it is known to be for are served by accounts",
        ),
        ("{role: title, to: gpt-6-sol}", "claude-haiku-4-5-20251001 is served by claude-api-key[0]"),
        ("{from: gemini-3-pro, to: gpt-6-sol}", ""),
        ("{from: ., to: gpt-6-sol, regex: true}", ""),
        ("{from: ^nobody-knows, to: gpt-6-sol, regex: true}", ""),
        ("{from: claude-haiku-4-5, to: gpt-6-sol}], force-model-mappings: true, browser-pages: proxy #", ""),
    ],
)
def test_mappings_that_never_act(tmp_path, mapping, why):
    """A mapping to a model that nobody serves, or of one that an account serves, is warned of."""
    end = "" if mapping.endswith("#") else "]}"
    text = "claude-api-key: [{api-key: a}]\ncodex-api-key: [{api-key: b}]\nampcode: {model-mappings: [\n"
    if not end:
        mapping = mapping.removesuffix(" #") + "}"
    result = check(tmp_path, f"{text}  {mapping}{end}")
    *warnings, last = result.output.splitlines()
    assert ": ready: " in last
    assert len(warnings) == bool(why), warnings
    start = f"{tmp_path}/amp.yaml:4: warning: ampcode.model-mappings: has no effect: "
    assert all(line.startswith(start) and why in line for line in warnings), warnings


def test_a_server_that_lists_its_models_itself(tmp_path):
    """Where it is not known what a server has, no mapping to it is called useless."""
    text = "openai-compatibility: [{name: x, base-url: 'http://127.0.0.1:1'}]\n"
    text += "ampcode: {model-mappings: [{from: a, to: b}]}"
    assert len(check(tmp_path, text).output.splitlines()) == 1


def test_the_readmes_sample(tmp_path):
    """The sample of the README does what it says: nothing in it is warned of."""
    readme = (TREE / "README.md").read_text(encoding="utf-8")
    sample = readme.partition("```yaml\n")[2].partition("```")[0]
    names = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AMP_UPSTREAM_API_KEY")
    result = check(tmp_path, sample, dict.fromkeys(names, "k"))
    assert [line for line in result.output.splitlines() if ": ready: " not in line] == []


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


def test_models_that_go_away(tmp_path, monkeypatch):
    """A mapping's line, and what mends it; what Amp asks for only where the configuration is made for Amp."""
    monkeypatch.setattr("ampproxy.cli.check.time.time", lambda: 1_795_953_600.0)
    file = tmp_path / "amp.yaml"
    mapping = "ampcode:\n  model-mappings:\n    - {from: mine, to: gpt-5}\n"
    file.write_text(f"codex-api-key: [{{api-key: k, base-url: https://api.openai.com/v1}}]\n{mapping}")
    told = CliRunner().invoke(main, ["check", str(file)])
    assert told.exit_code == 0
    assert [line for line in told.output.splitlines() if "retired" in line] == [
        f"{file}:4: warning: The mapping of mine to gpt-5: gpt-5 is retired by its vendor on 2026-12-11,"
        " in 12 days: write in this mapping: to: gpt-6.2-sol"
    ]
    file.write_text("gemini-api-key: [{api-key: k}]\n")
    assert "retired" not in CliRunner().invoke(main, ["check", str(file)]).output
    file.write_text("gemini-api-key: [{api-key: k}]\nampcode: {upstream-url: https://ampcode.com}\n")
    assert (
        f"{file}: warning: Amp asks for gemini-3-pro-image-preview: gemini-3-pro-image-preview was retired"
        in CliRunner().invoke(main, ["check", str(file)]).output
    )


def test_ends_of_keys(tmp_path):
    """Keys that have expired, or will soon, are told with their lines; they are no error."""
    soon = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + 5 * 86400))
    entries = f"""
  - {{name: old, key: a, expires: 2020-01-31}}
  - {{name: soon, key: b, expires: '{soon}'}}
  - {{name: later, key: c, expires: 2099-01-31}}
"""
    done = check(tmp_path, f"api-keys:{entries}claude-api-key: [{{api-key: x}}]\n")
    assert done.exit_code == 0
    found = [line.partition("amp.yaml")[2] for line in done.output.splitlines() if "warning" in line]
    assert found[0].startswith(
        ":2: warning: api-keys: the client key of old has expired (2020-01-31 00:00 UTC)"
    )
    assert found[1].startswith(":3: warning: api-keys: the client key of soon expires in ")
    assert len(found) == 2


def test_a_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a Redis without its client library is warned before the service would not start."""
    file = tmp_path / "config.yaml"
    file.write_text("port: 1\nstate: {url: 'redis://h'}\n")
    assert not [remark for remark in remarks(file, secrets=False) if "pip install" in remark.text]
    monkeypatch.setattr("ampproxy.state.library.find_spec", lambda name: None)
    (found,) = [remark for remark in remarks(file, secrets=False) if "pip install" in remark.text]
    assert (found.line, found.level) == ("2", "warning")


def test_a_ledger_whose_packages_are_missing(tmp_path, monkeypatch):
    """It is a warning, for this may be another machine than the service's; and where all is there, none."""
    text = f"{ACCOUNT}\nledger: {{url: 'postgresql://db/ledger'}}"
    assert "warning" not in check(tmp_path, text).output
    monkeypatch.setattr(cli_check, "find_spec", lambda name: None)
    found = check(tmp_path, text)
    assert found.exit_code == 0
    assert "warning: ledger.url: needs two packages more: pip install 'ampproxy[postgres]'" in found.output
