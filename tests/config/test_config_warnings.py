"""What the configuration's reader warns of, and that nothing it says shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError

CANARY = "sk-canary-1234567890"


def unreadable(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def read(text: str, environ: dict[str, str] | None = None) -> Config:
    return parse(
        text, name="amp.yaml", environ=environ or {}, home=Path("/home/anna"), read_secret=unreadable
    )


WARNINGS = [
    ("in another section", "upstream-url: http://a", 1, "upstream-url", "did you mean ampcode.upstream-url?"),
    ("unknown", "prot: 1", 1, "prot", "did you mean port?"),
    ("unknown, far off", "zzzz: 1", 1, "zzzz", "is not a known setting and has no effect"),
    ("underscores", "auth_dir: a", 1, "auth_dir", "did you mean auth-dir?"),
    ("unknown below", "ampcode:\n  upstream-uri: a", 2, "ampcode.upstream-uri", "did you mean upstream-url?"),
    (
        "remote-management",
        "remote-management: {allow-remote: true}",
        1,
        "remote-management",
        "not supported by ampproxy",
    ),
    ("request-log", "port: 1\nrequest-log: true", 2, "request-log", "has no effect: "),
    ("pprof", "pprof: {}", 1, "pprof", "not supported by ampproxy and has no effect: "),
    ("channel", "oauth-model-alias: {qwen: []}", 1, "oauth-model-alias.qwen", "is not served"),
    (
        "what a model takes",
        "openai-compatibility:\n  - name: a\n    base-url: http://a\n"
        "    models: [{name: b, input-modalities: [text]}]",
        4,
        "openai-compatibility[0].models[0].input-modalities",
        "is not supported by ampproxy and has no effect: what a model takes",
    ),
    (
        "an alias's shown name",
        "oauth-model-alias:\n  claude: [{name: a, alias: b, display-name: c}]",
        2,
        "oauth-model-alias.claude[0].display-name",
        "is not supported by ampproxy and has no effect: models are listed",
    ),
    (
        "a strategy of version 8",
        "routing:\n  strategy: expiring-first",
        2,
        "routing.strategy",
        "expiring-first is not supported by ampproxy and counts as round-robin",
    ),
    (
        "an older list of keys",
        "port: 1\ngenerative-language-api-key: [a]",
        2,
        "generative-language-api-key",
        "is deprecated: write its keys under gemini-api-key, each as api-key",
    ),
    (
        "an older list of a server's keys",
        "openai-compatibility:\n  - name: a\n    base-url: http://a\n    api-keys: [b]",
        4,
        "openai-compatibility[0].api-keys",
        "is deprecated: write its keys under api-key-entries, each as api-key",
    ),
    (
        "metrics for everybody",
        "metrics:\n  listen: 0.0.0.0:9317",
        2,
        "metrics.listen",
        "can be reached from other machines",
    ),
    (
        "cloak",
        "claude-api-key:\n  - api-key: a\n    cloak: {mode: always}",
        3,
        "claude-api-key[0].cloak",
        "never rewritten or disguised",
    ),
    (
        "websockets",
        "codex-api-key:\n  - api-key: a\n    websockets: true",
        3,
        "codex-api-key[0].websockets",
        "plain HTTP",
    ),
    (
        "model's thinking",
        "openai-compatibility:\n  - name: a\n    base-url: http://a\n    models: [{name: b, thinking: {}}]",
        4,
        "openai-compatibility[0].models[0].thinking",
        "passed on",
    ),
    (
        "deprecated",
        "port: 1\namp-upstream-url: https://a.example",
        2,
        "amp-upstream-url",
        "write it as ampcode.upstream-url",
    ),
    (
        "deprecated and set anew",
        "ampcode:\n  upstream-url: https://a.example\namp-upstream-url: https://b.example",
        3,
        "amp-upstream-url",
        "is deprecated and ignored",
    ),
    (
        "client of two",
        "api-keys: [a]\nampcode:\n  upstream-api-keys:\n"
        "    - {upstream-api-key: x, api-keys: [a]}\n    - {upstream-api-key: y, api-keys: [a]}",
        5,
        "ampcode.upstream-api-keys[1].api-keys",
        "is also listed in ampcode.upstream-api-keys[0].api-keys: the first wins",
    ),
    (
        "client nobody is",
        "api-keys: [a]\nampcode:\n  upstream-api-keys:\n    - {upstream-api-key: x, api-keys: [b]}",
        2,
        "ampcode.upstream-api-keys",
        "are not listed in api-keys",
    ),
    (
        "key without upstream",
        "ampcode:\n  upstream-api-key: a",
        2,
        "ampcode.upstream-api-key",
        "has no effect without upstream-url",
    ),
    (
        "Amp's keys without an upstream",
        "ampcode:\n  accept-amp-keys: true",
        2,
        "ampcode.accept-amp-keys",
        "has no effect without upstream-url",
    ),
    (
        "users whose keys do not count",
        "ampcode:\n  upstream-url: https://a.example\n  allowed-amp-users: [a]",
        3,
        "ampcode.allowed-amp-users",
        "has no effect without accept-amp-keys: true",
    ),
    (
        "mapped twice",
        "ampcode:\n  model-mappings:\n    - {from: a, to: b}\n    - {from: A, to: c}",
        3,
        "ampcode.model-mappings[0].from",
        "mapped again in line 4, which wins",
    ),
    (
        "hidden pattern",
        "ampcode:\n  model-mappings:\n    - {from: a+, to: b, regex: on}\n    - {from: a+, to: c, regex: on}",
        4,
        "ampcode.model-mappings[1].from",
        "repeats the one in line 3",
    ),
    ("blank client key", "api-keys:\n  - ''\n  - a", 2, "api-keys[0]", "is empty and ignored"),
    ("no client key", "api-keys:\n  -\n  - a", 2, "api-keys[0]", "is empty and ignored"),
    ("client key twice", "api-keys:\n  - a\n  - a", 3, "api-keys[1]", "is listed twice"),
    ("client key with spaces", "api-keys:\n  - ' a '", 2, "api-keys[0]", "spaces around it"),
    ("below zero", "max-retry-credentials: -1", 1, "max-retry-credentials", "counts as 0"),
    (
        "prefix",
        "claude-api-key:\n  - {api-key: a, prefix: a/b}",
        2,
        "claude-api-key[0].prefix",
        "slash inside",
    ),
    (
        "repeated",
        "claude-api-key:\n  - api-key: a\n  - api-key: a",
        3,
        "claude-api-key[1]",
        "repeats an earlier entry",
    ),
    (
        "base-url with version",
        "claude-api-key:\n  - api-key: a\n    base-url: https://a.example/v1",
        3,
        "claude-api-key[0].base-url",
        "leave /v1 out",
    ),
    (
        "one name for two servers",
        "openai-compatibility:\n  - {name: a, base-url: http://a}\n  - {name: a, base-url: http://b}",
        3,
        "openai-compatibility[1].name",
        "names two entries",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "key", "words"), [w[1:] for w in WARNINGS], ids=[w[0] for w in WARNINGS]
)
def test_warning(text, line, key, words):
    """What is odd and harmless is said, by its line and whole key, and the file is used."""
    found = read(text).warnings
    assert len(found) == 1
    assert found[0].startswith(f"amp.yaml:{line}: {key}: "), found
    assert words in found[0]


LEAKS = [
    "port: {c}\ndebug: {c}\ntranslation: {c}\nhost: {c}/x",
    "debug: https://u:{c}@a\nlimits: {{max-body: a@{c}}}\ntimeouts: {{idle: {c}}}",
    "api-keys: {c}",
    "api-keys: [[{c}]]",
    "api-keys: ['{c}\u00e9']",
    'api-keys: ["{c}\\n"]\ndebug: 1',
    "api-keys: [{c}, {c}]\nport: x",
    "api-keys: [' {c}']\nport: x",
    "api-keys: *{c}",
    "api-keys: [&{c} a, &{c} b]\nport: x",
    "api-keys: [!{c} a]",
    'api-keys: ["{c}',
    "api-keys: [{c}",
    "claude-api-key: {c}",
    "claude-api-key: [{c}]",
    "claude-api-key:\n  - api-key:{c}\n    base-url: http://a",
    "claude-api-key:\n  - api-key: {c}: b",
    "claude-api-key:\n  - api-key: {c}\n    headers: {{X-A: [{c}]}}",
    'claude-api-key:\n  - api-key: {c}\n    headers: {{X-A: "{c}\\n{c}"}}',
    "claude-api-key:\n  - api-key: a\n    base-url: https://u:{c}@a.example/",
    "claude-api-key:\n  - api-key: a\n    base-url: https://a.example/?key={c}",
    "claude-api-key:\n  - api-key: {c}\n  - api-key: {c}\nport: x",
    "proxy-url: ftp://u:{c}@a",
    "proxy-url: http://u:{c}@a:b",
    "proxy-url: http://u:{c}@",
    "ampcode: {{upstream-url: 'https://u:{c}@a'}}",
    "ampcode: {{upstream-api-key: [{c}]}}",
    "ampcode: {{upstream-api-key: {c}}}\nport: x",
    "ampcode:\n  upstream-api-keys:\n    - {{upstream-api-key: {c}, api-keys: [{c}, {c}]}}\nport: x",
    "amp-upstream-api-key: [{c}]",
    "port: $${{SECRET}}\ndebug: $${{SECRET}}\nrouting: {{strategy: $${{SECRET}}}}".replace("$$", "$"),
    "host: $${{SECRET}}/\nlimits: {{max-body: $${{SECRET}}}}\ntimeouts: {{idle: $${{SECRET}}}}".replace(
        "$$", "$"
    ),
    "api-keys: [file:{c}]",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_is_shown(text):
    """Whatever is wrong, no complaint and no warning shows a secret."""
    with pytest.raises(ConfigError) as caught:
        read(text.format(c=CANARY), environ={"SECRET": CANARY})
    said = "\n".join((*caught.value.complaints, *caught.value.warnings, str(caught.value)))
    assert CANARY not in said


def test_secrets_do_not_show_in_repr():
    """The configuration can be printed without showing a key."""
    text = (
        f"api-keys: [{CANARY}]\nproxy-url: http://a:{CANARY}@b\n"
        f"claude-api-key: [{{api-key: {CANARY}, headers: {{X-A: {CANARY}}}, "
        f"proxy-url: 'http://a:{CANARY}@b'}}]\n"
        f"ampcode: {{upstream-url: 'https://a', upstream-api-key: {CANARY}-amp, "
        f"upstream-api-keys: [{{upstream-api-key: {CANARY}-amp, api-keys: [{CANARY}]}}]}}"
    )
    assert CANARY not in repr(read(text))
