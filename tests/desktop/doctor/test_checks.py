"""The checks judge what was gathered; here it is made up. No finding shows a secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ampproxy.catalog.families import Family, Override
from ampproxy.config.load import ABSENT, parse
from ampproxy.config.schema import Config
from ampproxy.credentials.report import CooldownReport, Report, untouched
from ampproxy.desktop.clients.gateway import Seen
from ampproxy.desktop.clients.installed import Installed, parse_version
from ampproxy.desktop.clients.places import Machine
from ampproxy.desktop.clients.scan import Kept, Setting, Unread
from ampproxy.desktop.doctor.checks import CHECKS, Check, examine
from ampproxy.desktop.doctor.context import Context, Probe, Target, targets
from ampproxy.desktop.doctor.finding import LEVELS, Examination, Finding, LiveRow, note, totals
from ampproxy.model.ledger import DatabaseState
from ampproxy.routing.catalog import Catalog
from ampproxy.routing.decide import Router
from ampproxy.status import Status
from ampproxy.wire.redact import Secret

KEY, OTHER = "canary-client-key-aa11", "canary-other-key-bb22"
URL = "http://127.0.0.1:8317"
CONFIG = f"""
api-keys: [{KEY}]
claude-api-key: [{{api-key: canary-account-key-cc33, models: [claude-sonnet-4-6]}}]
codex-api-key: [{{api-key: canary-account-key-dd44}}]
"""
MAY, SEP = "0.0.1777897475-g2324e1", "0.0.1790142911-g7618fb"


def config_of(text: str) -> Config:
    environ = {"KEY": "canary-from-elsewhere"}
    return parse(
        text, name="c.yaml", environ=environ, home=Path("/home/u"), read_secret=lambda path: "canary-read"
    )


TODAY = date(2026, 11, 29)
#: Its noon.
NOW = 1_795_953_600.0


def context(text: str = CONFIG, home: Path = Path("/nonexistent"), **known: Any) -> Context:
    """A machine where all is well, but for what is said."""
    config = config_of(text)
    config = structs.replace(config, state_dir=home / "state", auth_dir=home / "auth")
    ready = [replaced(untouched(account), state="ready") for account in config.accounts]
    usual: dict[str, Any] = {
        "machine": Machine(home, {}, "linux", home / "root"),
        "cwd": home,
        "source": home / "c.yaml",
        "config": config,
        "complaints": (),
        "logins_why": "",
        "router": Router(config, Catalog(config, {}, config.families.gone(TODAY))),
        "families": config.families,
        "clis": (cli(MAY),),
        "editors": (),
        "settings": (Setting("settings", "/s.json", "amp.url", URL),),
        "unread": (),
        "keys": (Kept(URL, Secret(KEY)),),
        "keys_why": "",
        "url": URL,
        "seen": Seen("ready", names=("m",)),
        "report": Report(tuple(ready)),
        "report_why": "",
        "now": NOW,
    }
    return Context(**{**usual, **known})


def replaced(report: Any, **values: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(report, **values)


def cli(version: str, path: str = "/bin/amp") -> Installed:
    return Installed("amp", Path(path), parse_version(version))


def found(name: str, one: Context) -> list[Finding]:
    """What one check finds; none of its words is a secret."""
    check = next(check for check in CHECKS if check.name == name)
    findings = examine(one, [check])
    for finding in findings:
        assert "canary" not in finding.text + finding.todo
        assert finding.text.endswith(".")
        assert finding.todo or finding.level in ("ok", "note")
    return list(findings)


def levels(name: str, one: Context) -> list[str]:
    return [finding.level for finding in found(name, one)]


def also(one: Context, *more: Setting) -> Context:
    return replace(one, settings=(*one.settings, *more))


def test_all_is_well(tmp_path):
    """Where nothing is wrong, nothing but ok and what each model costs is said."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "c.yaml").chmod(0o600)
    one = context(home=tmp_path)
    for check in CHECKS:
        if check.name not in ("models", "upstreams"):
            assert set(levels(check.name, one)) <= {"ok"}, check.name


