"""A client's request: from the old completions' JSON to the vocabulary.

Source: ``openai.types.completion_create_params``. The prompt becomes a user's turn of a chat. What
that cannot carry (tokens as numbers, several prompts, text after the gap) is refused by name.
"""

from __future__ import annotations

from typing import Final

from ampproxy.dialects.json import (
    NULL,
    Decoder,
    Members,
    bad_request,
    items,
    members,
    read_request,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.openai_requests import SamplingBody
from ampproxy.model.base import COMPLETIONS, Json
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest, Turn

#: How many likely tokens can be asked for.
MAX_LOGPROBS: Final = 5


class _Body(SamplingBody):
    model: str | None = None
    prompt: Json = NULL
    stream: bool | None = None
    stream_options: dict[str, Json] | None = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    logprobs: int | None = None
    user: str | None = None


_BODY: Final = Decoder(_Body)
_KNOWN: Final = frozenset(_Body.__struct_fields__)


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a client's request (:meth:`~ampproxy.dialects.base.Dialect.parse_request`).

    :raises ampproxy.errors.ClientFault: it is not valid, or asks for what a chat model cannot do; the
        message names the member.
    """
    asked = read_request(_BODY, body)
    name = model or asked.model
    if not name:
        bad_request("model", "It is missing.")
    _refuse_what_chat_cannot(asked)
    extras: Members = {key: raw for key, raw in without_nulls(members(body)).items() if key not in _KNOWN}
    if asked.echo:
        extras["echo"] = to_raw(value=True)
    usage = bytes((asked.stream_options or {}).get("include_usage", NULL)) == b"true"
    return ChatRequest(
        dialect=COMPLETIONS,
        model=name,
        turns=(Turn("user", (Text(_prompt(asked.prompt)),)),),
        sampling=asked.sampling(None if asked.logprobs is None else True, asked.logprobs),
        stream=bool(asked.stream) if stream is None else stream,
        include_usage=usage,
        include_signatures=False,
        user=asked.user,
        extras=extras,
    )


def _refuse_what_chat_cannot(asked: _Body) -> None:
    if asked.suffix:
        bad_request("suffix", "Text after the gap cannot be sent to a chat model; leave it out.")
    if asked.best_of is not None and asked.best_of != (asked.n or 1):
        bad_request("best_of", "The best of several answers cannot be chosen; leave it out or set it to n.")
    if asked.logprobs is not None and not 0 <= asked.logprobs <= MAX_LOGPROBS:
        bad_request("logprobs", f"A number from 0 to {MAX_LOGPROBS} was expected.")


def _prompt(raw: Json) -> str:
    """The one prompt: a string, or a list that holds one."""
    text = text_of(raw)
    if text is not None:
        return text
    if raw == NULL:
        bad_request("prompt", "It is missing.")
    prompts = items(raw, "prompt")
    texts = [text_of(prompt) for prompt in prompts]
    if any(found is None for found in texts):
        bad_request("prompt", "Prompts as token numbers are not accepted; send the text.")
    if len(texts) != 1 or texts[0] is None:
        bad_request("prompt", "Exactly one prompt is accepted; send one request for each.")
    return texts[0]
