"""What a request may have that another dialect need not repeat: leaving it out is no loss.

Some members ask for what any vendor does anyway, some only shape the stream that the gateway writes
itself, and some are kept beside the vocabulary that means the same. Noting them as losses would make
strict translation refuse requests that are carried whole.
"""

from __future__ import annotations

from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import Json


def is_harmless(dialect: str, name: str, value: Json) -> bool:
    """Whether a member that only ``dialect`` knows asks nothing of another vendor."""
    speaker = DIALECTS.get(dialect)
    harmless = None if speaker is None else speaker.harmless.get(name)
    return harmless is not None and harmless(bytes(value))
