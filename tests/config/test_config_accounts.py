"""What the sections of accounts mean."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from ampproxy.config.load import parse
from ampproxy.config.schema import Config, ModelName
from ampproxy.wire.redact import Secret


def read(text: str) -> Config:
    def no_file(path: Path) -> str:
        raise FileNotFoundError

    return parse(dedent(text), name="amp.yaml", environ={}, home=Path("/home/anna"), read_secret=no_file)


VENDORS = [
    ("claude-api-key", "claude", "anthropic", "https://api.anthropic.com"),
    ("codex-api-key", "codex", "openai-responses", "https://api.openai.com/v1"),
    ("gemini-api-key", "gemini", "gemini", "https://generativelanguage.googleapis.com"),
    ("vertex-api-key", "vertex", "gemini", "https://aiplatform.googleapis.com"),
]


@pytest.mark.parametrize(("section", "kind", "dialect", "base_url"), VENDORS)
def test_vendor_account(section, kind, dialect, base_url):
    """An entry with nothing but its key is an account at the vendor itself."""
    (account,) = read(f"port: 1\n{section}:\n  - api-key: k").accounts
    assert (account.label, account.kind, account.dialect) == (f"{section}[0]", kind, dialect)
    assert (account.base_url, account.api_key, account.line) == (base_url, Secret("k"), 3)
    assert account.proxy_url is None


def test_whole_account():
    """All that an entry may say."""
    (account,) = read(
        """
        claude-api-key:
          - api-key: k
            base-url: https://proxy.example/anthropic/
            priority: -2
            prefix: " /work/ "
            proxy-url: none
            headers: {" X-Team ": " tools ", "": x, X-None: "", X-Null: }
            models:
              - {name: a-1, alias: a}
              - b
            excluded-models: [" Claude-3-* ", claude-3-*, ""]
            disable-cooling: true
        """
    ).accounts
    assert account.base_url == "https://proxy.example/anthropic"
    assert (account.priority, account.prefix, account.proxy_url) == (-2, "work", "direct")
    assert account.headers == (("X-Team", "tools"),)
    assert account.models == (ModelName(name="a-1", alias="a"), ModelName(name="b", alias=""))
    assert [m.visible for m in account.models] == ["a", "b"]
    assert account.excluded_models == ("claude-3-*",)
    assert account.disable_cooling


def test_accounts_in_config_order():
    """Accounts stand in the order of the file, whatever their sections; labels keep their places."""
    config = read(
        """
        openai-compatibility:
          - {name: local, base-url: "http://127.0.0.1:1/v1"}
        gemini-api-key:
          - {api-key: a, disabled: true}
          - {api-key: b}
        claude-api-key:
          - {api-key: c}
        """
    )
    assert [a.label for a in config.accounts] == [
        "openai-compatibility/local[0]",
        "gemini-api-key[1]",
        "claude-api-key[0]",
    ]


def test_compatible_server():
    """Each key of a server is an account; all share what the server says, but for a proxy of their own."""
    config = read(
        """
        openai-compatibility:
          - name: router
            base-url: https://router.example/api/v1/
            proxy-url: http://proxy.example
            priority: 1
            headers: {X-Title: amp}
            models: [{name: k2, alias: pool}, {name: k3, alias: pool}]
            excluded-models: [x*]
            api-key-entries:
              - api-key: a
              - api-key: b
                proxy-url: direct
        """
    )
    first, second = config.accounts
    assert (first.label, second.label) == ("openai-compatibility/router[0]", "openai-compatibility/router[1]")
    assert {first.dialect, second.dialect} == {"openai-chat"}
    assert (first.proxy_url, second.proxy_url) == ("http://proxy.example", "direct")
    assert (first.api_key, second.api_key) == (Secret("a"), Secret("b"))
    assert (first.line, second.line) == (11, 12)
    assert (
        first.models
        == second.models
        == (ModelName(name="k2", alias="pool"), ModelName(name="k3", alias="pool"))
    )
    assert {first.base_url, second.base_url} == {"https://router.example/api/v1"}


@pytest.mark.parametrize("entries", ["", "    api-key-entries: []", "    api-key-entries: [{api-key: ''}]"])
def test_keyless_server(entries):
    """A server without keys is one account that sends none, as local servers want it."""
    text = f"openai-compatibility:\n  - name: local\n    base-url: http://127.0.0.1:11434/v1\n{entries}\n"
    (account,) = read(text).accounts
    assert (account.label, bool(account.api_key)) == ("openai-compatibility/local[0]", False)


def test_disabled_server():
    """A server that is switched off gives no account."""
    server = "{name: a, base-url: 'http://a', disabled: true, api-key-entries: [{api-key: b}]}"
    assert read(f"openai-compatibility: [{server}]").accounts == ()


def test_labels_are_unique():
    """Two entries of one name share the count of their keys, so that logs can tell accounts apart."""
    config = read("openai-compatibility: [{name: a, base-url: 'http://a'}, {name: a, base-url: 'http://b'}]")
    assert [a.label for a in config.accounts] == ["openai-compatibility/a[0]", "openai-compatibility/a[1]"]


def test_cooling_is_disabled_for_all():
    """The global switch reaches every account."""
    accounts = "claude-api-key: [{api-key: a}, {api-key: b, disable-cooling: true}]"
    assert [a.disable_cooling for a in read(accounts).accounts] == [False, True]
    assert [a.disable_cooling for a in read("disable-cooling: true\n" + accounts).accounts] == [True, True]


def test_repeated_account_is_one():
    """A key that stands twice is one account, unless its models or prefix differ."""
    text = "gemini-api-key: [{api-key: a}, {api-key: a}, {api-key: a, prefix: b}, {api-key: a, models: [c]}]"
    assert [a.label for a in read(text).accounts] == [f"gemini-api-key[{n}]" for n in (0, 2, 3)]
