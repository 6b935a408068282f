"""What a configuration file means: every setting, and where the file is looked for."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from ampproxy.config import document
from ampproxy.config.load import parse
from ampproxy.config.parsing import Section, walk
from ampproxy.config.schema import (
    AmpCode,
    Config,
    Ledger,
    Limits,
    Logging,
    Metrics,
    Routing,
    Streaming,
    Timeouts,
    Tls,
)
from ampproxy.config.sections import ROOT
from ampproxy.errors import ConfigError
from ampproxy.model.clients import ClientKey
from ampproxy.wire.redact import Secret
from tests.cases import each

HOME = Path("/home/anna")
TREE = Path(__file__).parents[2]
DEFAULT = Config(auth_dir=HOME / ".cli-proxy-api", state_dir=HOME / ".local/state/ampproxy")


def read(text: str, environ: dict[str, str] | None = None, files: dict[str, str] | None = None) -> Config:
    def read_secret(path: Path) -> str:
        try:
            return (files or {})[str(path)]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    return parse(dedent(text), name="amp.yaml", environ=environ or {}, home=HOME, read_secret=read_secret)


def test_defaults():
    """A file that says nothing of note listens on this machine only, at CLIProxyAPI's port."""
    config = read("debug: false")
    assert config == DEFAULT
    assert (config.host, config.port) == ("127.0.0.1", 8317)
    assert config.ampcode.restrict_management_to_localhost


@each("key", [row.name for row in ROOT.rows if row.hollow])
def test_nothing_is_absence(key):
    """A key without a value, as commented-out children leave it, means what its absence means."""
    assert read(f"port: 8317\n{key}:" if key != "port" else "port:") == DEFAULT


@each(
    ("path", "name", "default"),
    [
        (path, row.name, row.default)
        for path, section, row in walk(ROOT)
        if "[" not in path and re.fullmatch(r"[\w.~/-]+", row.default) and row.default != "none"
    ],
)
def test_documented_default(path, name, default):
    """Writing down a default changes nothing: what the documentation calls one is one."""
    keys = [*path.split("."), name] if path else [name]
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(keys)]
    # A section that cannot be empty has the least that it needs.
    least = (
        {"neo": "\n  key: k", "alerts": "\n  command: [a]", "state": "\n  url: redis://h"}.get(keys[0], "")
        if path
        else ""
    )
    expected = read(f"{keys[0]}:{least}") if least else DEFAULT
    if default in ("all", "never") and least:
        pytest.skip("a word for absence")
    assert read("\n".join(lines) + f" {default}{least}") == expected


