"""What the requests of OpenAI's dialects have in common: how tokens are drawn, URLs and files as sources of
bytes, sound, refusals, grammars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from ampproxy.dialects.json import NULL, Fields, is_string, loads, text_of, to_raw
from ampproxy.model.base import Json
from ampproxy.model.parts import Inline, Link, Part, Source, Text, picture_type
from ampproxy.model.request import Sampling

#: ``format`` of ``input_audio`` -> media type; others are ``audio/<format>``.
AUDIO_TYPES: Final = {"mp3": "audio/mpeg", "wav": "audio/wav"}
#: What a file's bare base64 is that comes without its type; OpenAI's first clients sent nothing else.
_BARE = "application/pdf"


class SamplingBody(msgspec.Struct):
    """The members that set how tokens are drawn."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    #: Responses' name of it.
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    #: Anthropic's name of it.
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Json = NULL
    n: int | None = None

    def sampling(self, logprobs: bool | None, top_logprobs: int | None) -> Sampling:
        """As the vocabulary has it."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or self.stop_sequences or ())
        limits = (self.max_completion_tokens, self.max_tokens, self.max_output_tokens)
        return Sampling(
            max_tokens=next((limit for limit in limits if limit is not None), None),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=stop,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=None if self.logit_bias == NULL else self.logit_bias,
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            candidates=self.n,
        )


def source_of(url: str) -> Source:
    """A base64 ``data:`` URL as the bytes it holds (RFC 2397), any other URL as a link.

    Bare base64 of a picture is known by its beginning.

    The scheme and ``base64`` count in any case, and ``base64`` anywhere among the parameters: clients write
    ``DATA:``, ``; base64`` and ``;base64;name=a.png``.
    """
    if not is_data(url):
        kind = picture_type(url)
        return Inline(kind, url) if kind else Link(url)
    head, comma, data = url[5:].partition(",")
    kind, *parameters = (part.strip() for part in head.split(";"))
    if not comma or "base64" not in map(str.lower, parameters):
        return Link(url)
    return Inline(kind or "application/octet-stream", data)


def picture_in(part: Fields) -> tuple[str, str | None]:
    """The address in ``image_url`` and the wished resolution, which stand in an object there, or beside each
    other as Responses has it.
    """
    image = part.need_raw("image_url")
    if is_string(image):
        return text_of(image) or "", part.take("detail", str)
    inner = Fields(image, part.path("image_url"), nulls=False)
    return inner.need("url", str), inner.take("detail", str)


def media_in(part: Fields, made: Callable[[Source], Part]) -> Part | None:
    """A picture or a document in Anthropic's form, whose source may be text.

    :param made: gives the part of a source.
    """
    source = part.need_object("source")
    kind = source.need("type", str)
    if kind == "base64":
        return made(Inline(source.take("media_type", str) or "", source.take("data", str) or ""))
    if kind == "url":
        return made(source_of(source.take("url", str) or ""))
    text = source.take("data", str) if kind == "text" else None
    return None if text is None else Text(text, part.take_raw("cache_control"))


def file_source(data: str) -> Source:
    """A ``file_data`` member: a URL, or bare base64, which is a PDF."""
    if is_data(data) or data.startswith(("http://", "https://")):
        return source_of(data)
    return Inline(_BARE, data)


def is_data(url: str) -> bool:
    """Whether it is a ``data:`` URL."""
    return url[:5].lower() == "data:"


def url_of(source: Source) -> str | None:
    """A link, or bytes as a ``data:`` URL; ``None`` for an uploaded file."""
    if isinstance(source, Inline):
        return f"data:{source.media_type};base64,{source.data}"
    return source.url if isinstance(source, Link) else None


def read_sound(part: Fields) -> Inline:
    """The sound in ``input_audio``."""
    audio = part.need_object("input_audio")
    form = audio.take("format", str) or "wav"
    return Inline(AUDIO_TYPES.get(form, f"audio/{form}"), audio.need("data", str))


def flat_grammar(raw: Json | None) -> Json | None:
    """A custom tool's format as Responses writes it, and the vocabulary has it: chat has one level more.

    ``{"type": "grammar", "syntax": "lark", "definition": "..."}``
    """
    value = loads(raw) if raw is not None else None
    if not isinstance(value, dict):
        return raw
    grammar = value.get("grammar")
    return to_raw({"type": value.get("type"), **grammar}) if isinstance(grammar, dict) else raw
