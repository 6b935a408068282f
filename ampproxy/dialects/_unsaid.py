"""What a request may say that another dialect need not repeat: leaving it out is no loss.

Some members ask for what any vendor does anyway, some only shape the stream that the gateway writes
itself, and some are kept beside the vocabulary that says the same. Telling them as losses would make
strict translation refuse requests that are carried whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from ampproxy.dialects._common import Losses
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, RESPONSES, Json
from ampproxy.model.request import ChatRequest

#: Any value of the member.
_ANY: Final[Collection[bytes]] = ()

#: Dialect -> member of ``ChatRequest.extras`` -> the JSON texts that mean nothing elsewhere.
_HARMLESS: Final[Mapping[str, Mapping[str, Collection[bytes]]]] = {
    # The client's own words, beside ``ChatRequest.thinking`` that says the same.
    ANTHROPIC: {"thinking": _ANY},
    # The answer's renderer repeats the prompt.
    COMPLETIONS: {"echo": _ANY},
    CHAT: {
        "functions": _ANY,
        "safety_identifier": _ANY,
        "stream_options": _ANY,
        "prompt_cache_retention": _ANY,
        "store": (b"false",),
    },
    RESPONSES: {
        "store": (b"false",),
        "background": (b"false",),
        "truncation": (b'"disabled"', b'"auto"'),
        "prompt_cache_retention": _ANY,
        "stream_options": _ANY,
    },
}

#: Field of ``Sampling`` -> what every vendor does unasked.
_USUAL: Final = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}


def is_harmless(dialect: str, name: str, value: Json) -> bool:
    """Whether a member that only ``dialect`` knows asks nothing of another vendor."""
    if dialect == ANTHROPIC and name == "thinking" and b'"between_tools"' in bytes(value):
        # No other vendor has a place for thinking between calls alone.
        return False
    known = _HARMLESS.get(dialect, {}).get(name)
    return known is not None and (not known or bytes(value) in known)


def is_usual(field: str, value: object) -> bool:
    """Whether a sampling parameter asks for what is done without it."""
    return field in _USUAL and value == _USUAL[field]


def lost_extras(request: ChatRequest) -> Iterator[str]:
    """The members of a request that another dialect than its own cannot say."""
    for name, value in request.extras.items():
        if not is_harmless(request.dialect, name, value):
            yield name


def tell_lost_extras(request: ChatRequest, losses: Losses, told: Collection[str] = ()) -> None:
    """Note the members that another dialect cannot say.

    :param told: those that it can say after all.
    """
    for name in lost_extras(request):
        if name not in told:
            losses("extras", f"extras.{name}", f"Only {request.dialect} knows '{name}'.")
