"""Lists of models as all of OpenAI's dialects have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ampproxy.catalog.families import Family
from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.json import encode


def model_object(model: ModelInfo) -> dict[str, Any]:
    """One entry of a list of models (``openai.types.Model``), with the members that compatible servers have
    in common for what is known of it.
    """
    family, thinks = model.family, model.thinks
    known: dict[str, Any] = {
        "name": model.display_name,
        "context_length": family.context,
        "max_completion_tokens": family.max_output,
        "architecture": _architecture(family),
        "capabilities": _known(
            tools=family.tools,
            vision=None if family.input is None else "image" in family.input,
            reasoning=thinks,
        ),
        "reasoning_efforts": list(family.levels) if family.levels and thinks else None,
        "lifecycle": None if model.lifecycle == "active" else model.lifecycle,
        "shutdown_date": None if model.lifecycle == "active" else family.retires,
        "replacement": None if model.lifecycle == "active" else family.successor or None,
    }
    entry = {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}
    return entry | (_known(**known) or {})


def _known(**members: Any) -> dict[str, Any] | None:
    """The members of which anything is known; ``None``: of none."""
    return {name: value for name, value in members.items() if value is not None} or None


def _architecture(family: Family) -> dict[str, Any] | None:
    """The media, as OpenRouter says them."""
    return _known(
        input_modalities=None if family.input is None else [_MEDIA.get(one, one) for one in family.input],
        output_modalities=None if family.output is None else list(family.output),
    )


_MEDIA = {"pdf": "file"}


def models_body(models: Sequence[ModelInfo]) -> bytes:
    """The answer to ``GET /v1/models``."""
    return encode({"object": "list", "data": [model_object(model) for model in models]})


def model_body(model: ModelInfo) -> bytes:
    """The answer to ``GET /v1/models/{id}``."""
    return encode(model_object(model))
