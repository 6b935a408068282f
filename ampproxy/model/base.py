"""What every value of the vocabulary is made of."""

from __future__ import annotations

import msgspec

#: JSON that nobody here interprets: its exact text is kept, so that numbers of any size survive.
Json = msgspec.Raw


class Value(msgspec.Struct, frozen=True):
    """A frozen record, compared by content. ``msgspec.structs.replace`` gives a changed copy."""


#: The dialects by the names used in settings, logs and on the command line.
ANTHROPIC = "anthropic"
CHAT = "openai-chat"
COMPLETIONS = "openai-completions"
RESPONSES = "openai-responses"
GEMINI = "gemini"