SCALARS = [
    ("host: localhost", {"host": "localhost"}),
    ("host: 127.8.9.1", {"host": "127.8.9.1"}),
    ("host: '[::1]'", {"host": "::1"}),
    ("port: 0", {"port": 0}),
    ("port: 65535", {"port": 65535}),
    ("debug: on", {"debug": True, "logging": Logging(level="debug")}),
    ("debug: TRUE\nlogging: {level: error}", {"debug": True, "logging": Logging(level="debug")}),
    ("logging: {level: Debug}", {"debug": True, "logging": Logging(level="debug")}),
    ("logging: {level: warning, format: JSON}", {"logging": Logging(level="warn", format="json")}),
    (
        "logging: {rotate-size: 1MiB, rotate-keep: 0}",
        {"logging": Logging(rotate_size=1 << 20, rotate_keep=0)},
    ),
    ("metrics: {enable: false}", {"metrics": Metrics(enable=False)}),
    ("metrics: {listen: '[::1]:0', max-models: 7}", {"metrics": Metrics(host="::1", port=0, max_models=7)}),
    ("metrics: {listen: localhost:99}", {"metrics": Metrics(host="localhost", port=99)}),
    ("debug: No", {"debug": False}),
    ("auth-dir: ' '", {}),
    ("auth-dir: ~/logins", {"auth_dir": HOME / "logins"}),
    ("state-dir: /srv/state", {"state_dir": Path("/srv/state")}),
    ("auth-dir: /srv/logins", {"auth_dir": Path("/srv/logins")}),
    ("proxy-url: socks5://a:b@127.0.0.1:1080", {"proxy_url": "socks5://a:b@127.0.0.1:1080"}),
    ("proxy-url: direct", {"proxy_url": None}),
    ("proxy-url: ''", {"proxy_url": None}),
    ("request-retry: 3", {"request_retry": 3}),
    ("max-retry-credentials: 2", {"max_retry_credentials": 2}),
    ("max-retry-interval: 30", {"max_retry_interval": 30}),
    ("disable-cooling: true", {"disable_cooling": True}),
    ("force-model-prefix: yes", {"force_model_prefix": True}),
    ("translation: strict", {"translation": "strict"}),
    ("streaming: {keepalive-seconds: 0}", {"streaming": Streaming(keepalive_seconds=0)}),
    ("streaming: {bootstrap-retries: 2}", {"streaming": Streaming(bootstrap_retries=2)}),
    ("allowed-hosts: [Amp.Example.com., 10.0.0.1]", {"allowed_hosts": ("amp.example.com", "10.0.0.1")}),
    (
        "allowed-hosts: [Amp.Example.com:443, '[::0:1]:80']",
        {"allowed_hosts": ("amp.example.com:443", "[::1]:80")},
    ),
    (
        "tls: {enable: true, cert: ~/c.pem, key: /k.pem}",
        {"tls": Tls(cert=HOME / "c.pem", key=Path("/k.pem"))},
    ),
    ("tls: {enable: false, cert: /c.pem}", {"tls": None}),
    ("routing: {strategy: FF}", {"routing": Routing(strategy="fill-first")}),
    ("routing: {strategy: fillfirst}", {"routing": Routing(strategy="fill-first")}),
    ("routing: {strategy: Weighted-Round-Robin}", {"routing": Routing(strategy="weighted-round-robin")}),
    ("routing: {strategy: wrr}", {"routing": Routing(strategy="weighted-round-robin")}),
    ("routing: {strategy: Round-Robin}", {"routing": Routing(strategy="round-robin")}),
    (
        "routing: {session-affinity: false, session-affinity-ttl: 1h30m, max-cooldown: 90}",
        {"routing": Routing(session_affinity=False, session_affinity_ttl=5400.0, max_cooldown=90.0)},
    ),
    ("ledger: false", {"ledger": Ledger(enable=False)}),
    ("ledger: yes", {"ledger": Ledger()}),
    ("ledger:", {}),
    ("ledger: {enable: no}", {"ledger": Ledger(enable=False)}),
    (
        "ledger: {max-age: 90d, max-size: 1MiB, management: true, prices: ~/prices.yaml}",
        {
            "ledger": Ledger(
                max_age=90 * 86400.0, max_size=1 << 20, management=True, prices=HOME / "prices.yaml"
            )
        },
    ),
    ("ledger: {max-age: 1d12h}", {"ledger": Ledger(max_age=1.5 * 86400)}),
    ("timeouts: {connect: 500ms, first-byte: 90}", {"timeouts": Timeouts(connect=0.5, first_byte=90.0)}),
    ("timeouts: {idle: 1m0.5s, grace: 0}", {"timeouts": Timeouts(idle=60.5, grace=0.0)}),
    ("limits: {max-body: 1MiB, max-answer: 10 MB}", {"limits": Limits(max_body=1 << 20, max_answer=10**7)}),
    (
        "limits: {max-header-bytes: 8192, max-headers: 7}",
        {"limits": Limits(max_header_bytes=8192, max_headers=7)},
    ),
    (
        "limits: {header-timeout: 1, body-timeout: 2, idle-timeout: 3s}",
        {"limits": Limits(header_timeout=1.0, body_timeout=2.0, idle_timeout=3.0)},
    ),
    ("api-keys: [a, 12345]", {"clients": (ClientKey(secret=Secret("a")), ClientKey(secret=Secret("12345")))}),
    ("host: ''\napi-keys: [a]", {"host": "", "clients": (ClientKey(secret=Secret("a")),)}),
    ("host: '*'\napi-keys: [a]", {"host": "", "clients": (ClientKey(secret=Secret("a")),)}),
]


