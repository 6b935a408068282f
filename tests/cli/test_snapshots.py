"""What every verb prints on terminals of 80 and of 120 columns, held by stored texts.

Where a change is meant, ``AMPPROXY_SNAPSHOTS=write pytest tests/cli/test_snapshots.py`` stores what there is
now; the difference is then looked at like any other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ampproxy.cli import (
    accounts,
    alerts,
    chat,
    check,
    configured,
    credits,
    demo,
    doctor,
    init,
    key,
    log,
    login,
    main,
    models,
    neo,
    neo_plan,
    reload,
    restart,
    status,
    stop,
    try_,
    usage,
)
from ampproxy.cli.kept import Kept
from ampproxy.cli.service_client import NotReachable, ServiceClient
from ampproxy.cli.terminal import cells, sentence
from ampproxy.cli.try_ import Tried
from ampproxy.config.initial import Found, Server
from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.credentials.oauth.vendors import VENDORS
from ampproxy.credentials.report import AccountReport, CooldownReport, LessonReport, Report, WindowReport
from ampproxy.desktop.doctor.checks import CHECKS
from ampproxy.desktop.doctor.finding import Examination, Finding, LiveRow, totals
from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Tokens
from ampproxy.ledger.file import DAY
from ampproxy.ledger.store import Store
from ampproxy.status import Alert, AlertsReport, Delivered, Status
from ampproxy.tenants.counting import Amounts
from tests.ledger.samples import NOON, SECOND, entry

SNAPSHOTS = Path(__file__).parent / "snapshots"
WRITE = os.environ.get("AMPPROXY_SNAPSHOTS") == "write"
NOW = NOON + 5 * DAY
FILE = Path("/etc/ampproxy/config.yaml")
CONFIG = """\
state-dir: /var/lib/ampproxy
auth-dir: /var/lib/ampproxy/logins
api-keys:
  - {name: laptop, key: a-made-up-key-of-a-laptop}
  - name: ci
    key-hash: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    routes: [models]
    expires: 2027-01-31
    limits: {requests-per-day: 500, usd-per-month: 50}
claude-api-key:
  - api-key: made-up-claude-key
  - {api-key: made-up-claude-key-2, models: [{name: claude-opus-4-6, alias: opus}]}
codex-api-key: [{api-key: made-up-openai-key}]
openai-compatibility:
  - name: workstation-in-the-cellar
    base-url: http://192.168.7.7:11434/v1
    models: [{name: "qwen3-coder:30b-a3b-instruct-q8_0", alias: local-coder}]
ampcode:
  upstream-url: https://ampcode.com
  upstream-api-key: made-up-amp-key
  fallback:
    - {model: [gpt-*, o1, "claude-opus-4-*"], role: oracle, daily-requests: 50}
    - {daily-tokens: 200000, per: client}
  model-mappings:
    - {from: "^gpt-.*-codex", to: local-coder, regex: true}
neo: {public-url: "https://gw.example.org", listen: "127.0.0.1:8318", key: made-up-neo-key}
"""
COOLING = CooldownReport(
    "claude-opus-4-6",
    None,
    "is rate limited (429: Number of request tokens has exceeded your per-minute limit)",
    1,
    1793793600.0,
    1800.0,
    False,
    "wait, or add another account",
    3600.0,
    "",
)
LESSON = LessonReport(
    "gpt-5.5",
    "responses",
    "reasoning.effort",
    "does not take the value minimal",
    1793790000.0,
    1796382000.0,
    12,
)
REPORTS = (
    AccountReport(
        "claude-api-key[0]",
        "claude",
        "https://api.anthropic.com",
        0,
        (),
        "ready",
        windows=(WindowReport("tokens per minute", 80000.0, 12000.0, 1793793660.0, 1793793600.0),),
    ),
    AccountReport(
        "claude-api-key[1]",
        "claude",
        "https://api.anthropic.com",
        0,
        ("opus",),
        "resting",
        cooldowns=(COOLING,),
    ),
    AccountReport(
        "codex-api-key[0]", "codex", "https://api.openai.com", 0, (), "key refused", lessons=(LESSON,)
    ),
    AccountReport(
        "openai-compatibility/workstation-in-the-cellar[0]",
        "openai",
        "http://192.168.7.7:11434",
        0,
        ("local-coder", "qwen3-coder:480b", "gpt-oss:120b", "devstral:24b", "gemma3:27b"),
        "untried",
    ),
)


def configuration(text: str = CONFIG) -> Config:
    config = parse(text, name=str(FILE), environ={}, home=Path("/home/anna"), read_secret=lambda path: "")
    return configured.replace(config, source=FILE)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without anything, an afternoon in November, no service, and a configuration in no file."""
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW / SECOND)
    config = configuration()
    monkeypatch.setattr(configured, "beside", lambda file, at="": config)
    monkeypatch.setattr(configured, "require_readable", lambda file: None)


