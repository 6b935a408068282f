"""Lists of keys of CLIProxyAPI's first versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError


def read(text: str) -> Config:
    return parse(text, name="amp.yaml", environ={"K": "k-env"}, home=Path("/"), read_secret=lambda path: "")


def keys(config: Config) -> list[tuple[str, str]]:
    return [(account.label, account.api_key.reveal()) for account in config.accounts]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "generative-language-api-key: [a, '${K}']",
            [("gemini-api-key[0]", "a"), ("gemini-api-key[1]", "k-env")],
        ),
        (
            "gemini-api-key: [{api-key: a, prefix: p}]\ngenerative-language-api-key: [b, a]",
            [("gemini-api-key[0]", "a"), ("gemini-api-key[1]", "b")],
        ),
        (
            "api-keys: {gemini: [{keys: [{api-key: a}]}]}\ngenerative-language-api-key: [b]",
            [("gemini-api-key[0]", "a"), ("gemini-api-key[1]", "b")],
        ),
        (
            "openai-compatibility:\n  - name: or\n    base-url: http://a\n    api-keys: [a, b]",
            [("openai-compatibility/or[0]", "a"), ("openai-compatibility/or[1]", "b")],
        ),
        (
            "openai-compatibility:\n  - name: or\n    base-url: http://a\n    api-keys: [a, b]\n"
            "    api-key-entries: [{api-key: b}]",
            [("openai-compatibility/or[0]", "b"), ("openai-compatibility/or[1]", "a")],
        ),
        ("generative-language-api-key:\nopenai-compatibility: []", []),
    ],
)
def test_older_lists_are_read(text, found):
    """Keys of an older list serve as those of today's list do, each once, with a warning."""
    config = read(text)
    assert sorted(keys(config)) == sorted(found)
    assert len(config.warnings) == len(found and [1])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "generative-language-api-key: a",
            "amp.yaml:1: generative-language-api-key: expected a list of keys",
        ),
        (
            "generative-language-api-key:\n  - a\n  - [b]",
            "amp.yaml:3: generative-language-api-key[1]: expected a secret, found a list",
        ),
        (
            "openai-compatibility:\n  - name: or\n    base-url: http://a\n    api-keys: [[b]]",
            "amp.yaml:4: openai-compatibility[0].api-keys[0]: expected a secret, found a list",
        ),
    ],
)
def test_what_is_wrong_is_named_as_written(text, complaint):
    """A complaint names the older list, for that is where the mistake stands."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.complaints == (complaint,)


def test_flat_amp_settings_beside_the_new_layout():
    """The flat settings of Amp mean in CLIProxyAPI 8's layout what they always did."""
    text = "config-version: 8\namp-upstream-url: https://a.example\naccess: {api-keys: [a]}"
    assert read(text).ampcode.upstream_url == "https://a.example"


def test_names_of_models_under_their_older_key() -> None:
    """They serve as under today's; those that stand there win."""
    text = "oauth-model-mappings: {codex: [{name: gpt-5.5, alias: big, fork: true}]}"
    config = read(text)
    assert (
        config.oauth.codex.aliases
        == read(text.replace("mappings", "alias")).oauth.codex.aliases
        != read("port: 1").oauth.codex.aliases
    )
    assert len(config.warnings) == 1
    both = read(text + "\noauth-model-alias: {codex: [{name: gpt-5.5, alias: other}]}")
    assert (
        both.oauth.codex.aliases
        == read("oauth-model-alias: {codex: [{name: gpt-5.5, alias: other}]}").oauth.codex.aliases
    )


@pytest.mark.parametrize(
    "providers",
    [
        "[{name: default, type: config-api-key, api-keys: [a, '${K}']}]",
        "{config-api-key: {api-keys: [a], api-key-entries: [{api-key: '${K}', proxy-url: ''}]}}",
        "[{type: config-api-key, api-keys: [a]}, {type: config-api-key, api-keys: ['${K}']}]",
    ],
)
def test_client_keys_at_their_oldest_place(providers: str) -> None:
    """They let clients in, with a warning; those that stand at today's place win."""
    text = f"port: 1\nauth:\n  providers: {providers}\n"
    config = read(text)
    assert [client.secret.reveal() for client in config.clients] == ["a", "k-env"]
    (warning,) = config.warnings
    assert warning.startswith("amp.yaml:3: auth.providers: is deprecated: write its keys as api-keys")
    assert [client.secret.reveal() for client in read(text + "api-keys: [b]").clients] == ["b"]


@pytest.mark.parametrize(
    "providers", ["[]", "[{type: sdk}]", "[{api-keys: [a]}, {type: sdk}]", "[{api-keys: ['']}]"]
)
def test_other_ways_to_let_clients_in(providers: str) -> None:
    """Nobody is let in by what is not there."""
    with pytest.raises(ConfigError, match=r"auth\.providers: is not read, and there are no api-keys"):
        read(f"auth: {{providers: {providers}}}")
