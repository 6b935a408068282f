"""Thinking suffixes of models' names, on every family and for every client: what the vendor is sent, and
whether that is a loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest

from ampproxy.model.request import LEVELS
from tests.dialects.test_newest_models import CHECKS
from tests.resources.harness import CLIENT_KEY, World

CLAUDE, RESPONSES, GEMINI, CHAT = (
    ("claude-api-key", "https://api.anthropic.com"),
    ("codex-api-key", "https://api.openai.com/v1"),
    ("gemini-api-key", "https://generativelanguage.googleapis.com"),
    ("openai-compatibility", "https://api.openai.com/v1"),
)
DIALECT = {CLAUDE: "anthropic", RESPONSES: "openai-responses", GEMINI: "gemini", CHAT: "openai-chat"}


def at(url: str) -> tuple[str, str]:
    return "openai-compatibility", url


LEVELS_AND_SWITCHES = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "auto", "-1", "0")
SUFFIXES = (*LEVELS_AND_SWITCHES, "512", "9000", "40000", "200000")
#: Account, model, and what each suffix comes to there: ``-`` is nothing at all, ``on`` thinking without an
#: amount; a star marks a declared loss.
TABLE = [
    # Anthropic: budgets, then levels; some cannot be kept from thinking.
    (CLAUDE, "claude-3-5-haiku-latest", "- -* -* -* -* -* -* -* -* - -* -* -* -*"),
    (CLAUDE, "claude-haiku-4-5", "none 1024* 1024 8192 24576 32768 ?* 8192* 8192* none 1024* 9000 40000 ?*"),
    (CLAUDE, "claude-opus-4-6", "none low* low medium high max* max on on none low* high* max* max*"),
    (CLAUDE, "claude-sonnet-5", "none low* low medium high xhigh max on on none low* high* xhigh* xhigh*"),
    (CLAUDE, "claude-haiku-5-5", "none low* low medium high xhigh max on on none low* high* xhigh* xhigh*"),
    (
        CLAUDE,
        "claude-sonnet-5-5",
        "between* low* low medium high xhigh max on on between* low* high* xhigh* xhigh*",
    ),
    (CLAUDE, "claude-opus-5-5", "low* low* low medium high xhigh max on on low* low* high* xhigh* xhigh*"),
    # OpenAI: levels.
    (RESPONSES, "gpt-4.1", "- -* -* -* -* -* -* -* -* - -* -* -* -*"),
    (RESPONSES, "o3", "low* low* low medium high high* high* - - low* low* high* high* high*"),
    (
        RESPONSES,
        "gpt-5",
        "minimal* minimal low medium high high* high* - - minimal* minimal* high* high* high*",
    ),
    (RESPONSES, "gpt-5.1", "none low* low medium high high* high* - - none low* high* high* high*"),
    (RESPONSES, "gpt-5.4", "none low* low medium high xhigh xhigh* - - none low* high* xhigh* xhigh*"),
    (
        RESPONSES,
        "gpt-5.5-pro",
        "medium* medium* medium* medium high xhigh xhigh* - - medium* medium* high* xhigh* xhigh*",
    ),
    (RESPONSES, "gpt-5.6-sol", "none low* low medium high xhigh max - - none low* high* xhigh* xhigh*"),
    (RESPONSES, "gpt-6.2-astra", "low* low* low medium high xhigh max - - low* low* high* xhigh* xhigh*"),
    (RESPONSES, "gpt-6-luna", "none low* low medium high xhigh max - - none low* high* xhigh* xhigh*"),
    (CHAT, "gpt-5.6-sol", "none low* low medium high xhigh xhigh* - - none low* high* xhigh* xhigh*"),
    (CHAT, "gpt-6-luna", "none low* low medium high xhigh max - - none low* high* xhigh* xhigh*"),
    # Gemini: budgets, then levels.
    (GEMINI, "gemini-2.0-flash", "- -* -* -* -* -* -* -* -* - -* -* -* -*"),
    (
        GEMINI,
        "gemini-2.5-pro",
        "128* 512 1024 8192 24576 32768 32768* on on 128* 512 9000 32768* 32768*",
    ),
    (
        GEMINI,
        "gemini-2.5-flash",
        "none 512 1024 8192 24576 24576* 24576* on on none 512 9000 24576* 24576*",
    ),
    (GEMINI, "gemini-3-pro-preview", "low* low* low high* high high* high* - - low* low* high* high* high*"),
    (
        GEMINI,
        "gemini-3-flash-preview",
        "minimal* minimal low medium high high* high* - - minimal* minimal* high* high* high*",
    ),
    (GEMINI, "gemini-4-neon", "low* low* low medium high xhigh xhigh* - - low* low* high* xhigh* xhigh*"),
    (GEMINI, "gemini-flash-latest", "low* low* low medium high high* high* - - low* low* high* high* high*"),
    # Servers of Chat Completions with ways of their own.
    (
        at("https://api.deepseek.com/v1"),
        "deepseek-v4",
        "none low* low high* high max* max on on none low* high* max* max*",
    ),
    (
        at("https://api.moonshot.ai/v1"),
        "kimi-k3",
        "low* low* low high* high max* max - - low* low* high* max* max*",
    ),
    (
        at("https://api.z.ai/api/paas/v4"),
        "glm-5.3",
        "low* low* low high* high max* max - - low* low* high* max* max*",
    ),
    (
        at("https://dashscope.aliyuncs.com/compatible-mode/v1"),
        "qwen3.7-max",
        "none 512 1024 8192 24576 32768 on on on none 512 9000 40000 200000",
    ),
    (
        at("https://api.groq.com/openai/v1"),
        "qwen/qwen3-32b",
        "none default* default* default* default* default* default* - - none default* default* default*"
        " default*",
    ),
]  # fmt: skip

BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {"max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}]},
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "responses": {"input": "hi"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
#: The body's own wish, which the suffix beats.
WISHES: dict[str, dict[str, Any]] = {
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    "chat": {"reasoning_effort": "medium"},
    "responses": {"reasoning": {"effort": "medium"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 2000}}},
}
PATHS = {"anthropic": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}


@lru_cache(1)
def gateway(account: tuple[str, str], model: str) -> World:
    """Before one account with one model. Who asks next for the same has it, too."""
    kind, url = account
    key = "name: server\n    api-key-entries: [{api-key: account-key-0123456789}]"
    key = key if kind == "openai-compatibility" else "api-key: account-key-0123456789"
    models = f'models: [{{name: "{model}", alias: model}}]'
    return World(f'api-keys: ["{CLIENT_KEY}"]\n{kind}:\n  - base-url: {url}\n    {key}\n    {models}\n')


def asked(world: World, suffix: str, client: str, *, wish: bool) -> tuple[str, Any]:
    """How much the account is asked to think, with a star for a loss; and the body."""
    body = {**BODIES[client], **(WISHES[client] if wish else {})}
    path = PATHS.get(client, f"/v1beta/models/model({suffix}):generateContent")
    if client != "gemini":
        body["model"] = f"model({suffix})"
    world.request("POST", path, {"X-Ampproxy-Losses": "1"}, json.dumps(body).encode())
    world.turn()
    (request,) = world.client.sent
    world.client.sent.clear()
    sent = json.loads(request.body)
    request.respond_whole(400, b"{}", {"Content-Type": ["application/json"]})
    lost = any(kind.startswith("thinking") for kind in world.exchanges[-1]["losses"])
    return amount(sent) + ("*" if lost else ""), sent


def amount(sent: dict[str, Any]) -> str:
    """What a request's members of thinking come to."""
    return next((str(word).lower() for word in _amounts(sent) if word is not None), "-")


