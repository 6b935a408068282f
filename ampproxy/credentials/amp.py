"""The key that the Amp upstream is given: whose, and from where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ampproxy.amp.keys import is_jwt
from ampproxy.config import files
from ampproxy.config.schema import Config
from ampproxy.model.clients import ClientKey, KnownKeys, marks_of
from ampproxy.wire.redact import Secret

#: The member of Amp's own secrets file that holds the key of its public service.
SECRETS_MEMBER = "apiKey@https://ampcode.com/"

#: Seconds for which the secrets file's content, or its absence, is believed.
SECRETS_TTL = 300.0

#: Why what a sign-in with OAuth leaves is no upstream key.
OF_A_SIGN_IN = (
    "an OAuth token from signing in, which expires within hours and which only the CLI renews: make an"
    " access token on Amp's settings page, and set it as ampcode.upstream-api-key"
)


class AmpKeys:
    """Finds the upstream key for a client: its own, else the configured one, else ``AMP_API_KEY``,
    else what Amp's own login left in ``~/.local/share/amp/secrets.json``.

    :param config: its ``ampcode``; a key that is one of its ``api-keys``, or that
        of ``neo``, is a client's, and never Amp's.
    :param environ: where ``AMP_API_KEY`` may stand.
    :param home: the user's home directory.
    """

    def __init__(self, config: Config, *, environ: Mapping[str, str], home: Path) -> None:
        self._own = _own_keys(config)
        neo = () if config.neo is None else (config.neo.client,)
        self._clients = KnownKeys((*config.clients, *neo))
        self._configured = config.ampcode.upstream_api_key
        self._refused = ""
        if not self._configured:
            from_environment = Secret(environ.get("AMP_API_KEY", "").strip())
            if from_environment in self._clients:
                self._refused = "AMP_API_KEY in the environment is one of the gateway's api-keys"
            elif from_environment:
                self._configured = from_environment
        self._path = home / ".local" / "share" / "amp" / "secrets.json"
        self._read_at: float | None = None
        self._from_file: Secret | None = None
        self._complaint = ""

    def find(self, client: Secret | None, now: float) -> Secret | None:
        """The key for a client (``None``: no key of ours let it in), or ``None`` if there is none.

        :param now: seconds, monotonic.
        """
        if client is not None:
            own = self._own.get(client)
            if own:
                return own
        if self._configured is not None:
            return self._configured
        if self._read_at is None or now - self._read_at >= SECRETS_TTL:
            self._read_at = now
            self._from_file, self._complaint = _read(self._path)
            if self._from_file in self._clients:
                self._complaint = f"the key in {self._path} is one of the gateway's api-keys"
                self._from_file = None
            elif self._from_file is not None and is_jwt(self._from_file.reveal()):
                # The CLI alone renews it, and only while it runs.
                self._complaint = f"{self._path} has {OF_A_SIGN_IN}"
                self._from_file = None
        return self._from_file

    @property
    def complaint(self) -> str:
        """Why the environment or the secrets file gave no key, if it is there and did not."""
        return "; ".join(filter(None, (self._refused, self._complaint)))


def _own_keys(config: Config) -> dict[Secret, Secret]:
    """What each client is known by -> the Amp key of its own, if it has one."""
    own = dict(config.ampcode.per_client_keys)
    by_mark = {mark: amp for key, amp in own.items() for mark in marks_of(ClientKey(secret=key))}
    for client in config.clients:
        amp = client.upstream or next(filter(None, map(by_mark.get, marks_of(client))), None)
        if amp is not None:
            own[client.identity] = amp
    return own


def _read(path: Path) -> tuple[Secret | None, str]:
    try:
        content = json.loads(files.read(path, files.MAX_CONFIG).decode("utf-8"))
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, f"{path} cannot be read: {type(error).__name__}"
    value = content.get(SECRETS_MEMBER) if isinstance(content, dict) else None
    if not isinstance(value, str) or not value.strip():
        return None, f"{path} has no key for https://ampcode.com/"
    return Secret(value.strip()), ""
