"""CLIProxyAPI 8's layout of the file is read as 7.1's is, alone and mixed with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ampproxy.config.changes import changes
from ampproxy.config.layout import FAMILIES, PLACES
from ampproxy.config.load import load, parse
from ampproxy.config.schema import Config
from ampproxy.config.sections import ROOT
from ampproxy.errors import ConfigError
from tests.cases import each

REFERENCE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")


def read(text: str) -> Config:
    return parse(
        text,
        name="amp.yaml",
        environ={},
        home=Path("/home/anna"),
        read_secret=lambda path: "",
        read_pem=lambda path: b"pem of " + str(path).encode(),
    )


def told(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Complaints and warnings."""
    try:
        return (), read(text).warnings
    except ConfigError as error:
        return error.complaints, error.warnings


def bare(config: Config) -> Config:
    """Without what tells where it stood."""
    accounts = tuple(replace(account, line=0) for account in config.accounts)
    return replace(config, accounts=accounts, warnings=(), source=None)


OLD = """
host: 127.0.0.1
port: 9000
tls: {enable: true, cert: /c.pem, key: /k.pem}
api-keys: [client-1, client-2]
force-model-prefix: true
request-retry: 3
max-retry-credentials: 2
max-retry-interval: 30
disable-cooling: true
proxy-url: socks5://127.0.0.1:1080
streaming: {keepalive-seconds: 7}
auth-dir: ~/logins
debug: true
routing: {strategy: fill-first, session-affinity: false}
oauth-model-alias: {claude: [{name: a, alias: b, fork: true}]}
oauth-excluded-models: {codex: [gpt-4*]}
oauth: {claude: {beta: x}}
claude-api-key:
  - {api-key: a, base-url: https://a.example, priority: 3,
     headers: {X-A: b}, models: [m], excluded-models: [x]}
  - {api-key: b, base-url: https://a.example, priority: 1,
     headers: {X-A: b}, models: [m], excluded-models: [x]}
  - {api-key: c}
gemini-api-key: [{api-key: d, prefix: p, disable-cooling: true, proxy-url: direct}]
codex-api-key: [{api-key: e}]
vertex-api-key: [{api-key: f}]
openai-compatibility:
  - name: or
    base-url: https://or.example/v1
    priority: 2
    api-key-entries: [{api-key: g}, {api-key: h, proxy-url: direct}]
    models: [{name: n, alias: l}]
  - {name: own, base-url: http://127.0.0.1:11434/v1}
"""
NEW = """
config-version: 8
server:
  host: 127.0.0.1
  port: 9000
  tls: {enable: true, cert: /c.pem, key: /k.pem}
access: {api-keys: [client-1, client-2]}
routing:
  strategy: fill-first
  session-affinity: false
  force-model-prefix: true
  retry: {request-retry: 3, max-retry-credentials: 2, max-retry-interval: 30}
  cooldown: {disable-cooling: true}
requests:
  proxy-url: socks5://127.0.0.1:1080
  streaming: {keepalive-seconds: 7}
oauth:
  auth-dir: ~/logins
  model-alias: {claude: [{name: a, alias: b, fork: true}]}
  excluded-models: {codex: [gpt-4*]}
  claude: {beta: x}
observability: {logs: {debug: true}}
api-keys:
  claude:
    - name: a
      base-url: https://a.example
      priority: 1
      headers: {X-A: b}
      models: [m]
      excluded-models: [x]
      keys:
        - {api-key: a, priority: 3, auth-index: 7}
        - {api-key: b, priority: null, auth_index: 8}
    - name: mine
      keys: [{api-key: c}]
  gemini: [{name: g, prefix: p, disable-cooling: true, keys: [{api-key: d, proxy-url: direct}]}]
  codex: [{keys: [{api-key: e}]}]
  vertex: [{keys: [{api-key: f}]}]
  openai-compatibility:
    - name: or
      base-url: https://or.example/v1
      priority: 2
      keys: [{api-key: g, auth-index: 1}, {api-key: h, proxy-url: direct}]
      models: [{name: n, alias: l}]
    - {name: own, base-url: http://127.0.0.1:11434/v1, keys: []}
"""


def test_both_layouts_say_the_same():
    """The two layouts are read into the same configuration, account labels included, without a warning."""
    assert told(OLD) == told(NEW) == ((), ())
    assert bare(read(OLD)) == bare(read(NEW))


