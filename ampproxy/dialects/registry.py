"""All dialects by name. A new one is a package and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from ampproxy.dialects.anthropic import AnthropicDialect
from ampproxy.dialects.base import Dialect
from ampproxy.dialects.gemini import GeminiDialect
from ampproxy.dialects.openai_chat import ChatDialect
from ampproxy.dialects.openai_completions import CompletionsDialect
from ampproxy.dialects.openai_responses import ResponsesDialect

#: The dialect's name (see :mod:`ampproxy.model.base`) -> what reads and writes it.
DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        AnthropicDialect(),
        ChatDialect(),
        CompletionsDialect(),
        ResponsesDialect(),
        GeminiDialect(),
    )
}