@each(("text", "expected"), SCALARS)
def test_setting(text, expected):
    """Each setting arrives as the value that it stands for."""
    assert read(text) == replace(DEFAULT, **expected)


def test_ampcode():
    """The Amp section: upstream, its keys, the switch and the mappings in order."""
    config = read(
        """
        api-keys: [anna, ben]
        ampcode:
          upstream-url: " https://ampcode.com/ "
          upstream-api-key: " all "
          upstream-api-keys:
            - upstream-api-key: own
              api-keys: [ben]
          restrict-management-to-localhost: false
          force-model-mappings: true
          model-mappings:
            - {from: " claude-x ", to: gpt-5(high)}
            - from: ^gemini-(.*)$
              to: b
              regex: true
        """
    )
    first, second = config.ampcode.mappings
    assert config.warnings == ()
    assert structs.replace(config.ampcode, mappings=()) == AmpCode(
        upstream_url="https://ampcode.com",
        upstream_api_key=Secret("all"),
        per_client_keys=((Secret("ben"), Secret("own")),),
        restrict_management_to_localhost=False,
        force_mappings=True,
    )
    assert (first.source, first.target, first.pattern, first.line) == ("claude-x", "gpt-5(high)", None, 12)
    assert second.pattern is not None
    assert second.pattern.search("GEMINI-3-pro")


def test_last_mapping_wins():
    """Of two exact mappings of one name the last applies; of two equal patterns the first."""
    config = read(
        """
        ampcode:
          model-mappings:
            - {from: a, to: b}
            - {from: A, to: c}
            - {from: x+, to: d, regex: true}
            - {from: x+, to: e, regex: true}
        """
    )
    assert [m.target for m in config.ampcode.mappings] == ["c", "d"]


def test_first_upstream_key_wins():
    """A client key in two entries keeps the upstream key of the first."""
    entries = "[{upstream-api-key: x, api-keys: [a, b]}, {upstream-api-key: y, api-keys: [b, c]}]"
    pairs = read(f"api-keys: [a, b, c]\nampcode: {{upstream-api-keys: {entries}}}").ampcode.per_client_keys
    assert [(client.reveal(), upstream.reveal()) for client, upstream in pairs] == [
        ("a", "x"),
        ("b", "x"),
        ("c", "y"),
    ]


def test_blank_upstream_key_is_none():
    """An empty Amp key is none, so that the next source of one is asked."""
    assert read("ampcode: {upstream-api-key: '', upstream-url: ''}").ampcode == AmpCode()


def test_flat_keys_of_old_files():
    """The keys of older files still say what they said, beside a newer section, too."""
    config = read(
        """
        amp-upstream-url: https://ampcode.com
        amp-upstream-api-key: k
        amp-restrict-management-to-localhost: false
        amp-model-mappings: [{from: a, to: b}]
        ampcode:
          force-model-mappings: true
          restrict-management-to-localhost: true
        """
    )
    ampcode = config.ampcode
    assert (ampcode.upstream_url, ampcode.upstream_api_key) == ("https://ampcode.com", Secret("k"))
    assert [m.source for m in ampcode.mappings] == ["a"]
    assert ampcode.force_mappings
    assert ampcode.restrict_management_to_localhost, "the new key wins"
    assert len(config.warnings) == 4


def test_flat_keys_alone():
    """An old file without the newer section keeps its meaning."""
    ampcode = read("amp-restrict-management-to-localhost: false\nampcode:").ampcode
    assert not ampcode.restrict_management_to_localhost


def test_environment():
    """Variables are filled in anywhere in a value, numbers and switches too; $${ is a literal."""
    config = read(
        """
        port: ${PORT}
        debug: "${DEBUG}"
        api-keys: ["${A}-${A}", "$${A}", "$A", "${TRICK}"]
        timeouts: {connect: "${PORT}ms"}
        """,
        {"PORT": "900", "DEBUG": "true", "A": "x", "TRICK": "b${A}"},
    )
    assert (config.port, config.debug, config.timeouts.connect) == (900, True, 0.9)
    assert [key.reveal() for key in config.api_keys] == ["x-x", "${A}", "$A", "b${A}"]


