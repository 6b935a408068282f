"""OpenAI's rules for a request, and the families of models that differ in them.

Sources: the docstrings of ``openai.types.chat``; the vendors' error texts. The servers that follow
OpenAI check less, so what obeys these rules is good for them too.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from ampproxy.dialects.base import Target
from ampproxy.dialects.common import Names
from ampproxy.model.request import ChatRequest

#: Function names: a-z, A-Z, 0-9, underscores and dashes, at most 64.
NAME_ILLEGAL: Final = r"[^a-zA-Z0-9_-]"
NAME_LIMIT: Final = 64
#: Call ids: at most 40 characters. Kimi's (``functions.bash:0``) have dots and colons, so all visible
#: characters of ASCII pass.
_ID: Final = re.compile(r"[!-~]{1,40}")
#: At most so many stop sequences.
STOP_LIMIT: Final = 4
#: ``metadata``: so many pairs, so long keys and values.
METADATA_LIMITS: Final = (16, 64, 512)
#: ``user``: at most 64 characters ("string too long"); Anthropic's ids of users are longer.
USER_LIMIT: Final = 64
SERVICE_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

_OPENAI: Final = re.compile(r"(o[1-9](?![a-z\d])|gpt-(4o|4\.[15]|[5-9])|chatgpt-|codex-)")
#: Models that answer 400 in the middle of a tool loop when their own thinking is not given back
#: (DeepSeek's and Moonshot's guides to thinking with tools), or are trained to read it.
_READS_REASONING: Final = re.compile(r"deepseek|kimi|glm-|minimax|mimo", re.I)
_SEARCHES: Final = re.compile(r"search")


def is_openai(model: str) -> bool:
    """Whether a model's name is one of OpenAI's own."""
    return _OPENAI.match(_bare(model)) is not None


def _bare(model: str) -> str:
    return model.rpartition("/")[2].lower()


class Rules:
    """What may be said to one target for one request.

    :ivar openai: it is one of OpenAI's own models, so that members other servers do not know may be
        used: ``max_completion_tokens``, ``allowed_tools``, custom tools, ``metadata``.
    :ivar same: the client spoke this dialect itself, so that it knows what its server takes.
    :ivar names: tool names as sent.
    """

    def __init__(self, request: ChatRequest, target: Target, own: str) -> None:
        bare = _bare(target.model)
        self.same = request.dialect == own
        self.openai = is_openai(target.model)
        self.searches = self.openai and _SEARCHES.search(bare) is not None
        self.reads_reasoning = self.same or _READS_REASONING.search(target.model) is not None
        self.custom_tools = self.openai or self.same
        self.names = Names(NAME_ILLEGAL, NAME_LIMIT, (tool.name for tool in request.tools))


def call_id(given: str) -> str:
    """A call's id as it may be sent: itself, or one that is always the same for it."""
    if _ID.fullmatch(given):
        return given
    return f"call_{hashlib.sha256(given.encode('utf-8', 'replace')).hexdigest()[:24]}"