def test_a_check_is_a_row():
    """To add a check is to add a function and its row."""
    mine = Check("mine", "Mine", lambda one: [note(f"There are {len(one.clis)} clients.")])
    (finding,) = examine(context(), [mine])
    assert finding == Finding("mine", "note", "There are 1 clients.")
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_generations():
    """A classic client is well; Neo's calls need a connection, else Amp bills them: both ways are named."""
    assert levels("clients", context()) == ["ok"]
    (neo,) = found("clients", context(clis=(cli(SEP),)))
    assert neo.level == "warning"
    assert "billed by Amp" in neo.text
    assert "ampproxy neo setup" in neo.todo
    assert f"@sourcegraph/amp@{MAY}" in neo.todo
    assert levels("clients", context(clis=(cli(MAY), cli(SEP, "/x/amp")))) == ["ok", "note"]
    assert levels("clients", context(clis=(cli("0.0.1780000000-gabcdef"),))) == ["note"]
    (nothing,) = found("clients", context(clis=()))
    assert "npm install" in nothing.todo
    editor = Installed("Cursor", Path("/e"), None, "editor")
    assert levels("clients", context(clis=(), editors=(editor,))) == ["note"]


@pytest.mark.parametrize(
    ("where", "level", "words"),
    [
        (Setting("environment", "the environment", "AMP_URL", "https://u:canary@ampcode.com/x?canary"),
         "warning", "goes to https://ampcode.com/x (the environment), not to the gateway"),
        (Setting("shell", "/h/.bashrc:3", "AMP_URL", "https://ampcode.com"),
         "warning", "goes before the settings"),
        (Setting("shell", "/h/.bashrc:3", "AMP_URL", "http://localhost:8317/"), "ok", "which is the gateway"),
        (Setting("shell", "/h/.bashrc:3", "AMP_URL", "http://["), "warning", "to (no address)"),
        (Setting("workspace", "/w/.vscode/settings.json", "amp.url", URL),
         "warning", "a repository must not"),
        (Setting("managed", "/etc/m.json", "amp.url", URL), "note", "all users"),
        (Setting("editor", "/c/settings.json", "amp.url", "https://ampcode.com/"),
         "warning", "not the gateway"),
        (Setting("shell", "/h/.bashrc:9", "AMP_SETTINGS_FILE", "/x"), "note", "another settings file"),
    ],
)  # fmt: skip
def test_addresses(where, level, words):
    """Every place that tells an address is judged by what it does."""
    findings = found("addresses", also(context(), where))
    assert [finding.text for finding in findings if finding.level == level and words in finding.text]


def test_cli_address():
    """Without any setting the CLI goes to Amp; setup is what helps."""
    (finding,) = found("addresses", context(settings=()))
    assert "goes to https://ampcode.com/ (no setting changes it)" in finding.text
    assert finding.todo == "ampproxy setup"
    named = context(CONFIG + "allowed-hosts: [amp.example.com]\n")
    named = replace(named, settings=(Setting("settings", "/s", "amp.url", "https://amp.example.com"),))
    assert levels("addresses", named) == ["ok"]


def test_editors_and_broken_files():
    """An editor with the extension and no address; a settings file that cannot be read."""
    editor = Installed("Cursor", Path("/e"), parse_version(MAY), "editor")
    findings = found("addresses", context(editors=(editor,), unread=(Unread("settings", "/s", "line 1: x"),)))
    assert [finding.level for finding in findings] == ["ok", "note", "problem"]
    assert findings[1].todo == "ampproxy setup --vscode"


@pytest.mark.parametrize(
    ("keys", "more", "level", "words"),
    [
        ((), (), "problem", "has no key"),
        ((Kept(URL, Secret(OTHER)),), (), "problem", "not one of the gateway's api-keys"),
        ((Kept(URL + "/", Secret(KEY)),), (), "problem", "trailing slash?"),
        (
            (),
            (Setting("environment", "the environment", "AMP_API_KEY", key=Secret(KEY)),),
            "ok",
            "environment",
        ),
        (
            (),
            (Setting("environment", "the environment", "AMP_API_KEY", key=Secret(OTHER)),),
            "problem",
            "refused",
        ),
        (
            (),
            (Setting("shell", "/h/.zshrc:1", "AMP_API_KEY", key=Secret(OTHER)),),
            "warning",
            "goes before",
        ),
        ((), (Setting("shell", "/h/.zshrc:1", "AMP_API_KEY", key=Secret(KEY)),), "note", "takes"),
        (
            (),
            (Setting("workspace", "/w/.envrc:1", "AMP_API_KEY", key=Secret(KEY)),),
            "warning",
            "shared",
        ),
        (
            (),
            (Setting("settings", "/s.json", "amp.apiKey", key=Secret(KEY)),),
            "note",
            "where none is looked for",
        ),
    ],
)
def test_keys(keys, more, level, words):
    """The key that the CLI presents is the gateway's, or it is said why not; none is shown."""
    findings = found("keys", also(context(keys=keys), *more))
    assert [finding.text for finding in findings if finding.level == level and words in finding.text]