def test_secret_files():
    """A secret may stand in a file's first line; what a variable names may be such a file."""
    config = read(
        """
        api-keys: ["file:/run/a", "${WHERE}"]
        ampcode: {upstream-url: https://a, upstream-api-key: "file:~/key"}
        claude-api-key: [{api-key: "file:/run/a"}]
        """,
        {"WHERE": "file:/run/b"},
        {"/run/a": " a \nsecond\n", "/run/b": "b", "/home/anna/key": "c\r\n"},
    )
    assert [key.reveal() for key in config.api_keys] == ["a", "b"]
    assert config.ampcode.upstream_api_key == Secret("c")
    assert config.accounts[0].api_key == Secret("a")


def test_anchors_and_merges():
    """YAML's own ways not to repeat oneself work."""
    config = read(
        """
        claude-api-key:
          - &base
            api-key: a
            priority: 3
            headers: &h {X-A: b}
          - <<: *base
            api-key: c
            headers: *h
        """
    )
    assert [(a.api_key.reveal(), a.priority, a.headers) for a in config.accounts] == [
        ("a", 3, (("X-A", "b"),)),
        ("c", 3, (("X-A", "b"),)),
    ]


def test_file_of_a_cliproxyapi_user():
    """A file in the manner of CLIProxyAPI's template loads; only what has no effect is named."""
    config = read(
        """
        host: ""
        port: 8317
        tls: {enable: false, cert: "", key: ""}
        remote-management: {allow-remote: false, secret-key: ""}
        auth-dir: ""
        api-keys: [mine]
        proxy-url: ""
        request-retry: 3
        max-retry-credentials: 0
        max-retry-interval: 30
        quota-exceeded: {switch-project: true}
        routing: {strategy: "", session-affinity: false, session-affinity-ttl: ""}
        ampcode:
          upstream-url: ""
          upstream-api-key: ""
          restrict-management-to-localhost: false
          model-mappings: []
        claude-api-key:
          - {api-key: a, base-url: "", proxy-url: "", prefix: "", models: [{name: b, alias: ""}]}
        """
    )
    assert [w.split(": ")[1] for w in config.warnings] == ["remote-management", "quota-exceeded"]
    assert replace(config, warnings=(), accounts=()) == replace(
        DEFAULT,
        host="",
        clients=(ClientKey(secret=Secret("mine")),),
        request_retry=3,
        max_retry_interval=30,
        routing=Routing(session_affinity=False),
        ampcode=AmpCode(restrict_management_to_localhost=False),
    )
    assert config.accounts[0].base_url == "https://api.anthropic.com"
    assert config.accounts[0].proxy_url is None


def test_both_yaml_loaders_agree(monkeypatch):
    """Without libyaml the same file means the same, and the same mistakes are found in the same lines."""
    sample = "port: '1'\napi-keys: [a]\nport: 2\nclaude-api-key:\n  - api-key: &k 'x'\n  - {api-key: *k}\n"
    said = []
    for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        monkeypatch.setattr(document, "_LOADER", loader)
        with pytest.raises(ConfigError) as caught:
            read(sample)
        said.append((caught.value.complaints, caught.value.warnings))
    assert said[0] == said[1]


@given(st.text(alphabet="ab:-[]{}&*!#|>'\"%@`,?\n\t \x00é$~<", max_size=60))
def test_any_text_is_a_configuration_or_a_config_error(text):
    """No text at all makes the reader fail in a way that its caller does not expect."""
    try:
        said = read(text).warnings
    except ConfigError as error:
        said = error.complaints or ("no complaint at all",)
    assert all(re.match(r"amp\.yaml:\d+: .+: ", remark, re.DOTALL) for remark in said)


def test_table_is_sound():
    """Every row has a key of its own in its section, a field of its own, and a sentence of documentation."""
    for path, section, row in walk(ROOT):
        assert isinstance(section, Section)
        names = [other.name for other in section.rows]
        fields = [other.field for other in section.rows]
        assert len(set(names)) == len(names), path
        assert len(set(fields)) == len(fields), path
        assert row.doc.endswith("."), row.name
        assert row.name not in section.unsupported
