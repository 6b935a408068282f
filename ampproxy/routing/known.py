"""The models that logins are known to serve, for lists: as long as the vendor has not told, and where it has
no call that tells it (Codex, Code Assist).

What is missing here is served all the same, by the family of names; what a vendor lists takes its place.
Source: the vendors' pages of models, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

from ampproxy.config.schema import AccountKind

_CLAUDE = (
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-sonnet-5-5",
    "claude-sonnet-5",
    "claude-sonnet-4-6",
    "claude-haiku-5-5",
    "claude-haiku-4-5",
)
_CODEX = (
    "gpt-6.1-sol",
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-5.5",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.3-codex",
)
_GEMINI = (
    "gemini-3.1-pro-preview",
    "gemini-3-flash-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
)

#: By the kind of account. Each is of its kind's family.
KNOWN: Mapping[AccountKind, tuple[str, ...]] = {
    "claude-login": _CLAUDE,
    "codex-login": _CODEX,
    "gemini-login": _GEMINI,
    "gemini-api-login": _GEMINI,
}