def test_keys_of_amp():
    """Where Amp's own keys are let in, one may be presented."""
    text = CONFIG + "ampcode: {upstream-url: 'https://amp.test', accept-amp-keys: true}\n"
    assert levels("keys", context(text, keys=(Kept(URL, Secret(OTHER)),))) == ["note"]


def test_unreadable_keys():
    """A broken secrets file is a problem."""
    assert levels("keys", context(keys=(), keys_why="line 1: expected a value")) == ["problem", "problem"]


def test_configuration():
    """No file, a wrong one, an odd one, an open one."""
    nothing = {"config": None, "router": None, "report": None, "seen": None, "url": ""}
    (finding,) = found("configuration", context(source=None, **nothing))
    assert (finding.level, finding.text) == ("problem", ABSENT)
    complaints = ("c.yaml:1: port: is wrong", "c.yaml:2: host: is wrong")
    assert levels("configuration", context(complaints=complaints, **nothing)) == ["problem"] * 2
    absent = ("c.yaml:1: file: cannot be read: No such file or directory",)
    (finding,) = found("configuration", context(complaints=absent, **nothing))
    assert "--config" in finding.todo
    # Without a gateway, no key can be a wrong one for it.
    shell = Setting("shell", "/h/.zshrc:1", "AMP_API_KEY", key=Secret(OTHER))
    (finding,) = found("keys", also(context(**nothing), shell))
    assert (finding.level, "gateway" in finding.text) == ("note", False)
    assert levels("configuration", context(CONFIG + "no-such-key: 1\n")) == ["warning", "ok"]
    assert levels("configuration", context("port: 1\n")) == ["ok", "note"]
    assert "without TLS" in found("configuration", context(CONFIG + "host: ''\n"))[-1].text
    assert levels("configuration", context(logins_why="Permission denied")) == ["ok", "problem"]
    for check in CHECKS:
        found(check.name, context(source=None, **nothing))


def test_permissions(tmp_path):
    """Files with secrets, and those that decide where keys go, are their owner's alone."""
    one = context(home=tmp_path)
    assert one.config is not None
    assert one.source is not None
    one.source.write_text(CONFIG)
    secrets = tmp_path / ".local/share/amp/secrets.json"
    secrets.parent.mkdir(parents=True)
    secrets.write_text("{}")
    one.config.auth_dir.mkdir()
    login = one.config.auth_dir / "claude-a.json"
    login.write_text("{}")
    one.config.state_dir.mkdir()
    for path, mode in (
        (one.source, 0o644),
        (secrets, 0o640),
        (login, 0o622),
        (one.config.auth_dir, 0o755),
        (one.config.state_dir, 0o777),
    ):
        path.chmod(mode)
    findings = found("permissions", one)
    assert [finding.todo.split()[:2] for finding in findings] == [
        ["chmod", "600"],
        ["chmod", "600"],
        ["chmod", "700"],
        ["chmod", "go-w"],
        ["chmod", "700"],
    ]
    one.config.state_dir.chmod(0o755)
    for path, mode in ((one.source, 0o600), (secrets, 0o600), (login, 0o600), (one.config.auth_dir, 0o700)):
        path.chmod(mode)
    assert levels("permissions", one) == ["ok"]


def test_no_secret_in_the_file(tmp_path):
    """A configuration whose secrets are elsewhere may be read by all: the service's own user has to. One with
    a secret in it, wherever that stands, may not.
    """
    for text, level in (
        ("claude-api-key: [{api-key: 'file:/run/secrets/claude'}]\n", "ok"),
        ("claude-api-key: [{api-key: '${KEY}', models: [m]}]\n", "ok"),
        ("api-keys: ['prefix-${KEY}']\n", "ok"),
        ("port: 1\n", "ok"),
        ("api-keys: [canary-key]\n", "warning"),
        ("api-keys: ['canary-$${x']\n", "warning"),
        ("proxy-url: http://u:canary-pass@p.test\n", "warning"),
        ("proxy-url: http://u:${KEY}@p.test\n", "ok"),
        ("gemini-api-key: [{api-key: '${KEY}', headers: {x-token: canary}}]\n", "warning"),
        ("gemini-api-key: [{api-key: '${KEY}', headers: {x-token: '${KEY}'}}]\n", "ok"),
        ("ampcode: {upstream-url: 'https://a.test', upstream-api-key: canary-amp}\n", "warning"),
    ):
        one = context(text, home=tmp_path)
        assert one.source is not None
        one.source.write_text(text)
        one.source.chmod(0o644)
        assert levels("permissions", one) == [level], text
    broken = replace(one, config=None)
    assert levels("permissions", broken) == ["ok"]


