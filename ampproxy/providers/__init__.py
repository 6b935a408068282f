"""The vendors: a small file each. A new one is a file and a line in :data:`PROVIDERS`."""

from __future__ import annotations

from ampproxy.config.schema import AccountKind
from ampproxy.providers.anthropic import Anthropic
from ampproxy.providers.base import Call, Provider
from ampproxy.providers.compatible import Compatible
from ampproxy.providers.gemini import Gemini
from ampproxy.providers.logins import ClaudeLogin, CodexLogin, GeminiApiLogin, GeminiLogin
from ampproxy.providers.openai import OpenAI
from ampproxy.providers.vertex import Vertex

__all__ = ["PROVIDERS", "Call", "Provider"]

#: The section of the configuration -> what reaches its vendor; called with the account.
PROVIDERS: dict[AccountKind, type[Provider]] = {
    "claude": Anthropic,
    "codex": OpenAI,
    "gemini": Gemini,
    "vertex": Vertex,
    "openai-compatibility": Compatible,
    "claude-login": ClaudeLogin,
    "codex-login": CodexLogin,
    "gemini-login": GeminiLogin,
    "gemini-api-login": GeminiApiLogin,
}
