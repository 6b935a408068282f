"""Anthropic, and every host that speaks its dialect: ``claude-api-key``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.model.base import ANTHROPIC
from ampproxy.providers.base import Paths, Provider
from ampproxy.providers.listing import Listing, anthropic_page
from ampproxy.routing.endpoints import Operation


class Anthropic(Provider):
    """Messages at ``BASE/v1/messages``. The key goes in ``x-api-key`` at any host."""

    PATHS: ClassVar[Paths] = {
        (ANTHROPIC, Operation.GENERATE): "messages",
        (ANTHROPIC, Operation.COUNT_TOKENS): "messages/count_tokens",
    }
    VERSION = "v1"
    VENDOR = "anthropic"
    CREDENTIAL = b"x-api-key"
    SCHEME = b""
    DEFAULTS = ((b"anthropic-version", b"2023-06-01"),)
    LISTING = Listing(anthropic_page, "limit=1000", "after_id")