def test_mixed_layouts_say_the_same():
    """Every section may stand in either layout, whatever the others do."""
    parts = {
        "server": ("host: 127.0.0.1\nport: 9000", "server: {host: 127.0.0.1, port: 9000}"),
        "access": ("api-keys: [a]", "access: {api-keys: [a]}"),
        "oauth": ("auth-dir: /x", "oauth: {auth-dir: /x}"),
        "keys": ("claude-api-key: [{api-key: c}]", "api-keys: {claude: [{keys: [{api-key: c}]}]}"),
    }
    wanted = bare(read("\n".join(old for old, _ in parts.values())))
    for bits in range(1, 16):
        chosen = [pair[bits >> at & 1] for at, pair in enumerate(parts.values())]
        if "api-keys: [a]" in chosen and chosen[-1].startswith("api-keys"):
            continue  # one key cannot be both, and no program ever wrote that
        assert bare(read("\n".join(chosen))) == wanted, chosen


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("debug: true\nobservability: {logs: {debug: false}}", "debug", False),
        ("port: 9000\nserver: {port: null}", "port", 8317),
        ("api-keys: [a]\naccess: {api-keys: []}", "api_keys", ()),
        ("proxy-url: http://p\nrequests: {proxy-url: ''}", "proxy_url", None),
        ("server: {port: 1}\nport: 2", "port", 1),
        ("claude-api-key: [{api-key: a}]\napi-keys: {claude: []}", "accounts", ()),
        ("claude-api-key: [{api-key: a}]\napi-keys: {claude: }", "accounts", ()),
    ],
)
def test_new_place_wins(text, field, value):
    """What stands at the new place counts, also where it says nothing; the old one is warned of."""
    config = read(text)
    assert getattr(config, field) == value
    (warning,) = config.warnings
    assert "is ignored, because " in warning


def test_members_of_tls_are_taken_one_by_one():
    """A certificate at its old place serves a listener that is switched on at the new one."""
    config = read("tls: {enable: false, cert: /c.pem, key: /k.pem}\nserver: {tls: {enable: true}}")
    assert config.tls is not None
    assert config.tls.cert == Path("/c.pem")
    assert config.warnings == (
        "amp.yaml:1: tls.enable: is ignored, because server.tls.enable is set: remove it",
    )


def test_maps_of_models_are_taken_whole():
    """Aliases at the new place replace those at the old one, whichever vendors either names."""
    text = "oauth-model-alias: {codex: [{name: a, alias: b}]}\n" + (
        "oauth: {model-alias: {claude: [{name: c, alias: d}]}}"
    )
    config = read(text)
    assert config.oauth.codex.aliases == ()
    assert [alias.alias for alias in config.oauth.claude.aliases] == ["d"]


