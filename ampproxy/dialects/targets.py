"""What known families of models take: how they are told to think, what they refuse, how much they write.

One table, read from the top; the first row that fits wins, and a model that fits none gets the
defaults of :class:`~ampproxy.dialects.base.Target`. Sources: the vendors' model pages and the type
definitions of their SDKs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from ampproxy.dialects.base import Target
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES

_OPENAI = (CHAT, COMPLETIONS, RESPONSES)
_NO_THINKING = {"thinking": "none"}

#: No (further) minor version follows; a date may.
_NO_MINOR = r"(?!\d|[.-]\d{1,2}(?!\d))"

_CLAUDE_CLASSIC = {"thinking": "budget", "budget": (1024, 128_000)}
_CLAUDE_EFFORT = {
    "thinking": "level",
    "levels": ("low", "medium", "high", "xhigh", "max"),
    "sampling": False,
}
_CLAUDE_BOTH = {"thinking": "both", "levels": ("low", "medium", "high", "max")}
_OPENAI_EFFORT = {
    "thinking": "level",
    "levels": ("low", "medium", "high"),
    "can_disable": False,
    "sampling": False,
    "max_output": 128_000,
}
_GPT_5_1 = _OPENAI_EFFORT | {"can_disable": True}
_XHIGH = ("low", "medium", "high", "xhigh")
_GEMINI_2_5 = {"thinking": "budget", "max_output": 65_536}
_GEMINI_3 = {
    "thinking": "level",
    "levels": ("minimal", "low", "medium", "high"),
    "can_disable": False,
    "max_output": 65_536,
}

#: (dialects, pattern of the bare name in lower case, what differs from the defaults)
_FAMILIES: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = (
    # Claude. 3.7 up to 4.5 think within a budget; 4.6 takes both ways, the adaptive one preferred;
    # what came after takes effort levels only and answers 400 to sampling parameters.
    ((ANTHROPIC,), r"claude-(2|instant)", _NO_THINKING | {"max_output": 4096}),
    ((ANTHROPIC,), r"claude-3-(opus|sonnet|haiku)", _NO_THINKING | {"max_output": 4096}),
    ((ANTHROPIC,), r"claude-3[-.]5-", _NO_THINKING | {"max_output": 8192}),
    ((ANTHROPIC,), r"claude-3[-.]7-", _CLAUDE_CLASSIC | {"max_output": 64_000}),
    ((ANTHROPIC,), r"claude-opus-4([.-][01])?" + _NO_MINOR, _CLAUDE_CLASSIC | {"max_output": 32_000}),
    (
        (ANTHROPIC,),
        r"claude-(sonnet|haiku|opus)-4([.-][0-5])?" + _NO_MINOR,
        _CLAUDE_CLASSIC | {"max_output": 64_000},
    ),
    ((ANTHROPIC,), r"claude-opus-4[.-]6\b", _CLAUDE_BOTH | {"max_output": 128_000}),
    ((ANTHROPIC,), r"claude-\w+-4[.-]6\b", _CLAUDE_BOTH | {"max_output": 64_000}),
    ((ANTHROPIC,), r"claude-opus-4[.-][78]\b", _CLAUDE_EFFORT | {"max_output": 128_000}),
    ((ANTHROPIC,), r"claude-[a-z]+-([4-9]|[1-9]\d)\b|claude-mythos", _CLAUDE_EFFORT),
    # OpenAI's reasoning families.
    (_OPENAI, r"o1-(mini|preview)\b", _NO_THINKING | {"sampling": False, "max_output": 65_536}),
    (_OPENAI, r"o\d+\b", _OPENAI_EFFORT | {"max_output": 100_000}),
    (_OPENAI, r"gpt-5-chat\b", _NO_THINKING | {"max_output": 16_384}),
    (_OPENAI, r"gpt-5\.\d+-chat\b", _OPENAI_EFFORT | {"levels": ("medium",), "max_output": 16_384}),
    (_OPENAI, r"gpt-5-pro\b", _OPENAI_EFFORT | {"levels": ("high",), "max_output": 272_000}),
    (_OPENAI, r"gpt-5\.\d+-pro\b", _OPENAI_EFFORT | {"levels": ("medium", "high", "xhigh")}),
    (_OPENAI, r"gpt-5(\.1)?-codex-max\b", _OPENAI_EFFORT | {"levels": _XHIGH}),
    (_OPENAI, r"gpt-5(\.1)?-codex\b", _OPENAI_EFFORT),
    (_OPENAI, r"gpt-5\.\d+-codex\b", _OPENAI_EFFORT | {"levels": _XHIGH}),
    (_OPENAI, r"gpt-5\.1\b", _GPT_5_1),
    (_OPENAI, r"gpt-5\.\d", _GPT_5_1 | {"levels": _XHIGH}),
    (_OPENAI, r"gpt-5\b", _OPENAI_EFFORT | {"levels": ("minimal", "low", "medium", "high")}),
    # OpenAI's plain families.
    (_OPENAI, r"(chatgpt-4o|gpt-4o)", _NO_THINKING | {"max_output": 16_384}),
    (_OPENAI, r"gpt-4\.1", _NO_THINKING | {"max_output": 32_768}),
    (_OPENAI, r"gpt-4\.5", _NO_THINKING | {"max_output": 16_384}),
    (_OPENAI, r"gpt-4-(turbo|1106|0125)", _NO_THINKING | {"max_output": 4096}),
    (_OPENAI, r"gpt-4", _NO_THINKING | {"max_output": 8192}),
    (_OPENAI, r"gpt-3\.5", _NO_THINKING | {"max_output": 4096}),
    # Gemini. 2.5 thinks within a budget, which Pro cannot set to nothing; 3 takes levels and always thinks.
    ((GEMINI,), r"gemini-(1|2\.0)", _NO_THINKING | {"max_output": 8192}),
    ((GEMINI,), r"gemini-[\d.]+-[a-z-]*(image|tts)", _NO_THINKING | {"max_output": 32_768}),
    ((GEMINI,), r"gemini-2\.5-flash-lite", _GEMINI_2_5 | {"budget": (512, 24_576)}),
    ((GEMINI,), r"gemini-2\.5-flash", _GEMINI_2_5 | {"budget": (0, 24_576)}),
    ((GEMINI,), r"gemini-2\.5-pro", _GEMINI_2_5 | {"budget": (128, 32_768), "can_disable": False}),
    ((GEMINI,), r"gemini-2\.5", _GEMINI_2_5 | {"budget": (128, 24_576)}),
    ((GEMINI,), r"gemini-3-pro", _GEMINI_3 | {"levels": ("low", "high")}),
    ((GEMINI,), r"gemini-[3-9][\d.]*-pro", _GEMINI_3 | {"levels": ("low", "medium", "high")}),
    ((GEMINI,), r"gemini-[3-9]", _GEMINI_3),
    ((GEMINI,), r"gemma-", _NO_THINKING),
    ((GEMINI,), r"gemini-", {"budget": (512, 24_576), "max_output": 65_536}),
)

_COMPILED = tuple((dialects, re.compile(pattern), fields) for dialects, pattern, fields in _FAMILIES)
_SUFFIX = re.compile(r"\([^()]*\)$")
#: Bedrock's form: ``us.anthropic.claude-...``.
_BEDROCK = re.compile(r"(?:[a-z]{2,6}\.)?anthropic\.(?=claude)")


@lru_cache(maxsize=256)
def target_for(dialect: str, model: str) -> Target:
    """What a model takes when it is asked in a dialect.

    :param model: the vendor's name of it. A thinking suffix is not part of it and is cut off; a path
        before it (``anthropic/``, ``publishers/google/models/``) is kept but not looked at.
    """
    name = _SUFFIX.sub("", model)
    bare = _BEDROCK.sub("", name.rpartition("/")[2].lower())
    for dialects, pattern, fields in _COMPILED:
        if dialect in dialects and pattern.match(bare):
            return msgspec.structs.replace(Target(name), **fields)
    return Target(name)