@pytest.mark.parametrize(
    ("seen", "level", "todo"),
    [
        (Seen("ready", names=("m", "n")), "ok", ""),
        (Seen("ready", details=Status("ready", 1, 0.0, config="/home/u/other.yaml")), "problem", "--config"),
        (Seen("unasked", "api-keys[0] (KEY)"), "note", "as root"),
        (Seen("unasked", "api-keys (none is in AMPPROXY_API_KEY)"), "note", "set AMPPROXY_API_KEY to one"),
        (Seen("down", "Connection refused"), "problem", "ampproxy serve --config"),
        (Seen("mute", "BadStatusLine"), "problem", "ss -ltnp 'sport = :8317'"),
        (Seen("foreign", "it is another gateway"), "problem", "ss -ltnp"),
        (Seen("refused", "/v1/models is answered with 401"), "problem", "stop it"),
        (Seen("untrusted", "self-signed"), "problem", "restart it"),
        (Seen("untrusted", "certificate has expired"), "problem", "renew it"),
        (Seen("stranger", "it belongs to user nobody"), "problem", "run the doctor as that one"),
    ],
)
def test_service(seen, level, todo):
    """Whether the service is there, whether it is ours, and what else holds the port."""
    (finding,) = found("service", context(seen=seen))
    assert finding.level == level
    assert todo in finding.todo
    assert levels("service", context(CONFIG + "port: 0\n", url="", seen=None)) == ["note"]


def test_service_without_keys():
    """Where there are no api-keys, it is not said that one of them was taken."""
    (finding,) = found("service", context("claude-api-key: [{api-key: canary-k}]\n"))
    assert finding.text == f"The gateway at {URL} answers (no client key is set)."


def test_another_configuration_runs():
    """A service with other accounts than the file's is told of."""
    one = context()
    assert one.report is not None
    fewer = replace(one, report=Report(one.report.accounts[:1]))
    assert levels("service", fewer) == ["ok", "warning"]


def test_accounts():
    """Each account's state, with what helps."""
    one = context()
    assert one.report is not None
    first, second = one.report.accounts
    cooldown = CooldownReport(None, None, "is rate limited", 1, 99.0, 60.0, False, "wait", 60.0, "Slow down.")
    login = replaced(second, state="needs login", error="revoked", suggestion="ampproxy login claude")
    cooling = replaced(first, state="resting", cooldowns=(cooldown,))
    findings = found(
        "accounts", replace(one, report=Report((cooling, login, replaced(first, state="failing"))))
    )
    assert [finding.level for finding in findings] == ["warning", "problem", "warning"]
    assert "it is tried again in 60 s" in findings[0].text
    assert findings[1].todo == "ampproxy login claude"
    assert levels("accounts", replace(one, report=None, report_why="nobody answers.")) == ["note"]
    assert levels("accounts", context(f"api-keys: [{KEY}]\n")) == ["problem"]


def test_upstreams():
    """What is reached, what is not, and Amp's own upstream."""
    target = Target("https://a.test", "http://u:canary@p:1", ("a", "b", "c", "d"))
    amp = Target("https://amp.test", None, ("Amp",), amp=True)
    probes = (Probe(target, 0.01), Probe(target, 1.0, "It refused."), Probe(amp, 1.0, "It refused."))
    findings = found("upstreams", context(probes=probes))
    assert [finding.level for finding in findings] == ["ok", "problem", "warning", "note"]
    assert findings[0].text == "https://a.test is reached through the proxy in 10 ms (a, b, c ...)."
    keyless = context(CONFIG + "ampcode: {upstream-url: 'https://amp.test'}\n")
    assert "no key for the Amp upstream" in found("upstreams", keyless)[0].text


