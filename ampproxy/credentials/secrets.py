"""Every secret that a configuration holds: what no log, error or page may show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from ampproxy.config.schema import Config
from ampproxy.model.databases import passwords_in
from ampproxy.wire.late import LatePattern
from ampproxy.wire.redact import Secret, Unseen

#: Headers of an account that are credentials of its owner's: those whose name says so.
_CREDENTIAL = LatePattern(r"auth|key|token|secret|cookie|passw", re.IGNORECASE)


def embedded_secrets(config: Config) -> list[str]:
    """The secrets among them that are parts of other values: passwords of proxies, credentials in headers."""
    return [text for text in _texts(config) if text]


def secrets_of(config: Config) -> list[Secret]:
    """Every secret of a configuration: keys, OAuth clients' secrets, proxies' passwords, credentials among
    the accounts' own headers. Tokens of logins are not in it: they are not the configuration's.
    """
    amp = config.ampcode
    found = [*config.api_keys, *(account.api_key for account in config.accounts)]
    if config.neo is not None and config.neo.client.secret is not None:
        found.append(config.neo.client.secret)
    found += [client.upstream for client in config.clients if client.upstream is not None]
    found += [secret for pair in amp.per_client_keys for secret in pair]
    found += [secret for secret in (amp.upstream_api_key, amp.actor_token) if secret is not None]
    oauth = config.oauth
    found += [
        client.client_secret for client in (oauth.claude, oauth.codex, oauth.gemini) if client.client_secret
    ]
    if config.alerts is not None and config.alerts.webhook is not None:
        found.append(config.alerts.webhook)
    if config.state is not None:
        found += config.state.secrets
    if config.ledger.password is not None:
        found.append(config.ledger.password)
    found += map(Secret, _texts(config))
    return [secret for secret in found if secret]


def _texts(config: Config) -> Iterator[str]:
    for url in (config.proxy_url, *(account.proxy_url for account in config.accounts)):
        password = urlsplit(url).password if url else None
        if password:
            yield password
            yield unquote(password)
    ledger = config.ledger.url
    if ledger is not None and not isinstance(ledger, Unseen):
        yield from passwords_in(ledger.reveal())
    alerts = config.alerts
    for headers in (
        *(account.headers for account in config.accounts),
        () if alerts is None else alerts.headers,
    ):
        for name, value in headers:
            if _CREDENTIAL.search(name) and not value.startswith("$"):
                yield value
                yield value.partition(" ")[2]
