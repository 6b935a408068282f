"""``ampproxy models``: what clients see, who serves it, and how that is known."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from twisted.internet import reactor

from ampproxy.cli import main
from ampproxy.cli.models import rows, table
from ampproxy.config.load import load
from ampproxy.credentials.report import AccountReport, CooldownReport
from ampproxy.relay.model_cache import ModelCache, cache_folder
from ampproxy.routing.discovered import Book, Found
from ampproxy.testing import anthropic, openai_chat
from tests import forked
from tests.reactor import in_reactor

KEY = "canary-models-key-11"
CONFIG = f"""
port: 0
claude-api-key:
  - {{api-key: {KEY}, base-url: "http://127.0.0.1:9", prefix: team}}
  - {{api-key: {KEY}2, base-url: "http://127.0.0.1:9", models: [{{name: claude-real, alias: mine}}]}}
openai-compatibility:
  - {{name: local, base-url: "http://127.0.0.1:9/v1", api-key-entries: [{{api-key: {KEY}3}}]}}
"""
FIRST, SECOND, LOCAL = "claude-api-key[0]", "claude-api-key[1]", "openai-compatibility/local[0]"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


@pytest.fixture
def file(home):
    path = home / "config.yaml"
    path.write_text(CONFIG)
    return path


def run(file, *more):
    result = CliRunner().invoke(main, ["models", "--config", str(file), *more])
    assert result.exit_code == 0, result.output
    return result


def keep(file, **lists):
    """Put lists into the cache as a service would have."""
    book = Book("salt")
    for account in load(file, environ={}, home=Path("/nonexistent")).accounts:
        for part, names in lists.items():
            if part in account.label:
                book = book.having({book.identity(account): Found(names, time.time())})
    ModelCache(cache_folder({}, file.parent)).write(book, time.time())


def test_nothing_is_known_yet(file):
    """Before a vendor was asked its family stands for its models; an account that serves nothing is told."""
    result = run(file)
    assert result.stdout.splitlines() == [
        "MODEL          DIALECT    SOURCE   STATE  ACCOUNTS",
        f"mine           anthropic  config   -      {SECOND}",
        f"claude-*       anthropic  pattern  -      {FIRST}",
        f"team/claude-*  anthropic  pattern  -      {FIRST}",
    ]
    assert result.stderr.startswith(f"{LOCAL}: serves nothing yet")
    assert KEY not in result.output


def test_kept_lists(file):
    """What the service learned of vendors is shown, and ``explain`` decides by it, too."""
    keep(file, local=("qwen3",), claude=("claude-x",))
    result = run(file)
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["claude-x", "anthropic", "vendor", "-", FIRST],
        ["team/claude-x", "anthropic", "vendor", "-", FIRST],
        ["mine", "anthropic", "config", "-", SECOND],
        ["qwen3", "openai-chat", "vendor", "-", LOCAL],
        # Of the family of a vendor whose list is known, other names are tried, too.
        ["claude-*", "anthropic", "pattern", "-", FIRST],
        ["team/claude-*", "anthropic", "pattern", "-", FIRST],
    ]
    assert result.stderr == ""
    explained = CliRunner().invoke(main, ["explain", "qwen3", "--config", str(file)])
    assert explained.exit_code == 0
    assert LOCAL in explained.output


def test_json(file):
    """The same for programs."""
    keep(file, local=("qwen3",))
    found = json.loads(run(file, "--json").stdout)
    assert found[1] == {
        "model": "qwen3",
        "servers": [
            {"account": LOCAL, "dialect": "openai-chat", "name": "qwen3", "source": "vendor", "state": ""}
        ],
    }


def test_no_account(home):
    """Without accounts the way out is told."""
    (home / "config.yaml").write_text("port: 0\n")
    assert run(home / "config.yaml").stdout == "No account serves any model: add one to the configuration.\n"


def test_logins(home, file):
    """Logins are accounts as any other, here and in ``explain``; no token is shown."""
    folder = home / "logins"
    folder.mkdir(mode=0o700)
    (folder / "claude-a.json").write_text(
        json.dumps({"type": "claude", "access_token": "canary-token", "email": "a@mail.test"})
    )
    file.write_text(CONFIG + f"auth-dir: {folder}\n")
    result = run(file)
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("claude-*")]
    assert "a@mail.test" in row
    assert "canary" not in result.output
    explained = CliRunner().invoke(main, ["explain", "claude-new", "--config", str(file)])
    assert "a@mail.test" in explained.output


def test_logins_cannot_be_read(home, file):
    """A folder that cannot be read is told, and the rest is shown."""
    file.write_text(CONFIG + f"auth-dir: {file}\n")
    result = run(file)
    assert f"The logins in {file} cannot be read" in result.stderr
    assert "mine" in result.stdout


def report(label, state="ready", *rests):
    return AccountReport(label, "claude", "http://h", 0, (), state, rests)


def cooldown(model, call=None):
    return CooldownReport(model, call, "limited", 1, 0.0, 9.0, False)


def test_states(home):
    """With the service running each model says whether its accounts are well."""
    (home / "c.yaml").write_text(
        "claude-api-key:\n"
        "  - {api-key: a, models: [{name: m(high), alias: one}, {name: n}]}\n"
        "  - {api-key: b, models: [{name: m, alias: one}]}\n"
    )
    config = load(home / "c.yaml", environ={}, home=home)

    def states(*reports):
        return {row.model: [server.state for server in row.servers] for row in rows(config, {}, reports)}

    well = report(SECOND)
    assert states(report(FIRST), well) == {"one": ["ready", "ready"], "n": ["ready"]}
    assert states(report(FIRST, "resting", cooldown("m")), well) == {
        "one": ["resting", "ready"],
        "n": ["ready"],
    }
    assert states(report(FIRST, "resting", cooldown(None)), well)["n"] == ["resting"]
    assert states(report(FIRST, "resting", cooldown("m", "embed")), well)["one"] == ["ready", "ready"]
    assert states(report(FIRST, "needs login"), well)["one"] == ["needs login", "ready"]
    lines = list(table(rows(config, {}, (report(FIRST, "resting", cooldown(None)), well))))
    assert "1 of 2 ready" in lines[1]
    assert "cooling down" in lines[2]


@pytest.mark.loopback
def test_refresh(home):
    """``--refresh`` asks the vendors now, says who did not answer, and keeps the rest for the service."""
    vendors = [
        in_reactor(starter, reactor, keys=[KEY], forbidden=[])
        for starter in (anthropic.start, openai_chat.start)
    ]
    (home / "config.yaml").write_text(f"""