#: Loaded before anything is patched: a module that is loaded meanwhile would keep what it was given.
LOADED = (reload, restart, status, stop)


def run(*arguments: str, typed: str | None = None) -> str:
    return CliRunner().invoke(main, [*arguments], input=typed, prog_name="ampproxy").output


def verb(*arguments: str) -> Callable[[Path, pytest.MonkeyPatch], str]:
    return lambda folder, monkeypatch: run(*arguments)


def service_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "fetch", lambda config, at="": Report(REPORTS))
    monkeypatch.setattr(models, "fetch", lambda config: Report(REPORTS))
    place = Kept(configuration(), "of the service that runs as ampproxy (pid 4711).")
    for module in (credits, key):
        monkeypatch.setattr(module, "kept", lambda config: place)


def with_service(*arguments: str) -> Callable[[Path, pytest.MonkeyPatch], str]:
    def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        service_answers(monkeypatch)
        return run(*arguments)

    return shown


def without_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def fail(config: Config, at: str = "") -> Report:
        raise NotReachable("no answer at 127.0.0.1:8317 (Connection refused).")

    monkeypatch.setattr(accounts, "fetch", fail)
    return run("accounts")


def shown_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    config = configuration(CONFIG.replace("codex-api-key", "codex-api-keys"))
    monkeypatch.setattr(check, "require_readable", lambda file: None)
    monkeypatch.setattr(check, "load", lambda *_, **__: config)
    return run("check", str(FILE))


def shown_doctor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    first, second, third, *_ = (one.name for one in CHECKS)
    findings = (
        Finding(first, "ok", "The configuration is /etc/ampproxy/config.yaml."),
        Finding(
            first,
            "warning",
            "/etc/ampproxy/config.yaml holds a secret and can be read by others (mode 0644):"
            " whoever has an account on this machine can use yours.",
            "chmod 600 /etc/ampproxy/config.yaml",
        ),
        Finding(
            second,
            "problem",
            "gpt-5.3-codex (rush) is not served by any account, and nothing goes to Amp.",
            "add a mapping:\nampcode:\n  model-mappings:\n    - {from: gpt-5.3-codex, to: claude-haiku-4-5}",
        ),
        Finding(third, "note", "The state of the account is unknown."),
    )
    rows = (
        LiveRow("oracle", "gpt-5.5", "codex-api-key[0]", "gpt-5.5", "openai-responses", "local", "ok", 812),
        LiveRow(
            "painter",
            "gemini-3-pro-image-preview",
            "openai-compatibility/workstation-in-the-cellar[0]",
            "claude-haiku-4-5-20251001",
            "anthropic",
            "local",
            "failed",
            None,
            "400: claude-haiku-4-5-20251001 does not support image output",
        ),
        LiveRow("", "", "claude-api-key[1]", "claude-opus-4-6", "anthropic", "amp credits", "not sent"),
    )
    found = Examination(findings, rows)
    return "\n".join([*doctor.lines(found, doctor.width()), f"{totals(found)}."])


