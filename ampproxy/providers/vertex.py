"""Google's Vertex AI with an API key: ``vertex-api-key``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.model.base import GEMINI
from ampproxy.providers.base import Paths
from ampproxy.providers.gemini import Gemini
from ampproxy.routing.endpoints import Operation


class Vertex(Gemini):
    """As Gemini, at ``BASE/v1/publishers/google/models/M:method``."""

    PATHS: ClassVar[Paths] = {
        (GEMINI, operation): "publishers/google/models/"
        for operation in (Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBED, Operation.OTHER)
    }
    VERSION = "v1"