port: 0
claude-api-key:
  - {{api-key: {KEY}, base-url: "{vendors[0].url}"}}
  - {{api-key: {KEY}-wrong, base-url: "{vendors[0].url}"}}
openai-compatibility:
  - {{name: local, base-url: "{vendors[1].url}/v1", api-key-entries: [{{api-key: {KEY}}}]}}
""")
    command = [sys.executable, "-c", "from ampproxy.cli import main; main()"]
    command += ["models", "--config", str(home / "config.yaml"), "--refresh"]
    try:
        done = forked.run(command, capture_output=True, text=True, timeout=30)
    finally:
        for vendor in vendors:
            in_reactor(vendor.stop)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "Asking the vendors of 3 accounts for their models ...\n"
        f"{SECOND}: could not fetch the model list: {vendors[0].url}/v1/models answered with status 401.\n"
    )
    assert KEY not in done.stdout + done.stderr
    listed = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert listed[anthropic.MODELS[0]][:2] == ["anthropic", "vendor,"]
    assert listed[openai_chat.MODELS[0]] == ["openai-chat", "vendor", "-", LOCAL]
    assert listed["claude-*"] == ["anthropic", "pattern", "-", f"{FIRST},", SECOND]
    assert run(home / "config.yaml").stdout == done.stdout


def test_another_vendors_models(file):
    """Who lists another vendor's model and is not asked for it is told; ``explain`` says it, too."""
    keep(file, **{FIRST: ("claude-x",), LOCAL: ("claude-x", "qwen3")})
    result = run(file)
    assert f"{LOCAL}: lists claude-x, which the own accounts of their vendor serve" in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("claude-x ")]
    assert FIRST in line
    assert LOCAL not in line
    explained = CliRunner().invoke(main, ["explain", "claude-x", "--config", str(file)])
    assert f"claude-x is offered by {FIRST}. {LOCAL} lists it, too, but is not used" in explained.output


def test_verbose(file):
    """What is known of each model is shown, with where it is from: the shipped table or the file."""
    file.write_text(CONFIG + "catalog: [{names: [gpt-5], max-output: 123456, context: 1000}]\n")
    line = CONFIG.count("\n") + 1
    keep(file, local=("gpt-5",))
    lines = run(file, "--verbose").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("gpt-5 "))
    told = lines[at + 1 :]
    assert told[0].startswith("    gpt-5, from ampproxy, 20")
    assert "      can-disable: no" in told
    assert "      levels: minimal, low, medium, high" in told
    assert "      retires: 2026-12-11" in told
    own = told.index(f"    gpt-5, from {file}:{line}:")
    assert told[own + 1] == "      max-output: 123,456"
    found = json.loads(run(file, "--verbose", "--json").stdout)
    facts = {fact["member"]: fact for row in found if row["model"] == "gpt-5" for fact in row["facts"]}
    assert facts["context"] == {
        "name": "gpt-5",
        "member": "context",
        "value": 1000,
        "origin": f"{file}:{line}",
    }
    assert facts["levels"]["value"] == ["minimal", "low", "medium", "high"]


def test_prices(home):
    """Limits and prices at the first account, the user's own first; what is not known says so."""
    own = home / "prices.yaml"
    own.write_text(
        "as-of: 2026-11-29\nmodels:\n"
        "  - {names: [claude-opus-4-7], input: 7.5, cache-read: 0.125, cache-write: 9, output: 31}\n"
    )
    file = home / "priced.yaml"
    file.write_text(
        f"""
port: 0
ledger: {{prices: {own}}}
catalog: [{{names: [ghost-1], context: 32000, retires: 2030-01-31}}]
claude-api-key:
  - {{api-key: {KEY}, base-url: "http://127.0.0.1:9", models: [{{name: claude-opus-4-7, alias: mine}}]}}
openai-compatibility:
  - name: local
    base-url: http://127.0.0.1:9/v1
    api-key-entries: [{{api-key: {KEY}3}}]
    models: [{{name: ghost-1}}]
"""
    )
    shown = run(file, "--prices").stdout.splitlines()
    assert shown[0].split("  ")[0] == "MODEL"
    assert shown[1].split() == ["mine", "1.00M", "128k", "7.50", "0.125", "9.00", "31.00"]
    assert shown[2].split() == ["ghost-1", "32.0k", "?", "?", "?", "?", "?", "2030-01-31"]
    assert shown[4].endswith(f"a server of your own): {FIRST}, {LOCAL}.")
    mine, ghost = json.loads(run(file, "--prices", "--json").stdout)
    assert (mine["model"], mine["account"], mine["price"]["cache_read"]) == ("mine", FIRST, 0.125)
    assert (ghost["context"], ghost["price"], ghost["flat"]) == (32000, None, True)