GROUP = "api-keys:\n  claude:\n    - name: a\n      keys:\n        - api-key: b\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("config-version: 9", "1: config-version: expected the number 8"),
        ("config-version: '8'", "1: config-version: expected the number 8"),
        ("config-version: 8.0", "1: config-version: expected the number 8"),
        ("config-version:", "1: config-version: expected the number 8"),
        ("config-version: [8]", "1: config-version: expected the number 8"),
        ("server:\n  port: x", "2: server.port: expected a port"),
        ("server: [a]", "1: server: expected keys and values, found a list"),
        ("access: k", "1: access: expected keys and values"),
        ("server:\n  tls: {enable: true}", "2: server.tls: cert is missing"),
        ("observability:\n  logs:\n    debug: 7", "3: observability.logs.debug: expected true or false"),
        ("routing:\n  retry: 3", "2: routing.retry: expected keys and values"),
        ("server:\n  host: a\n  host: b", "3: server.host: is defined twice"),
        # Also where the value is hidden.
        ("server: {tls: {enable: false}}\ntls:\n  cert: a\n  cert: b", "4: tls.cert: is defined twice"),
        ("api-keys: {claude: {}}", "1: api-keys.claude: expected a list of groups of keys"),
        ("api-keys: {claude: [a]}", "1: api-keys.claude[0]: expected a group of keys"),
        ("api-keys: {claude: [{name: a}]}", "1: api-keys.claude[0].keys: is missing"),
        ("api-keys: {claude: [{keys: }]}", "1: api-keys.claude[0].keys: expected a list of keys"),
        ("api-keys: {claude: [{keys: [b]}]}", "1: api-keys.claude[0].keys[0]: expected a key with api-key"),
        (
            GROUP + "          base-url: http://a",
            "6: api-keys.claude[0].keys[0].base-url: belongs to the group",
        ),
        (GROUP + "      weight: 3", "6: api-keys.claude[0].weight: is not allowed for a group of keys"),
        (GROUP + "      priority: x", "6: api-keys.claude[0].priority: expected a whole number"),
        (GROUP + "          priority: x", "6: api-keys.claude[0].keys[0].priority: expected a whole number"),
        (
            GROUP + "        - {prefix: c}",
            "6: api-keys.claude[0].keys[1].api-key: is missing",
        ),
        (
            "api-keys:\n  openai-compatibility:\n    - {name: a, base-url: http://a, keys: [{api-key: [x]}]}",
            "3: api-keys.openai-compatibility[0].keys[0].api-key: expected a secret",
        ),
        ("api-keys: {openai-compatibility: [{name: a, base-url: http://a}]}", "[0].keys: is missing"),
        ("server: {host: 0.0.0.0}\naccess: {api-keys: []}", "1: server.host: '0.0.0.0' can be reached"),
        ("access:\n  api-keys: [your-api-key-1]", "2: access.api-keys[0]: is a public placeholder"),
    ],
)
def test_complaints_name_the_key_as_written(text, complaint):
    """What is wrong is said with the line and the key where the user wrote it."""
    complaints, _ = told(text)
    assert any(complaint in line for line in complaints), complaints


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("server: {hots: a}", "1: server.hots: is not a known setting and has no effect: did you mean host?"),
        ("routing: {retry: {a: b}}", "1: routing.retry.a: is not a known setting and has no effect"),
        ("oauth: {providers: {a: b}}", "1: oauth.providers.a: is not a known setting and has no effect"),
        ("observability: {logs: {debugg: 1}}", "1: observability.logs.debugg: is not a known setting"),
        ("management: {secret-key: a}", "1: management: is not supported by ampproxy and has no effect"),
        ("upstream: {claude: {}}", "1: upstream.claude: is not supported by ampproxy and has no effect"),
        (
            "multimedia: {disable-image-generation: on}",
            "multimedia.disable-image-generation: is not supported",
        ),
        ("api-keys: {xai: [{keys: []}]}", "1: api-keys.xai: is not supported by ampproxy"),
        (
            "api-keys: {clade: []}",
            "1: api-keys.clade: is not a known setting and has no effect: did you mean claude?",
        ),
    ],
)
def test_what_has_no_effect_is_named(text, warning):
    """A key of the new sections that does nothing here is named as it is written."""
    complaints, warnings = told(text)
    assert not complaints
    assert any(warning in line for line in warnings), warnings


def test_empty_sections_are_absent():
    """A section with nothing in it, as a template has it, says nothing."""
    sections = dict.fromkeys(new.partition(".")[0] for new in PLACES if "." in new)
    assert told("".join(f"{section}:\n" for section in sections)) == ((), ())


def test_aliases_and_merge_keys():
    """Anchors and merge keys mean in the new layout what they mean in YAML."""
    text = """
common: &common {priority: 4, headers: {X-A: b}}
api-keys:
  claude:
    - <<: *common
      keys: &keys [{api-key: a}, {api-key: b}]
  gemini: [{<<: *common, priority: 1, keys: *keys}]
"""
    accounts = read(text).accounts
    assert [account.priority for account in accounts] == [4, 4, 1, 1]
    assert all(account.headers == (("X-A", "b"),) for account in accounts)


def test_what_changed_is_named_as_written():
    """After a reload the changes are told under the keys that the file has."""
    old, new = (
        read("server: {port: 1}\naccess: {api-keys: [a]}"),
        read("server: {port: 2}\naccess: {api-keys: [b]}"),
    )
    assert changes(old, new) == ("server.port: 1 -> 2", "access.api-keys: 1 added, 1 removed")


def test_a_place_is_named_as_written(tmp_path):
    """Errors of the running service name a setting by the key and line of the file."""
    file = tmp_path / "config.yaml"
    file.write_text("server:\n  port: 1\n")
    assert load(file, environ={}, home=tmp_path).place("port") == f"{file}:2: server.port"


def test_every_place_leads_somewhere():
    """The table names settings that are read, or for which there is a reason why not."""
    for old in (*PLACES.values(), *FAMILIES.values()):
        assert old in ROOT.names or old in ROOT.unsupported, old


@each("new", [*PLACES, *(f"api-keys.{family}" for family in FAMILIES)])
def test_reference_has_every_place(new):
    """The reference says what each place of the new layout is here."""
    old = PLACES.get(new) or FAMILIES[new.removeprefix("api-keys.")]
    assert f"| `{new}` | `{old}` |" in REFERENCE
