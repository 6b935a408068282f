"""Azure's hosts of OpenAI's models: the key goes in a header of its own, a call below a deployment or
``/openai/v1``.

Sources: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle,
https://learn.microsoft.com/azure/ai-foundry/openai/reference.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ampproxy.config.schema import Account
from ampproxy.providers.base import Header, Provider

_HOST: Final = re.compile(
    r"https?://[^/?#]+\.(?:openai|services\.ai|cognitiveservices)\.azure\.com(?::\d+)?(?=[/?#]|\Z)", re.I
)
_ORIGIN: Final = re.compile(r"https?://[^/?#]+")
#: The paths of calls, which users copy from Azure's portal.
_CALLS: Final = ("/chat/completions", "/responses", "/completions", "/embeddings")
_VERSION: Final = "api-version="
#: The last version that the calls below deployments had before there was ``/openai/v1``.
_LAST_VERSION: Final = _VERSION + "2024-10-21"
_DEPLOYMENTS: Final = "/openai/deployments"


class AzurePlace(NamedTuple):
    """Where an account's calls go.

    :ivar base_url: below which they are.
    :ivar by_model: whether each model is a deployment, with a path of its own there.
    """

    base_url: str
    by_model: bool


def azure_place(account: Account) -> AzurePlace | None:
    """Where the calls of an account at Azure go; ``None``: it is at another host."""
    url = account.base_url.partition("#")[0]
    host = _HOST.match(url)
    if host is None and account.profile != "azure":
        return None
    origin = host or _ORIGIN.match(url)
    if origin is None:
        return None
    path, _, query = url[origin.end() :].partition("?")
    path = path.rstrip("/")
    path = next((path.removesuffix(call) for call in _CALLS if path.endswith(call)), path)
    versioned = _VERSION in query
    by_model = path == _DEPLOYMENTS or (path in ("", "/openai") and versioned)
    if by_model or path in ("", "/openai"):
        path = "/openai" if by_model else "/openai/v1"
    if not versioned and (by_model or path.startswith(_DEPLOYMENTS)):
        query = "&".join(filter(None, (query, _LAST_VERSION)))
    return AzurePlace(origin.group() + path + (f"?{query}" if query else ""), by_model)


class AzureAware(Provider):
    """A provider of OpenAI's dialects, whose account may be at Azure."""

    def __init__(self, account: Account) -> None:
        self._azure = azure_place(account)
        super().__init__(account)

    def _base_url(self) -> str:
        return super()._base_url() if self._azure is None else self._azure.base_url

    def _credential(self, key: bytes) -> Header:
        # A token of Entra's is a JSON Web Token, and goes where tokens do.
        if self._azure is None or key.startswith(b"eyJ"):
            return super()._credential(key)
        return b"api-key", key
