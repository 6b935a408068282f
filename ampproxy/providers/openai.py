"""OpenAI's Responses: ``codex-api-key``."""

from __future__ import annotations

from typing import ClassVar

from ampproxy.catalog.families import shipped
from ampproxy.model.base import RESPONSES
from ampproxy.providers.azure import AzureAware
from ampproxy.providers.base import Paths
from ampproxy.providers.listing import Listing, Page, openai_page
from ampproxy.routing.endpoints import Operation


class OpenAI(AzureAware):
    """Responses at ``BASE/responses``; the base has its own version, if any."""

    PATHS: ClassVar[Paths] = {
        (RESPONSES, Operation.GENERATE): "responses",
        (RESPONSES, Operation.COUNT_TOKENS): "responses/input_tokens",
        (RESPONSES, Operation.COMPACT): "responses/compact",
    }
    LISTING: ClassVar[Listing | None] = Listing(openai_page)
    VENDOR: ClassVar[str] = "openai"

    def models_page(self, body: bytes) -> Page:
        """As every provider, without what OpenAI lists beside the models that Responses takes: those that
        draw, speak, hear, embed, judge.
        """
        page = super().models_page(body)
        return page._replace(names=tuple(filter(_answers, page.names)))


def _answers(model: str) -> bool:
    """Whether Responses takes a model, as far as is known."""
    endpoints = shipped().find(model).endpoints
    return endpoints is None or "responses" in endpoints
