"""Whatever speaks OpenAI's Chat Completions: ``openai-compatibility``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.model.base import CHAT, COMPLETIONS, RESPONSES
from ampproxy.providers.base import Paths, Provider
from ampproxy.providers.listing import Listing, openai_page
from ampproxy.routing.endpoints import Operation


class Compatible(Provider):
    """Chat, plain completions and embeddings right below ``BASE``. It cannot count tokens."""

    PATHS: ClassVar[Paths] = {
        (CHAT, Operation.GENERATE): "chat/completions",
        (COMPLETIONS, Operation.GENERATE): "completions",
        (CHAT, Operation.EMBED): "embeddings",
    }
    #: OpenAI's own host.
    BESIDE: ClassVar[Paths] = {(RESPONSES, Operation.GENERATE): "responses"}
    LISTING = Listing(openai_page)
    VENDOR = "openai"
