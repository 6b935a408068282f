"""What ``config.load`` finds fault with: each with its line, its key and what would be right."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent
from types import FrameType

import pytest

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from tests.cases import each

HOME = Path("/home/anna")


def unreadable(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def read(text: str, environ: dict[str, str] | None = None, **overrides) -> Config:
    return parse(
        dedent(text),
        name="amp.yaml",
        environ=environ or {},
        home=HOME,
        **{"read_secret": unreadable, **overrides},
    )


def complaints(text: str, **overrides) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text, **overrides)
    return caught.value.complaints


# each: id, text, line, key, words that stand in the complaint
ERRORS = [
    ("no client key", "port: 1\napi-keys:", 2, "api-keys", "is empty"),
    ("empty client keys", 'api-keys: ""', 1, "api-keys", "is empty"),
    ("one empty client key", 'api-keys: [""]', 1, "api-keys", "write api-keys: []"),
    ("a blank client key", "api-keys: ['  ']", 1, "api-keys", "write api-keys: []"),
    ("a client key that is nothing", "port: 1\napi-keys: [null, ~]", 2, "api-keys", "write api-keys: []"),
    (
        "keys at their oldest place",
        "auth:\n  providers:\n    config-api-key:\n      api-keys: [a]\n    own: {sdk: x}",
        2,
        "auth.providers",
        "write its keys as api-keys",
    ),
    ("keys under nearly their name", "port: 1\napi_keys: [a]", 2, "api_keys", "write them as api-keys"),
    ("keys in another spelling", "port: 1\napiKeys: [a]", 2, "apiKeys", "no api-keys"),
    ("unclosed list", "port: 1\napi-keys: [a\nb: c", 3, "syntax", "not valid YAML"),
    ("tab", "a:\n\tb: 1", 2, "syntax", "not valid YAML"),
    ("control character", "port: 1\ndebug: \x01", 2, "syntax", "U+0001"),
    ("nested without end", "port: 1\na: " + "[" * 30000, 2, "syntax", "nested more than"),
    ("nested in blocks", "port: 1\na:\n  " + "- " * 3000 + "b", 3, "syntax", "nested more than"),
    ("two documents", "port: 1\n---\nport: 2", 2, "syntax", "not valid YAML"),
    ("custom tag", "port: 1\ndebug: !yes true", 2, "debug", "tags"),
    ("self alias", "ampcode: &a\n  model-mappings: *a", 1, "ampcode.model-mappings", "alias"),
    ("key is a list", "port: 1\n? [a]\n: b", 2, "syntax", "a key must be"),
    ("merge of text", "tls:\n  <<: abc", 2, "tls", "<<"),
    ("empty", "", 1, "file", "contains no settings"),
    ("only comments", "# nothing\n", 1, "file", "contains no settings"),
    ("a list at the top", "- a\n- b", 1, "file", "expected keys and values"),
    ("text at the top", "hello", 1, "file", "expected keys and values"),
    ("duplicate", "port: 1\ndebug: true\nport: 2", 3, "port", "first in line 1"),
    ("duplicate below", "tls:\n  cert: a\n  cert: b", 3, "tls.cert", "first in line 2"),
    (
        "duplicate in a list",
        "claude-api-key:\n  - api-key: a\n    api-key: b",
        3,
        "claude-api-key[0].api-key",
        "is defined twice",
    ),
    ("port too large", "debug: true\nport: 65536", 2, "port", "from 0 to 65535, found '65536'"),
    ("port negative", "port: -1", 1, "port", "from 0 to 65535"),
    ("port as text", "port: '8317'", 1, "port", "remove the quotes"),
    ("port as a word in quotes", "port: 'abc'", 1, "port", "found 'abc'"),
    ("flag as a word in quotes", "debug: 'maybe'", 1, "debug", "found 'maybe'"),
    ("port as fraction", "port: 83.17", 1, "port", "found '83.17'"),
    ("port as list", "port: [1]", 1, "port", "found a list"),
    ("flag as number", "debug: 1", 1, "debug", "true or false"),
    ("flag as text", "debug: 'true'", 1, "debug", "remove the quotes"),
    ("flag as mapping", "debug: {a: b}", 1, "debug", "found a mapping"),
    ("text from a flag", "host: yes", 1, "host", "put it in quotes"),
    ("section as text", "tls: true", 1, "tls", "expected keys and values"),
    ("section as list", "routing: [a]", 1, "routing", "expected keys and values, found a list"),
    ("list as mapping", "claude-api-key: {api-key: a}", 1, "claude-api-key", "expected a list of accounts"),
    ("item as text", "claude-api-key:\n  - abc", 2, "claude-api-key[0]", "expected keys and values"),
    ("keys as text", "port: 1\napi-keys: abc", 2, "api-keys", "expected a list of keys"),
    ("key as list", "api-keys:\n  - a\n  - [b]", 3, "api-keys[1]", "expected a secret, found a list"),
    ("key with a line break", 'api-keys:\n  - "a\\nb"', 2, "api-keys[0]", "not allowed in HTTP headers"),
    ("placeholder", "api-keys:\n  - mine\n  - your-api-key-2", 3, "api-keys[1]", "placeholder"),
    ("open to all", "port: 1\nhost: 0.0.0.0", 2, "host", "add api-keys, or set host to 127.0.0.1"),
    ("open by emptiness", 'host: ""', 1, "host", "listens on every interface"),
    ("open on IPv6", 'host: "::"\napi-keys: []', 1, "host", "add api-keys"),
    ("open by name", "host: gateway.lan", 1, "host", "'gateway.lan' can be reached"),
    ("host with port", "host: 127.0.0.1:8317", 1, "host", "without scheme, port or path"),
    ("host with scheme", "host: http://localhost", 1, "host", "without scheme"),
    ("host that is no address", "host: 127.0.0.256", 1, "host", "a host name or an address"),
    ("any host allowed", "allowed-hosts:\n  - a.example\n  - '*'", 3, "allowed-hosts[1]", "DNS rebinding"),
    ("tls without files", "port: 1\ntls:\n  enable: true", 2, "tls", "cert is missing"),
    ("tls without key", "tls:\n  enable: true\n  cert: /c.pem", 1, "tls", "key is missing"),
    ("proxy scheme", "proxy-url: ftp://a", 1, "proxy-url", "http://, https://, socks5://"),
    ("proxy without host", "proxy-url: http://", 1, "proxy-url", "not a complete URL"),
    ("proxy port", "proxy-url: http://a:99999", 1, "proxy-url", "its port cannot be read"),
    ("proxy without scheme", "proxy-url: 127.0.0.1:1080", 1, "proxy-url", "begin with"),
    (
        "a header from nowhere",
        "claude-api-key:\n  - api-key: a\n    headers: {X-A: $}",
        3,
        "claude-api-key[0].headers.X-A",
        "expected a header name after it",
    ),
    (
        "a header of two names",
        'claude-api-key:\n  - api-key: a\n    headers: {X-A: "$a b"}',
        3,
        "claude-api-key[0].headers.X-A",
        "expected a header name after it",
    ),
    (
        "the client's key",
        "claude-api-key:\n  - api-key: a\n    headers: {X-A: $Authorization}",
        3,
        "claude-api-key[0].headers.X-A",
        "would send the client's own key or cookie to the vendor",
    ),
    (
        "the client's other key",
        "claude-api-key:\n  - api-key: a\n    headers: {X-A: $x-API-key}",
        3,
        "claude-api-key[0].headers.X-A",
        "would send the client's own key or cookie to the vendor",
    ),
    (
        "the client's cookie",
        "claude-api-key:\n  - api-key: a\n    headers: {X-A: $Cookie}",
        3,
        "claude-api-key[0].headers.X-A",
        "would send the client's own key or cookie to the vendor",
    ),
    (
        "a key from the client",
        "claude-api-key:\n  - api-key: a\n    headers: {Authorization: $X-A}",
        3,
        "claude-api-key[0].headers.Authorization",
        "carries the account's key",
    ),
    (
        "a header in a variable",
        'claude-api-key:\n  - api-key: a\n    headers: {X-A: "$${x}"}',
        3,
        "claude-api-key[0].headers.X-A",
        "would begin with $",
    ),
    (
        "strategy",
        "routing:\n  strategy: random",
        2,
        "routing.strategy",
        "round-robin or fill-first, found 'random'",
    ),
    ("ttl", "routing:\n  session-affinity-ttl: 1 hour", 2, "routing.session-affinity-ttl", "such as 1h30m"),
    (
        "ttl of nothing",
        "routing:\n  session-affinity-ttl: 0s",
        2,
        "routing.session-affinity-ttl",
        "longer than 0",
    ),
    ("negative timeout", "timeouts:\n  connect: -1s", 2, "timeouts.connect", "a duration"),
    ("two dots", "timeouts:\n  connect: 1..5s", 2, "timeouts.connect", "a duration"),
    ("infinite timeout", "timeouts:\n  connect: .inf", 2, "timeouts.connect", "a duration"),
    ("size", "limits:\n  max-body: 3 parsecs", 2, "limits.max-body", "such as 512KiB or 64MiB"),
    ("size of nothing", "limits:\n  max-body: 0", 2, "limits.max-body", "above 0"),
    ("no headers at all", "limits:\n  max-headers: 0", 2, "limits.max-headers", "1 or more"),
    ("log format", "logging:\n  format: xml", 2, "logging.format", "text or json, found 'xml'"),
    ("log level", "logging:\n  level: loud", 2, "logging.level", "debug or info or warn or error"),
    ("address", "metrics:\n  listen: 9317", 2, "metrics.listen", "such as 127.0.0.1:9317"),
    ("address's port", "metrics:\n  listen: a:70000", 2, "metrics.listen", "an address with a port"),
    ("IPv6 without brackets", "metrics:\n  listen: '::1:9317'", 2, "metrics.listen", "or [::1]:9317"),
    ("no models", "metrics:\n  max-models: 0", 2, "metrics.max-models", "1 or more"),
    ("tiny ledger", "ledger:\n  max-size: 64KiB", 2, "ledger.max-size", "expected 1MiB or more"),
    ("ledger of nothing", "ledger:\n  max-age: 0", 2, "ledger.max-age", "longer than 0"),
    ("half a ledger", "ledger: some", 1, "ledger", "true or false"),
    ("ledgers", "ledger: [a]", 1, "ledger", "expected keys and values"),
    ("translation", "translation: loose", 1, "translation", "lenient or strict, found 'loose'"),
    ("upstream scheme", "ampcode:\n  upstream-url: ampcode.com", 2, "ampcode.upstream-url", "https://"),
    (
        "upstream credentials",
        "ampcode:\n  upstream-url: https://a:b@ampcode.com",
        2,
        "ampcode.upstream-url",
        "a user name or a password",
    ),
    (
        "regex",
        "ampcode:\n  model-mappings:\n    - from: a(\n      to: b\n      regex: true",
        3,
        "ampcode.model-mappings[0].from",
        "missing ), unterminated subpattern at position 1",
    ),
    (
        "POSIX class",
        "ampcode:\n  model-mappings:\n    - to: b\n      from: '[[:alpha:]]'\n      regex: true",
        4,
        "ampcode.model-mappings[0].from",
        "[A-Za-z]",
    ),
    (
        "empty from",
        "ampcode:\n  model-mappings:\n    - from: ' '\n      to: b",
        3,
        "ampcode.model-mappings[0].from",
        "is empty",
    ),
    (
        "empty to",
        "ampcode:\n  model-mappings:\n    - from: a\n      to:",
        4,
        "ampcode.model-mappings[0].to",
        "found nothing",
    ),
    (
        "no to",
        "ampcode:\n  model-mappings:\n    - {from: a, to: b}\n    - from: a",
        4,
        "ampcode.model-mappings[1].to",
        "is missing",
    ),
    (
        "upstream key missing",
        "ampcode:\n  upstream-api-keys:\n    - api-keys: [a]",
        3,
        "ampcode.upstream-api-keys[0].upstream-api-key",
        "is missing",
    ),
    (
        "old key, wrong value",
        "port: 1\namp-upstream-url: ftp://x",
        2,
        "amp-upstream-url",
        "expected it to begin with http://",
    ),
    (
        "old key, wrong item",
        "amp-model-mappings:\n  - from: a\n    to: ''",
        3,
        "amp-model-mappings[0].to",
        "is empty",
    ),
    ("account without key", "codex-api-key:\n  - prefix: a", 2, "codex-api-key[0].api-key", "is missing"),
    (
        "account with blank key",
        "gemini-api-key:\n  - api-key: ''",
        2,
        "gemini-api-key[0].api-key",
        "is empty",
    ),
    (
        "base-url with method",
        "claude-api-key:\n  - api-key: a\n    base-url: https://a.example/v1/messages",
        3,
        "claude-api-key[0].base-url",
        "ends in /v1/messages",
    ),
    (
        "base-url with query",
        "vertex-api-key:\n  - api-key: a\n    base-url: https://a.example/?key=b",
        3,
        "vertex-api-key[0].base-url",
        "a query or a fragment",
    ),
    (
        "base-url with password",
        "codex-api-key:\n  - api-key: a\n    base-url: https://u:p@a.example",
        3,
        "codex-api-key[0].base-url",
        "a user name or a password",
    ),
    (
        "server without base-url",
        "openai-compatibility:\n  - name: local",
        2,
        "openai-compatibility[0].base-url",
        "is missing",
    ),
    (
        "server without name",
        "openai-compatibility:\n  - base-url: http://127.0.0.1:1/v1",
        2,
        "openai-compatibility[0].name",
        "is missing",
    ),
    (
        "priority",
        "claude-api-key:\n  - api-key: a\n    priority: high",
        3,
        "claude-api-key[0].priority",
        "a whole number, found 'high'",
    ),
    (
        "header name",
        "claude-api-key:\n  - api-key: a\n    headers:\n      X Y: z",
        4,
        "claude-api-key[0].headers.'X Y'",
        "not a header name",
    ),
    (
        "header value",
        'claude-api-key:\n  - api-key: a\n    headers:\n      X-Y: "a\\r\\nb"',
        4,
        "claude-api-key[0].headers.X-Y",
        "not allowed in HTTP headers",
    ),
    (
        "framing header",
        "claude-api-key:\n  - api-key: a\n    headers: {Content-Length: 3}",
        3,
        "claude-api-key[0].headers.Content-Length",
        "belongs to the connection",
    ),
    (
        "header in two cases",
        "claude-api-key:\n  - api-key: a\n    headers:\n      X-A: b\n      x-a: c",
        5,
        "claude-api-key[0].headers.x-a",
        "is listed twice",
    ),
    (
        "headers as list",
        "claude-api-key:\n  - api-key: a\n    headers: [X-A]",
        3,
        "claude-api-key[0].headers",
        "header names and values, found a list",
    ),
    (
        "model without name",
        "claude-api-key:\n  - api-key: a\n    models:\n      - alias: b",
        4,
        "claude-api-key[0].models[0].name",
        "is missing",
    ),
    ("variable", "api-keys:\n  - ${NO_SUCH}", 2, "api-keys[0]", "variable NO_SUCH is not set"),
    ("variable in a number", "port: ${NO_SUCH}", 1, "port", "variable NO_SUCH is not set"),
    ("broken reference", "host: ${A", 1, "host", "broken ${...} reference"),
    ("no name in a reference", "host: ${}", 1, "host", "broken ${...} reference"),
    ("no such file", "api-keys: [file:/run/key]", 1, "api-keys[0]", "/run/key cannot be read: No such file"),
    ("relative file", "api-keys: [file:key]", 1, "api-keys[0]", "absolute path"),
]


@each(("text", "line", "key", "words"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_error(text, line, key, words):
    """Each mistake keeps the file from being used, and is named by its line and whole key."""
    found = complaints(text)
    matching = [c for c in found if c.startswith(f"amp.yaml:{line}: {key}: ")]
    assert matching, found
    assert any(words in complaint for complaint in matching), found


@each("text", [e[1] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_one_mistake_is_one_complaint(text):
    """A mistake does not bring complaints about what follows from it (tls without files has two)."""
    assert len(complaints(text)) <= (2 if "enable: true" in text else 1)


def test_empty_variable():
    """A variable that is set to nothing is no client key, and does not open the service."""
    (found,) = complaints('port: 1\napi-keys: ["${EMPTY}"]', environ={"EMPTY": ""})
    assert found.startswith("amp.yaml:2: api-keys: ")
    assert "write api-keys: []" in found


def test_all_at_once_in_order():
    """Everything that is wrong is said at once, in the order of the file, and warnings come along."""
    text = "port: x\nhots: a\ntls: 1\nclaude-api-key:\n  - {}\n  - api-key: ${NOPE}\ndebug: 3"
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert [c.split(": ")[0] for c in caught.value.complaints] == [f"amp.yaml:{n}" for n in (1, 3, 5, 6, 7)]
    assert caught.value.warnings == (
        "amp.yaml:2: hots: is not a known setting and has no effect: did you mean host?",
    )


def test_missing_certificate():
    """A certificate that is not there is found before the service starts; so is one that cannot be read."""

    def read_pem(path: Path) -> bytes:
        raise FileNotFoundError if path.name == "c.pem" else PermissionError(13, "Permission denied")

    text = "tls:\n  enable: true\n  cert: ~/c.pem\n  key: /k.pem"
    assert complaints(text, read_pem=read_pem) == (
        "amp.yaml:3: tls.cert: there is no such file: expected the path of a PEM file",
        "amp.yaml:4: tls.key: cannot be read: Permission denied",
    )


def test_broken_api_keys_are_not_absent_ones():
    """A wrong api-keys is complained about once, and not again as a listener without keys."""
    assert len(complaints("host: 0.0.0.0\napi-keys: [$" + "{NOPE}]")) == 1


def test_file_of_bytes():
    """A secret's file that is not text is named."""

    def garbage(path: Path) -> str:
        return b"\xff".decode("utf-8")

    assert "is not text" in complaints("api-keys: [file:/k]", read_secret=garbage)[0]


def test_empty_secret_file():
    """A secret's file with an empty first line is named, not taken for an empty key."""
    assert "first line" in complaints("api-keys: [file:/k]", read_secret=lambda path: " \nabc")[0]


@pytest.mark.parametrize(
    "text", ["".join(f"unknown-{n}: 1\n" for n in range(5000)), "limits: 1\n" * 5000], ids=["keys", "twice"]
)
def test_very_many(text: str) -> None:
    """The first hundred are listed, each with its line, and the others counted; names that may be meant are
    looked for a hundred times and not five thousand.
    """
    searches = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal searches
        searches += event == "call" and frame.f_code.co_name == "get_close_matches"

    sys.setprofile(count)
    try:
        remarks = read("api-keys: [key-of-a-client]\n" + text).warnings
    except ConfigError as error:
        remarks = error.complaints
    finally:
        sys.setprofile(None)
    assert len(remarks) == 101
    assert re.match(r"amp\.yaml:[23]: ", remarks[0])
    assert re.fullmatch(r"amp\.yaml:10\d: file: and 4900 more are not listed.*", remarks[-1])
    assert searches <= 100