def test_targets():
    """Each origin once for each proxy on the way to it; the proxy's password is not shown."""
    config = config_of(
        CONFIG
        + "proxy-url: http://u:canary-pw@p.test:3128\n"
        + "ampcode: {upstream-url: 'https://ampcode.com/x'}\n"
        + "openai-compatibility:\n"
        + "  - {name: l, base-url: 'http://[::1]:1/v1', proxy-url: direct,\n"
        + "     api-key-entries: [{api-key: a}, {api-key: b}]}\n"
    )
    found = {target.url: target for target in targets(config)}
    assert list(found) == [
        "https://api.anthropic.com",
        "https://api.openai.com",
        "http://[::1]:1",
        "https://ampcode.com",
    ]
    assert found["http://[::1]:1"].who == ("openai-compatibility/l[0]", "openai-compatibility/l[1]")
    assert found["http://[::1]:1"].proxy == "direct"
    assert found["https://ampcode.com"].amp
    assert "canary" not in repr(found)


def test_mappings():
    """A mapping without a target, one that lacks what a role needs, one unknown, a good one."""
    text = CONFIG + (
        "openai-compatibility:\n"
        "  - {name: l, base-url: 'http://l.test/v1',\n"
        "     models: [{name: 'llama3:8b', alias: small}, own-model]}\n"
        "ampcode:\n"
        "  model-mappings:\n"
        "    - {from: claude-opus-4-7, to: claude-sonnet-4-6}\n"
        "    - {from: claude-opus-4-6, to: gone}\n"
        "    - {from: gemini-3-flash-preview, to: small}\n"
        "    - {role: painter, to: own-model}\n"
        "    - {from: nobody-asks, to: small}\n"
    )
    findings = found("mappings", context(text))
    said = [(finding.level, finding.text) for finding in findings]
    good = "The mapping claude-opus-4-7 -> claude-sonnet-4-6, line 10 is served by claude-api-key[0]"
    assert ("ok", f"{good} for smart, task, handoff.") in said
    gone = "The mapping claude-opus-4-6 -> gone, line 11 has no effect: no account offers gone."
    assert ("warning", gone) in said
    small = [finding for finding in findings if "gemini-3-flash-preview -> small" in finding.text]
    assert small[0].level == "warning"
    assert "llama3:8b has no tools" in small[0].text
    assert "finder" in small[0].text
    assert any("has no images, which look_at needs" in finding.text for finding in small)
    assert any("long threads will fail" in finding.text for finding in small)
    unknown = [finding for finding in findings if "painter -> own-model" in finding.text]
    assert {finding.level for finding in unknown} == {"note"}
    assert "is not known here" in unknown[0].text
    assert "(no Amp role currently uses this model)" in findings[-1].text


def test_a_mapping_to_what_no_vendor_lists():
    """A misspelt target, or a name of another gateway's, is asked for because of its family alone: that is
    told where the vendor's list is known.
    """
    text = CONFIG + (
        "gemini-api-key: [{api-key: canary-account-key-ee55}]\n"
        "ampcode: {model-mappings: [{from: claude-opus-4-5, to: gemini-claude-opus-4-5-thinking}]}\n"
    )
    for listed, level in (("gemini-3.1-pro-preview", "warning"), ("gemini-claude-opus-4-5-thinking", "ok")):
        config = config_of(text)
        catalog = Catalog(config, {"gemini-api-key[0]": (listed,)}, config.families.gone(TODAY))
        (finding,) = found("mappings", context(text, router=Router(config, catalog)))
        assert finding.level == level, finding
        assert ("because of its name alone" in finding.text) is (level == "warning")


def test_models():
    """Each model that the installed version asks for: served, for credits, or by nobody."""
    local = {finding.text.split()[0]: finding for finding in found("models", context())}
    assert local["gpt-5.4"].level == "ok"
    assert local["claude-sonnet-4-6"].text.startswith("claude-sonnet-4-6 (librarian; Amp of 2026-05-04)")
    assert local["gemini-3-flash-preview"].level == "warning"
    assert "has no account that serves it" in local["gemini-3-flash-preview"].text
    assert "gemini-api-key" in local["gemini-3-flash-preview"].todo
    amp = context(CONFIG + "ampcode: {upstream-url: 'https://amp.test'}\n")
    paid = {finding.text.split()[0]: finding for finding in found("models", amp)}
    assert "goes to Amp and costs credits" in paid["gemini-3-flash-preview"].text
    never = context(CONFIG + "ampcode: {upstream-url: 'https://amp.test', fallback: never}\n")
    assert "costs credits" not in str(
        [one.text for one in found("models", never) if "nobody" not in one.text]
    )
    few = context("claude-api-key: [{api-key: canary-account-key-cc33, models: [claude-sonnet-4-6]}]\n")
    several = {finding.text.split()[0]: finding for finding in found("models", few)}["claude-opus-4-7"]
    kind, _, yaml = several.todo.partition("\n")
    assert kind == "to serve it:"
    # All of its roles, and lines that can be put into the file as they are.
    config = config_of("claude-api-key: [{api-key: k, models: [claude-sonnet-4-6]}]\n" + yaml)
    assert config.ampcode.mappings[0].roles == ("smart", "task", "handoff")
    old = found("models", context(clis=(cli("0.0.1767830505-ga62310"),)))
    assert any(finding.text.startswith("gpt-5.1 (oracle; Amp of 2026-01-08)") for finding in old)


