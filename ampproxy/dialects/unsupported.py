"""What a request may say that another dialect need not repeat: leaving it out is no loss.

Some members ask for what any vendor does anyway, some only shape the stream that the gateway writes
itself, and some are kept beside the vocabulary that says the same. Telling them as losses would make
strict translation refuse requests that are carried whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ampproxy.dialects.common import Losses
from ampproxy.dialects.registry import DIALECTS
from ampproxy.model.base import Json
from ampproxy.model.request import ChatRequest


def is_harmless(dialect: str, name: str, value: Json) -> bool:
    """Whether a member that only ``dialect`` knows asks nothing of another vendor."""
    speaker = DIALECTS.get(dialect)
    harmless = None if speaker is None else speaker.harmless.get(name)
    return harmless is not None and harmless(bytes(value))


def lost_extras(request: ChatRequest) -> Iterator[str]:
    """The members of a request that another dialect than its own cannot say."""
    for name, value in request.extras.items():
        if not is_harmless(request.dialect, name, value):
            yield name


def note_lost_extras(request: ChatRequest, losses: Losses, expressible: Collection[str] = ()) -> None:
    """Note the members that another dialect cannot say.

    :param expressible: those that it can say after all.
    """
    for name in lost_extras(request):
        if name not in expressible:
            losses("extras", f"extras.{name}", f"Only {request.dialect} knows '{name}'.")
