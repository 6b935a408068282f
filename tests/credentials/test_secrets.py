"""Which texts of a configuration are secret."""

from __future__ import annotations

from pathlib import Path

from ampproxy.config.load import parse
from ampproxy.credentials.secrets import secrets_of

CONFIG = """
api-keys: [client-one, client-two]
proxy-url: http://anna:global%2Dpassword@127.0.0.1:1
claude-api-key:
  - api-key: claude-key
    base-url: http://127.0.0.1:9
    proxy-url: socks5://ben:own-password@127.0.0.1:1
    headers: {Authorization: Bearer header-token, X-Own-Secret: header-secret, User-Agent: not-secret}
gemini-api-key: [{api-key: gemini-key}]
openai-compatibility:
  - {name: a, base-url: http://127.0.0.1:9, api-key-entries: [{api-key: entry-one}, {api-key: entry-two}]}
oauth: {gemini: {client-secret: oauth-secret}}
ampcode:
  upstream-api-key: amp-key
  upstream-api-keys: [{upstream-api-key: amp-own, api-keys: [client-two]}]
"""


def test_every_secret() -> None:
    """Keys, passwords, secrets of OAuth clients and credentials among headers; no ordinary header."""
    config = parse(CONFIG, name="c", environ={}, home=Path("/"), read_secret=lambda path: "")
    found = {secret.reveal() for secret in secrets_of(config)}
    assert found >= {
        "client-one", "client-two", "claude-key", "gemini-key", "entry-one", "entry-two", "oauth-secret",
        "amp-key", "amp-own", "global-password", "own-password", "Bearer header-token", "header-token",
        "header-secret",
    }  # fmt: skip
    assert "not-secret" not in found
    assert "" not in found
