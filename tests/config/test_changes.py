"""What a reload changed, as people are told: every setting by its name, no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ampproxy.config.accounts import ACCOUNT_SETTINGS
from ampproxy.config.changes import changes
from ampproxy.config.load import load, parse
from ampproxy.config.neo import KEY_SETTINGS
from ampproxy.config.parsing import Section, walk
from ampproxy.config.schema import Config
from ampproxy.config.sections import ROOT
from tests.config.test_config_documented import uncommented

ACCOUNTS = """
claude-api-key:
  - {api-key: canary-one, priority: 1, models: [{name: a}, {name: b}]}
  - {api-key: canary-two}
  - {api-key: canary-three}
"""


def read(text: str) -> Config:
    return parse(text, name="c", environ={}, home=Path("/home/anna"), read_secret=lambda path: "canary-file")


def told(old: str, new: str) -> tuple[str, ...]:
    return changes(read(old), read(new))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("port: 1", "port: 2", "port: 1 -> 2"),
        ("disable-cooling: true", "port: 8317", "disable-cooling: true -> false"),
        ("timeouts: {connect: 10s}", "timeouts: {connect: 1m}", "timeouts.connect: 10s -> 1m"),
        ("ledger: {max-age: 36h}", "port: 8317", "ledger.max-age: 36h -> 365d"),
        ("timeouts: {connect: 500ms}", "timeouts: {connect: 90}", "timeouts.connect: 0.5s -> 90s"),
        ("{api-keys: [k-1], host: ''}", "{api-keys: [k-1], host: '::1'}", "host: every interface -> ::1"),
        ("port: 8317", "metrics: {listen: '[::1]:9'}", "metrics.listen: 127.0.0.1:9317 -> [::1]:9"),
        ("port: 8317", "ampcode: {fallback: never}", "ampcode.fallback: allow -> never"),
        (
            "ampcode: {fallback: never}",
            "ampcode: {fallback: [{model: a, action: allow}, {daily-requests: 3}]}",
            "ampcode.fallback: never -> 2 rules",
        ),
        (
            "ampcode: {fallback: [{daily-requests: 2}]}",
            "ampcode: {fallback: [{daily-requests: 3}]}",
            "ampcode.fallback: changed",
        ),
        (
            "port: 8317",
            "oauth-model-alias: {gemini-cli: [{name: a, alias: b}, {name: c, alias: d, fork: true}]}",
            "oauth-model-alias.gemini: none -> a as b, c as d (fork)",
        ),
        (
            "oauth-excluded-models: {claude: [x*]}",
            "oauth-excluded-models: {claude: [y]}",
            "oauth-excluded-models.claude: x* -> y",
        ),
        ("limits: {max-body: 64MiB}", "limits: {max-body: 100}", "limits.max-body: 64MiB -> 100"),
        ("streaming: {keepalive-seconds: 1}", "port: 8317", "streaming.keepalive-seconds: 1 -> 15"),
        ("allowed-hosts: [a.b, c.d]", "port: 8317", "allowed-hosts: a.b, c.d -> none"),
        ("state-dir: /a", "state-dir: /b", "state-dir: /a -> /b (after a restart)"),
        ("auth-dir: ~/a", "auth-dir: /b", "auth-dir: /home/anna/a -> /b"),
        ("api-keys: [canary-1, canary-2]", "api-keys: [canary-2, canary-3]", "api-keys: 1 added, 1 removed"),
        ("api-keys: [canary-1, canary-2]", "api-keys: [canary-2, canary-1]", "api-keys: in another order"),
        ("port: 8317", "api-keys: [canary-1]", "api-keys: 1 added"),
        (
            "proxy-url: http://canary:canary@a.test:1",
            "proxy-url: http://canary:canary@b.test:1",
            "proxy-url: http://a.test:1 -> http://b.test:1",
        ),
        (
            "proxy-url: http://canary-1:canary@a.test:1",
            "proxy-url: http://canary-2:canary@a.test:1",
            "proxy-url: changed",
        ),
        (
            "ampcode: {upstream-url: 'https://a.test'}",
            "ampcode: {upstream-url: 'https://a.test/x?token=canary'}",
            "ampcode.upstream-url: https://a.test -> https://a.test/x",
        ),
        (
            "ampcode: {upstream-api-key: canary-1}",
            "ampcode: {upstream-api-key: canary-2}",
            "ampcode.upstream-api-key: changed",
        ),
        ("port: 8317", "ampcode: {upstream-api-key: canary-1}", "ampcode.upstream-api-key: set"),
        ("ampcode: {upstream-api-key: canary-1}", "port: 8317", "ampcode.upstream-api-key: removed"),
        (
            "port: 8317",
            "ampcode: {upstream-api-keys: [{upstream-api-key: canary, api-keys: [canary-1]}]}",
            "ampcode.upstream-api-keys: changed",
        ),
        (
            "oauth: {claude: {client-id: x}}",
            "oauth: {claude: {client-id: y}}",
            "oauth.claude.client-id: x -> y",
        ),
    ],
)
def test_setting(old: str, new: str, line: str) -> None:
    """A changed setting is one line: its name, what it was and what it is; secrets are not shown."""
    assert told(old, new) == (line,)


def test_nothing() -> None:
    """The same is no change, wherever it stands in the file."""
    text = "debug: true\nampcode: {fallback: never, model-mappings: [{from: a, to: b}]}\n"
    assert told(text, f"\n\n# a comment\n{text}") == ()


def test_tls() -> None:
    """Switched on and off, and other files."""
    on = "tls: {enable: true, cert: /c, key: /k}"
    assert told("port: 8317", on) == ("tls: switched on", "tls.cert: none -> /c", "tls.key: none -> /k")
    assert told(on, "port: 8317")[0] == "tls: switched off"


def test_certificate(tmp_path: Path) -> None:
    """Other contents of the same files are told, too."""
    files = [tmp_path / name for name in ("cert", "key", "config.yaml")]
    for file in files[:2]:
        file.write_text("one")
    files[2].write_text(f"tls: {{enable: true, cert: {files[0]}, key: {files[1]}}}")
    old = load(files[2], environ={}, home=tmp_path)
    files[0].write_text("two")
    new = load(files[2], environ={}, home=tmp_path)
    assert changes(old, new) == ("tls: the certificate files have changed",)


def test_mappings() -> None:
    """By line; one that only moved with its neighbours is no change."""
    old = "ampcode:\n  model-mappings:\n    - {from: a, to: b}\n    - {from: c, to: d}\n"
    new = "ampcode:\n  model-mappings:\n    - {from: ^x, to: y, regex: true}\n    - {from: c, to: d}\n"
    assert told(old, new) == (
        "ampcode.model-mappings: removed a -> b (it was in line 3)",
        "ampcode.model-mappings: added ^x -> y (regex) (line 3)",
    )
    swapped = "ampcode:\n  model-mappings:\n    - {from: c, to: d}\n    - {from: a, to: b}\n"
    assert told(old, swapped) == ("ampcode.model-mappings: in another order",)


def test_mappings_by_role() -> None:
    """One that names no model is told by what Amp asks for it for."""
    new = "ampcode:\n  model-mappings:\n    - {role: oracle, to: b}\n"
    new += "    - {from: a, role: [title, finder], to: b}\n"
    assert told("port: 8317", new) == (
        "ampcode.model-mappings: added any model for oracle -> b (line 3)",
        "ampcode.model-mappings: added a for title, finder -> b (line 4)",
    )


def test_every_setting_is_looked_at() -> None:
    """No row of the tables asks a configuration for what it does not have, which would never differ."""
    config = read(
        "tls: {enable: true, cert: /c, key: /k}\nneo: {key: k}\nalerts: {command: [a]}\nstate: {url: redis://h}"
    )
    unknown = set(_unknown(ROOT, "", config))
    # By other means: as a whole, and with each vendor.
    assert unknown == {
        "tls.enable",
        "oauth-model-alias",
        "oauth-excluded-models",
        # As with an entry of api-keys, whose value it has.
        *(f"neo.{name}" for name in KEY_SETTINGS),
    }


def _unknown(section: Section, path: str, value: Any) -> Iterator[str]:
    for row in section.rows:
        name = f"{path}.{row.name}".lstrip(".")
        if not path and row in ACCOUNT_SETTINGS:
            continue
        if not hasattr(value, row.field):
            yield name
        elif isinstance(row.reader, Section):
            yield from _unknown(row.reader, name, getattr(value, row.field))


def test_account_changed() -> None:
    """By label: what of it changed, and how where that is no secret."""
    new = ACCOUNTS.replace("canary-one", "canary-new").replace("priority: 1", "priority: 2")
    new = new.replace("{name: b}", "{name: c}")
    (line,) = told(ACCOUNTS, new)
    assert line == "claude-api-key[0]: api-key changed; priority 1 -> 2; models +c -b"


def test_account_removed() -> None:
    """Those after it are the same ones, with other labels."""
    new = ACCOUNTS.replace("  - {api-key: canary-two}\n", "")
    assert told(ACCOUNTS, new) == (
        "claude-api-key[2] is claude-api-key[1] now",
        "claude-api-key[1]: removed",
    )
    assert told(new, ACCOUNTS) == (
        "claude-api-key[1] is claude-api-key[2] now",
        "claude-api-key[1]: added",
    )


def test_every_setting_is_told(tmp_path: Path) -> None:
    """From a file that says nothing to one that sets everything: nothing is forgotten, no secret is shown."""
    file = tmp_path / "config.yaml"
    text = uncommented()
    for name in ("host", "port"):
        text = re.sub(rf"(?m)^{name}: .*", f"{name}: {'127.0.0.2' if name == 'host' else 1}", text)
    file.write_text(text, encoding="utf-8")
    full = load(file, environ={}, home=tmp_path)
    lines = changes(read("debug: false"), full)
    assert not re.search(r"made-up-(?!project|client\b)\S*key|made-up-client-secret", "\n".join(lines))
    named = {line.partition(":")[0] for line in lines}
    accounts = {account.label for account in full.accounts}
    settings = {f"{path}.{row.name}".lstrip(".") for path, _, row in walk(ROOT)}
    assert named <= accounts | settings
    assert accounts <= named