def test_unknown_routes(tmp_path):
    """What the service has remembered of unknown routes."""
    one = context(home=tmp_path)
    assert levels("unknown-routes", one) == ["ok"]
    route = {"method": "POST", "path": "/api/new/{id}", "count": 3, "first_seen": 0, "last_seen": 86400,
             "clients": ["CLI 0.0.1"]}  # fmt: skip
    routes = [route, *({**route, "path": f"/api/more{number}", "count": 1} for number in range(12))]
    (tmp_path / "state").mkdir()
    (tmp_path / "state/unknown-routes.json").write_text(json.dumps({"routes": routes}))
    findings = found("unknown-routes", one)
    assert findings[0].text == (
        "POST /api/new/{id} was asked for 3 times by CLI 0.0.1, last on 1970-01-02, and is not known here."
    )
    assert len(findings) == 11
    assert findings[-1].text.startswith("3 more routes")
    # What cannot be read is not taken for nothing.
    (finding,) = found("unknown-routes", context(home=tmp_path / ("x" * 300)))
    assert (finding.level, "File name too long" in finding.text) == ("note", True)


def test_worst():
    """The status follows from the worst finding, or from a role that failed."""
    findings = (Finding("a", "ok", "."), Finding("a", "warning", "."))
    assert Examination(findings).worst == "warning"
    assert Examination(()).worst == "ok"
    row = LiveRow("smart", "m", "a", "m", "anthropic", "local", "failed")
    assert Examination(findings, (row,)).worst == "problem"
    assert totals(Examination((*findings, *findings))) == "2 warnings, 2 ok"
    assert totals(Examination(findings, (row, row))) == "2 problems, 1 warning, 1 ok"


def test_documented():
    """The guide has a row for each check and each level."""
    guide = (Path(__file__).parents[3] / "docs/doctor.md").read_text(encoding="utf-8")
    for name in (*(check.name for check in CHECKS), *LEVELS):
        assert f"| `{name}` |" in guide


def test_settings_of_cliproxyapi_are_one_line():
    """What CLIProxyAPI's settings do not do here is one note; every other oddity is a warning of its own."""
    foreign = "request-log: true\npprof: {}\nobservability: {logs: {logging-to-file: true}}\n"
    findings = found("configuration", context(f"{CONFIG}{foreign}prot: 1\n"))
    assert [one.text for one in findings if one.level == "note"] == [
        "3 settings of CLIProxyAPI have no effect here."
    ]
    (odd,) = (one for one in findings if one.level == "warning")
    assert "prot: is not a known setting" in odd.text
    (single,) = (
        one for one in found("configuration", context(f"{CONFIG}pprof: {{}}\n")) if one.level == "note"
    )
    assert single.text == "1 setting of CLIProxyAPI has no effect here."


def test_logins_that_are_not_served():
    """A login of a kind that is not served is a warning."""
    sentence = "kimi-me.json is a login of the kind kimi, which is not served"
    warnings = [
        one.text for one in found("configuration", context(unserved=(sentence,))) if one.level == "warning"
    ]
    assert warnings == [f"{sentence}."]


def test_a_mapping_that_never_acts():
    """A mapping of a model that an account serves anyway is a warning, unless mappings are forced."""
    mapping = "model-mappings: [{from: claude-sonnet-4-6, to: gpt-5.4}]"
    text = f"{CONFIG}ampcode: {{{mapping}, force-model-mappings: "
    (idle,) = found("mappings", context(f"{text}false}}"))
    assert idle.level == "warning"
    assert "has no effect: claude-sonnet-4-6 is served by claude-api-key[0], and force-" in idle.text
    assert not [one for one in found("mappings", context(f"{text}true}}")) if "has no effect" in one.text]


