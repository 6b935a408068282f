"""OpenAI's rules for a request, and the families of models that differ in them.

Sources: the docstrings of ``openai.types.chat``; the vendors' error texts. The servers that follow
OpenAI check less, so what obeys these rules is good for them too.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from ampproxy.adapt.target import Target, is_known, thought_member
from ampproxy.catalog.families import Families, shipped
from ampproxy.dialects.common import ToolNameMap
from ampproxy.model.request import ChatRequest

#: Function names: a-z, A-Z, 0-9, underscores and dashes, at most 64.
NAME_ILLEGAL: Final = r"[^a-zA-Z0-9_-]"
NAME_LIMIT: Final = 64
#: Call ids: at most 40 characters. Kimi's (``functions.bash:0``) have dots and colons, so all visible
#: characters of ASCII pass.
_ID: Final = re.compile(r"[!-~]{1,40}")
_NINE: Final = re.compile(r"[a-zA-Z0-9]{9}")


def is_openai(model: str, families: Families | None = None) -> bool:
    """Whether a model's name is one of OpenAI's own."""
    return (families or shipped()).find(model).openai_members is True


#: What Gemini's check takes for a call whose proof is missing.
NO_PROOF: Final = "skip_thought_signature_validator"


def is_cautious(request: ChatRequest, target: Target, own: str) -> bool:
    """Whether the server's profile counts: always, but for a client that speaks the dialect of a server that
    nobody described. That client knows it better.
    """
    return target.host.known or request.dialect != own


class Rules:
    """What may be said to one target for one request.

    :ivar host: what its server takes.
    :ivar thought: the member that takes its own thinking back; empty: it is not given back.

    :ivar openai: it is one of OpenAI's own models, so that members other servers do not know may be
        used: ``max_completion_tokens``, ``metadata``.
    :ivar same: the client spoke this dialect itself, so that it knows what its server takes.
    :ivar names: tool names as sent.
    """

    def __init__(self, request: ChatRequest, target: Target, own: str) -> None:
        self.same = request.dialect == own
        self.openai = is_known(target, "openai_members")
        self.host = target.host
        self.thought = thought_member(target, own=self.same)
        self.custom_tools = self.openai or self.same
        self.names = ToolNameMap(NAME_ILLEGAL, NAME_LIMIT, (tool.name for tool in request.tools))


def does_search(target: Target) -> bool:
    """Whether it is a model for searching the web."""
    return is_known(target, "searches")


def is_openai_own(target: Target) -> bool:
    """Whether it is one of OpenAI's own models, which know what its dialect had added to it since."""
    return is_known(target, "openai_members")


def call_id(given: str, form: str = "any") -> str:
    """A call's id as it may be sent: itself, or one that is always the same for it.

    :param form: see :attr:`ampproxy.catalog.hosts.Host.call_ids`.
    """
    if (_NINE if form == "nine" else _ID).fullmatch(given):
        return given
    mark = hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()
    return mark[:9] if form == "nine" else f"call_{mark[:24]}"
