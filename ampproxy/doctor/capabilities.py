"""What families of models can do, and what each of Amp's roles needs. What is not known is not guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Verdict = Literal["lacks", "short", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Can:
    """What a model can do; ``None``: nobody here knows.

    :param tools: whether it calls tools.
    :param sees: whether it takes images.
    :param thinks: whether it reasons before it answers, where asked to.
    :param draws: whether it makes images.
    :param context: tokens that it takes, question and answer together, as its vendor serves it.
    """

    tools: bool | None = None
    sees: bool | None = None
    thinks: bool | None = None
    draws: bool | None = False
    context: int | None = None


_200K, _128K, _1M = 200_000, 128_000, 1_000_000

#: (patterns of names in lower case without a provider's prefix, what such models can do); the first counts.
FAMILIES: tuple[tuple[tuple[str, ...], Can], ...] = (
    (
        ("claude-opus-4-[6-9]*", "claude-sonnet-4-6*", "claude-opus-5*", "claude-sonnet-5*"),
        Can(tools=True, sees=True, thinks=True, context=_1M),
    ),
    (
        ("claude-3-5-*", "claude-3-opus*", "claude-3-haiku*"),
        Can(tools=True, sees=True, thinks=False, context=_200K),
    ),
    (("claude-*",), Can(tools=True, sees=True, thinks=True, context=_200K)),
    (("gpt-image-*", "dall-e-*", "imagen-*"), Can(tools=False, sees=True, thinks=False, draws=True)),
    (("gpt-5.4-mini*", "gpt-5.4-nano*"), Can(tools=True, sees=True, thinks=True, context=400_000)),
    (("gpt-5.4*", "gpt-5.5*"), Can(tools=True, sees=True, thinks=True, context=_1M)),
    (("gpt-5*-chat*",), Can(tools=True, sees=True, thinks=False, context=_128K)),
    (("gpt-5*", "codex-*"), Can(tools=True, sees=True, thinks=True, context=400_000)),
    (("gpt-4.1*",), Can(tools=True, sees=True, thinks=False, context=_1M)),
    (("gpt-4o*", "gpt-4-turbo*", "chatgpt-4o*"), Can(tools=True, sees=True, thinks=False, context=_128K)),
    (("gpt-oss-*", "gpt-oss:*"), Can(tools=True, sees=False, thinks=True, context=131_072)),
    (("o1-mini*", "o1-preview*"), Can(tools=False, sees=False, thinks=True, context=_128K)),
    (("o3-mini*",), Can(tools=True, sees=False, thinks=True, context=_200K)),
    (("o1*", "o3*", "o4*"), Can(tools=True, sees=True, thinks=True, context=_200K)),
    (("gemini-3*-image*",), Can(tools=False, sees=True, thinks=True, draws=True, context=65_536)),
    (("gemini-*-image*",), Can(tools=False, sees=True, thinks=False, draws=True, context=32_768)),
    (("gemini-2.0-*", "gemini-1.5-*"), Can(tools=True, sees=True, thinks=False, context=_1M)),
    (("gemini-*",), Can(tools=True, sees=True, thinks=True, context=_1M)),
    (("grok-code-*",), Can(tools=True, sees=False, thinks=True, context=256_000)),
    (("grok-4*",), Can(tools=True, sees=True, thinks=True, context=256_000)),
    (("grok-3*",), Can(tools=True, sees=False, context=131_072)),
    (("deepseek-reasoner*", "deepseek-r1*"), Can(tools=None, sees=False, thinks=True, context=_128K)),
    (("deepseek-*",), Can(tools=True, sees=False, context=_128K)),
    (("kimi-k2.5*", "kimi-k2p5*"), Can(tools=True, sees=True, thinks=True, context=262_144)),
    (("kimi-k2-thinking*",), Can(tools=True, sees=False, thinks=True, context=262_144)),
    (("kimi-k2*",), Can(tools=True, sees=False, thinks=False, context=_128K)),
    (("glm-*v", "glm-*v:*", "glm-*v-*"), Can(tools=True, sees=True, thinks=True, context=None)),
    (("glm-4.6*", "glm-4.7*", "glm-5*"), Can(tools=True, sees=False, thinks=True, context=_200K)),
    (("glm-4.5*",), Can(tools=True, sees=False, thinks=True, context=_128K)),
    (("minimax-m2*",), Can(tools=True, sees=False, thinks=True, context=_200K)),
    (("qwen3-coder*",), Can(tools=True, sees=False, thinks=False, context=262_144)),
    (("qwen*vl*",), Can(tools=None, sees=True, context=None)),
    (("qwen3*",), Can(tools=True, sees=False, thinks=None, context=None)),
    (("qwen2.5*",), Can(tools=True, sees=False, thinks=False, context=32_768)),
    (("devstral*", "codestral*"), Can(tools=True, sees=False, thinks=False, context=_128K)),
    (("mistral-*", "mistral:*", "ministral-*"), Can(tools=True, sees=None, thinks=False, context=_128K)),
    (("llama-4*", "llama4*"), Can(tools=True, sees=True, thinks=False, context=_1M)),
    (
        ("llama-3.[13]*", "llama3.[13]*", "meta-llama-3.[13]*"),
        Can(tools=True, sees=False, thinks=False, context=_128K),
    ),
    (("llama3", "llama3:*", "llama-3-*"), Can(tools=False, sees=False, thinks=False, context=8_192)),
    (("gemma3*", "gemma-3*"), Can(tools=False, sees=True, thinks=False, context=_128K)),
)
_UNKNOWN = Can(draws=None)


def abilities(model: str) -> Can:
    """What a model can do, by its vendor's name."""
    name = model.lower().rpartition("/")[2]
    for patterns, can in FAMILIES:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return can
    return _UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a role asks of its model.

    :param must_see: whether images are what it is for; ``sees``: whether they may come along.
    :param context: tokens.
    """

    tools: bool = False
    sees: bool = False
    must_see: bool = False
    thinks: bool = False
    draws: bool = False
    context: int = 32_000


#: A main conversation begins with some 15,000 tokens of tools and instructions, and goes on for hours.
_CONVERSATION = Needs(tools=True, sees=True, thinks=True, context=_200K)
_SUBAGENT = Needs(tools=True, context=_128K)

#: By the roles of :data:`ampproxy.model.roles.ROLES`.
NEEDS: Mapping[str, Needs] = {
    "smart": _CONVERSATION,
    "rush": _CONVERSATION,
    "free": _CONVERSATION,
    "large": Needs(tools=True, sees=True, thinks=True, context=400_000),
    "deep": _CONVERSATION,
    "main": _CONVERSATION,
    "oracle": Needs(tools=True, thinks=True, context=_128K),
    "finder": _SUBAGENT,
    "librarian": _SUBAGENT,
    "task": Needs(tools=True, sees=True, thinks=True, context=_128K),
    "title": Needs(tools=True, context=4_000),
    "handoff": Needs(tools=True, context=_200K),
    "review": Needs(tools=True, thinks=True, context=_128K),
    "painter": Needs(draws=True, sees=True, context=8_000),
    "look_at": Needs(must_see=True),
    "read_thread": Needs(context=_200K),
    "analyze": Needs(context=_200K),
}


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a role needs and a model may not have.

    :param what: for people: ``tools``, ``a context of 200,000 tokens``.
    :param grave: whether the role cannot do its work without it.
    """

    what: str
    verdict: Verdict
    grave: bool = False


def gaps(role: str, model: str) -> list[Gap]:
    """What a role needs and a model lacks, or may lack."""
    return list(_gaps(NEEDS.get(role, Needs()), abilities(model)))


def _gaps(needs: Needs, can: Can) -> Iterator[Gap]:
    rows = (
        ("tools", needs.tools, can.tools, True),
        ("images", needs.sees or needs.must_see, can.sees, needs.must_see),
        ("thinking", needs.thinks, can.thinks, False),
        ("drawing", needs.draws, can.draws, True),
    )
    for what, needed, has, grave in rows:
        if needed and has is not True:
            yield Gap(what, "unknown" if has is None else "lacks", grave and has is False)
    if can.context is None:
        yield Gap(f"a context of {needs.context:,} tokens", "unknown")
    elif can.context < needs.context:
        # Half of it serves for a good while; less ends most threads.
        short = f"a context of {needs.context:,} tokens (it has {can.context:,})"
        yield Gap(short, "short", can.context * 2 < needs.context)