QUICKSTART = Path(__file__).parents[3] / "docs" / "quickstart.md"


def test_quickstart():
    """The doctor finds nothing wrong with the configuration of the quickstart."""
    (text,) = re.findall(r"```yaml\n(.*?)```", QUICKSTART.read_text(), re.DOTALL)
    one = context(re.sub(r"\$\{\w+\}", "canary-key", text))
    for name in ("configuration", "mappings", "models", "lifecycle"):
        wrong = [finding for finding in found(name, one) if finding.level in ("warning", "problem")]
        assert wrong == [], name


@pytest.mark.parametrize("mapped", [True, False])
def test_a_model_that_cannot(mapped):
    """A model that is served by one without what its role needs is not well."""
    text = "claude-api-key: [{api-key: canary-k, models: [%s]}]\nampcode:\n  model-mappings: [%s]\n" % (
        ("claude-haiku-4-5", "{from: '^gemini-', to: claude-haiku-4-5, regex: true}")
        if mapped
        else ("{name: claude-haiku-4-5, alias: gemini-3-pro-image-preview}", "")
    )
    painter = [finding for finding in found("models", context(text)) if "(painter;" in finding.text]
    assert [finding.level for finding in painter] == ["warning"]
    assert "is served by claude-api-key[0]" in painter[0].text
    assert "which cannot do it: it has no drawing" in painter[0].text
    assert "map painter to a model that has it" in painter[0].todo


GOING = """
claude-api-key: [{api-key: canary-a}]
codex-api-key:
  - {api-key: canary-b, base-url: "https://api.openai.com/v1", models: [gpt-5.1, {name: gpt-5, alias: five}]}
gemini-api-key: [{api-key: canary-c}]
openai-compatibility:
  - {name: local, base-url: "http://127.0.0.1:9/v1", models: [gpt-5]}
ampcode:
  model-mappings:
    - {from: one, to: "claude-sonnet-4-5(high)"}
    - {from: two, to: claude-opus-4-6}
    - {role: painter, to: gemini-3-pro-image-preview}
"""


def lifecycle(text: str = GOING, **known: Any) -> list[tuple[str, str, str]]:
    """What is found of models that go away."""
    return [(one.level, one.text, one.todo) for one in found("lifecycle", context(text, **known))]


def test_models_that_go_away():
    """Weeks before, and afterwards: what is mapped to, what is named, with the lines that mend it."""
    assert lifecycle() == [
        (
            "warning",
            "The mapping of one to claude-sonnet-4-5(high): claude-sonnet-4-5 is retired by its vendor on"
            " 2026-11-30, in 1 day.",
            'write in this mapping:\nto: "claude-sonnet-5-5(high)"',
        ),
        (
            "problem",
            "The mapping of painter to gemini-3-pro-image-preview: gemini-3-pro-image-preview was retired by"
            " its vendor on 2026-06-25.",
            "write in this mapping:\nto: gemini-3-pro-image",
        ),
        (
            "warning",
            "codex-api-key[0]'s models: gpt-5 is retired by its vendor on 2026-12-11, in 12 days.",
            "write in the account's models, in its place:\n- {name: gpt-6.2-sol, alias: five}",
        ),
    ]


def test_what_amp_asks_for_goes_away():
    """What an account serves by Amp's own name, unless a mapping is ready to take over."""
    text = "gemini-api-key: [{api-key: canary-c}]\n"
    assert lifecycle(text) == [
        (
            "problem",
            "Amp asks for gemini-3-pro-image-preview: gemini-3-pro-image-preview was retired by its vendor on"
            " 2026-06-25.",
            "write under ampcode.model-mappings:\n"
            "- {from: gemini-3-pro-image-preview, to: gemini-3-pro-image}",
        )
    ]
    mended = (
        f"{text}ampcode: {{model-mappings: [{{from: gemini-3-pro-image-preview, to: gemini-3-pro-image}}]}}"
    )
    assert [level for level, _, _ in lifecycle(mended)] == ["ok"]
    # And the mapping acts: nobody waits for what is gone.
    route = context(mended).router.route("gemini-3-pro-image-preview", amp=True)
    assert (route.kind.value, route.resolved_model) == ("mapped", "gemini-3-pro-image")
    assert [one.level for one in found("mappings", context(mended))] == ["ok"]