def shown_login(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with CliRunner().isolation() as (out, *_):
        for vendor in VENDORS.values():
            login.show(vendor.terms)
        login.show(
            "\n  https://claude.ai/oauth/authorize?code=true&client_id=made-up&response_type=code&state=x\n"
        )
        login.show("claude:anna@example.org is logged in: /home/anna/.cli-proxy-api/claude-anna.json")
        return out.getvalue().decode()


def shown_demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    rows = [
        (
            "Anthropic Messages, streamed",
            "local",
            "claude-sonnet-4-6",
            "claude-sonnet-4-6",
            "200",
            "30.8",
            "31.9",
            "ok",
        ),
        (
            "mapped by a regular expression",
            "mapped",
            "claude-opus-4-20250514",
            "claude-sonnet-4-6",
            "200",
            "8.1",
            "8.2",
            "ok",
        ),
        ("a model that nobody has", "none", "no-such-model", "-", "404", "1.2", "1.2", "WRONG"),
    ]
    return "\n".join(demo.table(rows))


def shown_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    class Book(key._Book):
        def __init__(self, file: Path | None) -> None:
            self.config, self.path, self.text = configuration(), FILE, CONFIG

    service_answers(monkeypatch)
    monkeypatch.setattr(key, "_Book", Book)
    monkeypatch.setattr(key, "_used", lambda *_: {"day": Amounts(17, 90000, 1.25)})
    return run("key", "list") + "\n" + run("key", "show", "ci")


def shown_neo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(neo_plan, "amp_account", lambda config: None)
    monkeypatch.setattr(neo, "amp_account", lambda config: None)
    return run("neo", "status")


def shown_usage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with closing(Store(folder / NAME)) as ledger:
        ledger.write(
            [
                entry(NOON, tokens=Tokens(1_000_000, 0, 0, 100_000, 0)),
                entry(NOON + DAY, asked="gpt-5.4", served="gpt-5.4", route="mapped", client="ci"),
                entry(NOON + DAY, served="qwen3-coder:30b-a3b-instruct-q8_0", asked="local-coder"),
                entry(NOW - 1, asked="gpt-5.4", served="", account="", route="amp"),
            ]
        )
    place = Kept(
        configured.replace(configuration(), state_dir=folder), "of the service that runs as ampproxy."
    )
    monkeypatch.setattr(usage, "kept", lambda config: place)
    text = run("usage")
    return text[: text.index("Prices: ")]  # of the package's version of the day


def shown_status(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    about = Status(
        "ready", 3, NOW / SECOND - 900, pid=4711, version="1.0", user="ampproxy", config=str(FILE),
        state_dir="/var/lib/ampproxy", listening=("127.0.0.1:8317", "/run/ampproxy/ampproxy.sock"), running=2,
        started=NOW / SECOND - 90_000,
    )  # fmt: skip
    seen = status.Seen(
        True,
        status=about,
        log="/var/lib/ampproxy/ampproxy.log",
        accounts={"ready": 2, "untried": 1, "resting": 1, "needs login": 1},
        today=status.Today(1234, 5, 12_345_678, 345_678, "$12.34+?"),
        attention=("claude:anna@example.org: needs login (ampproxy login claude)",),
    )
    return "\n".join(status.lines(seen, NOW / SECOND, status.width()))


def shown_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    with closing(Store(folder / NAME)) as ledger:
        ledger.write(
            [
                entry(NOON, client="laptop"),
                entry(
                    NOW - 2 * SECOND, asked="gpt-5.4", served="claude-opus-4-6", route="mapped", client="ci"
                ),
                entry(NOW - SECOND, role="oracle", served="", account="", route="amp", tokens=None),
                entry(NOW, asked="qwen3-coder:30b-a3b-instruct-q8_0", outcome="upstream-error")._replace(
                    status=502
                ),
            ]
        )
    place = Kept(
        configured.replace(configuration(), state_dir=folder), "of the service that runs as ampproxy."
    )
    monkeypatch.setattr(log, "kept", lambda config: place)
    return run("log")


def shown_try(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = {
        "account": "openai-compatibility/workstation-in-the-cellar[0]", "asked": "local-coder",
        "served": "qwen3-coder:30b", "cost_usd": 0.0123,
        "tokens": {"input": 1200, "cache_read": 0, "cache_write": 0, "output": 34},
    }  # fmt: skip
    with CliRunner().isolation() as (out, *_):
        for line in try_.conclusion(try_.Tried(200, "mapped", "x", 812, 2345, exchange=found)):
            try_.sentence(line)
        return out.getvalue().decode()


def shown_chat(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A turn that is answered, and one that is not."""
    answers = iter([Tried(200, text="Hello there."), Tried(429, error="No account can serve m for 30 min.")])

    def ask(asker: Any, path: str, body: Any, thread: str, show: Callable[[str], object]) -> Tried:
        answer = next(answers)
        show(answer.text)
        return answer

    monkeypatch.setattr(chat, "ask", ask)
    monkeypatch.setattr(ServiceClient, "mine", lambda self: None)
    return run("chat", "m", typed="hello\nagain\n")


def shown_init(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    models = ("qwen3-coder:30b-a3b-instruct-q8_0", "gpt-oss:20b", "gemma3:27b", "devstral:24b")
    servers = (
        Server("ollama", "http://127.0.0.1:11434/v1", models),
        Server("vllm", "http://127.0.0.1:8000/v1"),
    )
    found = Found(servers=servers, logins=("claude",), other="port: 1")
    seen = init.Seen(found, ("ANTHROPIC_API_KEY",), ("codex",), Path("/home/anna/.cli-proxy-api/config.yaml"))
    with CliRunner().isolation() as (out, *_):
        for line in init.described(seen):
            init.sentence(line, "", "  ")
        return out.getvalue().decode()


def shown_not_running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def fail(self: ServiceClient) -> Status:
        raise NotReachable("no answer at 127.0.0.1:8317 (Connection refused).")

    monkeypatch.setattr(ServiceClient, "mine", fail)
    monkeypatch.setattr("ampproxy.cli.service_client.INSISTING", 0)
    for module in (reload, restart):
        monkeypatch.setattr(module, "beside", lambda file, at="": configuration())
    verbs = (("status",), ("stop",), ("reload",), ("restart",), ("try", "claude-opus-4-6"))
    return "".join(run(*verb) for verb in verbs)


def shown_alerts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    cooling = (
        "No account can serve claude-opus-4-6, claude-haiku-4-5 and 3 more: claude-api-key[0] is rate limited"
    )
    now = NOON / SECOND
    report = AlertsReport(
        True,
        now,
        (
            Alert("all-cooling", "all accounts", f"{cooling}.", since=now - 600),
            Alert(
                "model-retiring",
                "gemini-3-pro-preview",
                "The mapping of x to gemini-3-pro-preview: gemini-3-pro-preview was retired on 2026-03-09.",
                "write in this mapping:\nto: gemini-3.1-pro-preview",
                now - 90000,
            ),
        ),
        (
            Delivered("webhook at hooks.example.org", True, "status 200: ok", now - 599),
            Delivered("command /usr/local/bin/page-me", False, "exit status 3: no route to host", now - 598),
        ),
    )
    with CliRunner().isolation() as (out, *_):
        for text, indent, hang in alerts.lines(report):
            sentence(text, indent, hang)
        return out.getvalue().decode()


CASES: dict[str, Callable[[Path, pytest.MonkeyPatch], str]] = {
    "accounts": with_service("accounts"),
    "alerts": shown_alerts,
    "accounts-without-service": without_service,
    "models": with_service("models"),
    "models-verbose": with_service("models", "--verbose"),
    "explain": verb("explain", "gpt-5.3-codex"),
    "explain-unserved": verb("explain", "grok-6"),
    "credits": with_service("credits"),
    "check": shown_check,
    "doctor": shown_doctor,
    "login": shown_login,
    "demo": shown_demo,
    "key": shown_key,
    "neo": shown_neo,
    "usage": shown_usage,
    "status": shown_status,
    "log": shown_log,
    "try": shown_try,
    "chat": shown_chat,
    "init": shown_init,
    "not-running": shown_not_running,
    "help": verb("--help"),
    "chek": verb("chek"),
}


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", CASES)
def test_snapshot(name: str, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as it was, and no line is wider than the terminal but for what is to be copied whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = click.unstyle(CASES[name](tmp_path, monkeypatch)).rstrip("\n") + "\n"
    for line in text.splitlines():
        longest = max(map(cells, line.split()), default=0)
        assert cells(line) <= columns or longest > columns - 16 or is_copied(line), line
    stored = SNAPSHOTS / f"{name}.{columns}.txt"
    if WRITE:
        stored.write_text(text, encoding="utf-8")
    assert text == stored.read_text(encoding="utf-8")


def is_copied(line: str) -> bool:
    """Whether a line is YAML for the configuration, or a command."""
    return line.lstrip().startswith(("- {", "amp config "))


def test_all_are_used() -> None:
    """No text is left over from a case that is gone."""
    expected = {f"{name}.{columns}.txt" for name in CASES for columns in (80, 120)}
    assert {path.name for path in SNAPSHOTS.glob("*.txt")} == expected