def _amounts(sent: dict[str, Any]) -> Iterator[Any]:
    yield (sent.get("output_config") or {}).get("effort")
    yield (sent.get("reasoning") or {}).get("effort")
    yield sent.get("reasoning_effort")
    yield sent.get("thinking_budget")
    config = sent.get("generationConfig", {}).get("thinkingConfig", {})
    yield config.get("thinkingLevel")
    budget = config.get("thinkingBudget")
    yield {0: "none", -1: "on"}.get(budget, budget)
    thinking = sent.get("thinking") or {}
    yield thinking.get("budget_tokens")
    words = {"disabled": "none", "between_tools": "between", "adaptive": "on", "enabled": "on"}
    yield words.get(thinking.get("type", ""))
    yield {True: "on", False: "none"}.get(sent.get("enable_thinking", ""))


@pytest.mark.parametrize("client", BODIES)
@pytest.mark.parametrize("wish", [False, True])
@pytest.mark.parametrize(("account", "model", "words"), TABLE, ids=lambda value: str(value)[:24])
def test_every_suffix_on_every_family(
    account: tuple[str, str], model: str, words: str, client: str, wish: bool
) -> None:
    """In the account's own dialect as in translation, whatever the body itself wishes; the stand-ins of the
    vendors take it all.
    """
    world = gateway(account, model)
    found, expected = [], []
    for suffix, word in zip(SUFFIXES, words.split(), strict=True):
        got, sent = asked(world, suffix, client, wish=wish)
        if account in DIALECT:
            CHECKS[DIALECT[account]](sent, model)
        found.append(f"{suffix}={got}")
        # How much a budget may be follows from the limit of the answer.
        expected.append(f"{suffix}={got if word == '?*' and got.endswith('*') else word}")
    assert found == expected


def test_every_level_has_a_suffix() -> None:
    """The table is of all that there are."""
    assert {*LEVELS, "none", "auto"} < set(SUFFIXES)
