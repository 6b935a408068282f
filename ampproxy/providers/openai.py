"""OpenAI's Responses: ``codex-api-key``."""

from __future__ import annotations

import re
from typing import ClassVar

from ampproxy.model.base import RESPONSES
from ampproxy.providers.base import Paths, Provider
from ampproxy.providers.listing import Listing, Page, openai_page
from ampproxy.routing.endpoints import Operation

#: What OpenAI lists beside the models that Responses takes: those that draw, speak, hear, embed, judge.
_OTHER_USES = re.compile(
    r"(text-embedding|whisper|tts|dall-e|sora|gpt-image|chatgpt-image|omni-moderation|text-moderation|babbage"
    r"|davinci|gpt-realtime|gpt-audio)(-|\Z)|gpt-.*-(realtime|audio|transcribe|tts|instruct)(-|\Z)"
)


class OpenAI(Provider):
    """Responses at ``BASE/responses``; the base has its own version, if any."""

    PATHS: ClassVar[Paths] = {
        (RESPONSES, Operation.GENERATE): "responses",
        (RESPONSES, Operation.COUNT_TOKENS): "responses/input_tokens",
    }
    LISTING: ClassVar[Listing | None] = Listing(openai_page)

    def models_page(self, body: bytes) -> Page:
        """As every provider."""
        names, after = super().models_page(body)
        return Page(tuple(name for name in names if not _OTHER_USES.match(name)), after)