@pytest.mark.parametrize(
    ("days", "levels"), [(91, ["ok"]), (90, ["warning"]), (1, ["warning"]), (0, ["problem"])]
)
def test_how_long_before(days, levels):
    """From ninety days before to the day itself."""
    day = TODAY + timedelta(days)
    text = f"claude-api-key: [{{api-key: k}}]\ncatalog: [{{names: [claude-opus-4-6], retires: {day}}}]\n"
    mapping = "ampcode: {model-mappings: [{from: two, to: claude-opus-4-6}]}\n"
    assert [level for level, _, _ in lifecycle(text + mapping, clis=())][:1] == levels


def test_a_vendors_word_counts():
    """A deprecated model that its vendor declares is still there has not gone, though its day has."""
    text = "claude-api-key: [{api-key: k}]\nampcode: {model-mappings: [{from: two, to: claude-sonnet-4-5}]}\n"
    listed = {"claude-sonnet-4-5": Override(Family(names=("x",), retired=False, deprecated=True), "list")}
    families = config_of(text).families.above(listed=listed)
    late = lifecycle(text, families=families, now=NOW + 10 * 86_400)
    assert late[0][:2] == (
        "warning",
        "The mapping of two to claude-sonnet-4-5: claude-sonnet-4-5 was to be retired by its vendor on"
        " 2026-11-30.",
    )
    active = {"claude-sonnet-4-5": Override(Family(names=("x",), retired=False, deprecated=False), "list")}
    assert lifecycle(text, families=config_of(text).families.above(listed=active))[0][0] == "ok"


def test_ends_of_client_keys() -> None:
    """An expired key, and one that will be soon, are warnings that say what to do."""
    entries = "[{name: old, key: a, expires: 1970-01-01}, {name: soon, key: b, expires: 1970-01-05}]"
    found = [
        finding
        for finding in examine(context(CONFIG.replace(f"[{KEY}]", entries), now=86400.0))
        if "client key of" in finding.text
    ]
    assert [finding.level for finding in found] == ["warning", "warning"]
    assert "The client key of old has expired" in found[0].text
    assert "The client key of soon expires in 3 d" in found[1].text
    assert "ampproxy key edit soon --expires" in found[1].todo


def test_what_is_shared() -> None:
    """Whether Redis can be used, and what happens while it cannot."""
    redis = "state: {url: 'redis://:canary@h', when-away: %s}\n"
    assert levels("state", context(CONFIG)) == ["ok"]
    assert levels("state", context(CONFIG + redis % "fail-open", shared_why="")) == ["ok"]
    for away, words in (("fail-open", "goes on by itself"), ("fail-closed", "no request is served")):
        (finding,) = found("state", context(CONFIG + redis % away, shared_why="refused"))
        assert finding.level == "problem"
        assert words in finding.text
        assert "redis://h:6379/0: refused" in finding.text


def test_a_ledger_that_cannot_be_written() -> None:
    """What the service itself says of it is told, whatever the doctor sees of the disk."""
    said = Status("ready", 1, 0.0, state_dir="/s", ledger="the disk is full (3 exchanges waiting, 0 lost)")
    (finding,) = found("ledger", context(seen=Seen("ready", names=("m",), details=said)))
    assert finding.level == "problem"
    assert "the disk is full (3 exchanges waiting, 0 lost)" in finding.text
    assert "/s" in finding.todo


@pytest.mark.parametrize(
    ("state", "levels", "words"),
    [
        (None, ["ok"], "on this machine"),
        (
            DatabaseState(name="postgresql://db/a", server="PostgreSQL 15"),
            ["ok"],
            "postgresql://db/a, PostgreSQL 15",
        ),
        (DatabaseState(name="n", why="it is closed"), ["problem"], "it is closed. mend it"),
        (DatabaseState(name="n", server="s", exposed=True), ["ok", "warning"], "sslmode=verify-full"),
        (DatabaseState(name="n", server="s", skew=-9.4), ["ok", "warning"], "9 s behind this machine's"),
        (DatabaseState(name="n", server="s", skew=1.0), ["ok"], ""),
        (DatabaseState(name="n", why="x", waiting=7), ["problem", "note"], "7 bytes of exchanges wait"),
    ],
)
def test_the_ledgers_database(state: DatabaseState | None, levels: list[str], words: str) -> None:
    """What is wrong with it, and who could read what is sent there; a file is no business of this check."""
    found = [one for one in examine(context(database=state)) if one.check == "ledger"]
    assert [one.level for one in found] == levels
    assert words in " ".join(f"{one.text} {one.todo}" for one in found)
