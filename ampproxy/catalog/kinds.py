"""The kinds of accounts: a row for each, from which all else about them follows.

A kind is a section of the configuration, or a vendor's login. Its row names the class that asks its vendor
(:mod:`ampproxy.providers`), the dialect that its backend speaks, and whose models it serves.
"""

from __future__ import annotations

from collections.abc import Mapping

from ampproxy.catalog.families import vendors
from ampproxy.model.base import ANTHROPIC, CHAT, GEMINI, RESPONSES, Value


class Kind(Value, frozen=True, kw_only=True):
    """What the accounts of one kind have in common.

    :param name: as logs, the ledger and ``ampproxy accounts`` show it.
    :param provider: who asks its vendor: ``module:Class`` below :mod:`ampproxy.providers`.
    :param dialect: what its backend speaks (see :mod:`ampproxy.model.base`).
    :param section: the key of its section in the configuration; empty: a login.
    :param vendor: whose models it serves, of the catalogue's; empty: anybody's.
    :param base_url: used where an entry has none; empty where it must have one.
    :param adds: the path that a request adds to the base URL, which users like to write there, too.
    :param login: the login that it is: what ``ampproxy login`` is given; empty: it has a key.
    :param serves: patterns of the models that an account whose models nobody named is trusted to serve;
        ``None``: all of its vendor's.
    :param beside: another dialect in which its host may be asked, where that has it; empty: there is none.
    :param others: whether servers of other vendors speak its dialect, so that an entry may name their kind.
    :param named_base: whether a sample of the section shows the base URL.
    """

    name: str
    provider: str
    dialect: str
    section: str = ""
    vendor: str = ""
    base_url: str = ""
    adds: str = ""
    login: str = ""
    serves: tuple[str, ...] | None = None
    beside: str = ""
    others: bool = False
    named_base: bool = False

    @property
    def patterns(self) -> tuple[str, ...]:
        """What an account whose models nobody named is trusted to serve: wildcard patterns of names."""
        if self.serves is not None:
            return self.serves
        return vendors()[self.vendor].names if self.vendor else ()

    @property
    def listed(self) -> tuple[str, ...]:
        """What a list shows of a login as long as its vendor has not told, or where it cannot."""
        return vendors()[self.vendor].login_models if self.login and self.vendor else ()


_ROWS = (
    Kind(
        name="claude",
        provider="anthropic:Anthropic",
        dialect=ANTHROPIC,
        section="claude-api-key",
        vendor="anthropic",
        base_url="https://api.anthropic.com",
        adds="/v1/messages",
        others=True,
    ),
    Kind(
        name="codex",
        provider="openai:OpenAI",
        dialect=RESPONSES,
        section="codex-api-key",
        vendor="openai",
        base_url="https://api.openai.com/v1",
        adds="/responses",
        named_base=True,
    ),
    Kind(
        name="gemini",
        provider="gemini:Gemini",
        dialect=GEMINI,
        section="gemini-api-key",
        vendor="google",
        base_url="https://generativelanguage.googleapis.com",
        adds="/v1beta/models",
    ),
    Kind(
        name="vertex",
        provider="vertex:Vertex",
        dialect=GEMINI,
        section="vertex-api-key",
        vendor="google",
        base_url="https://aiplatform.googleapis.com",
        adds="/v1/publishers",
    ),
    Kind(
        name="openai-compatibility",
        provider="compatible:Compatible",
        dialect=CHAT,
        section="openai-compatibility",
        adds="/chat/completions",
        beside=RESPONSES,
    ),
    # Logins: files of auth-dir instead of a section.
    Kind(
        name="claude-login",
        provider="logins:ClaudeLogin",
        dialect=ANTHROPIC,
        vendor="anthropic",
        login="claude",
    ),
    Kind(
        name="codex-login",
        provider="logins:CodexLogin",
        dialect=RESPONSES,
        vendor="openai",
        login="codex",
        serves=("gpt-*", "codex-*"),
    ),
    Kind(name="gemini-login", provider="logins:GeminiLogin", dialect=GEMINI, vendor="google", login="gemini"),
    Kind(
        name="gemini-api-login",
        provider="logins:GeminiApiLogin",
        dialect=GEMINI,
        vendor="google",
        login="gemini",
    ),
)

#: Every kind, by its name.
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ROWS}
#: The kind that has a section of its own form: a list of servers.
COMPATIBLE = KINDS["openai-compatibility"]
#: The kinds whose section is a list of keys.
KEYED = tuple(kind for kind in KINDS.values() if kind.section and kind is not COMPATIBLE)
