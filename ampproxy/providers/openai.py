"""OpenAI's Responses: ``codex-api-key``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.model.base import RESPONSES
from ampproxy.providers.base import Paths, Provider
from ampproxy.routing.endpoints import Operation


class OpenAI(Provider):
    """Responses at ``BASE/responses``; the base has its own version, if any."""

    PATHS: ClassVar[Paths] = {
        (RESPONSES, Operation.GENERATE): "responses",
        (RESPONSES, Operation.COUNT_TOKENS): "responses/input_tokens",
    }
