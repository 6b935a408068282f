"""A chat request, free of any dialect."""

from __future__ import annotations

from typing import Literal

from ampproxy.model.base import Json, Value
from ampproxy.model.parts import Part, Text

Role = Literal["user", "assistant", "system"]
Level = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
LEVELS: tuple[Level, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")


def level_of(word: str | None) -> Level | None:
    """The level of a vendor's word for it, which is the same one; ``None``: it is none of ours."""
    return next((level for level in LEVELS if level == word), None)


class Turn(Value, frozen=True):
    """One message. Tool results are parts of a ``user`` turn; a ``system`` turn stands in
    mid-conversation (leading system texts are ``ChatRequest.system``).
    """

    role: Role
    parts: tuple[Part, ...]
    extras: dict[str, Json] = {}  # noqa: RUF012


def leading_system(turns: tuple[Turn, ...]) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The texts of the system's messages that begin a conversation, and the turns after them."""
    texts: list[Text] = []
    for number, turn in enumerate(turns):
        words = [part for part in turn.parts if isinstance(part, Text)]
        if turn.role != "system" or turn.extras or len(words) < len(turn.parts):
            return tuple(texts), turns[number:]
        texts += words
    return (), turns


class Known(Value, frozen=True):
    """How the client's dialect names a tool that is no plain function there, and calls it.

    :param kind: the type of the items that are its calls (Responses: ``function_call``, ``shell_call``).
    :param namespace: the group that it belongs to, ``None`` if to none.
    """

    kind: str
    name: str
    namespace: str | None = None


class Tool(Value, frozen=True):
    """A function that the client runs.

    :param schema: JSON Schema of the arguments, exact text; ``None``: the dialect gave none.
    :param strict: whether the client asked for the schema to be enforced; ``None``: it did not say.
    :param freeform: a custom tool of Responses: its input is text, described by ``grammar``.
    :param known: what its calls are turned back into for the client; ``None``: plain calls of this name.
    """

    name: str
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None
    freeform: bool = False
    grammar: Json | None = None
    cache: Json | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012
    known: Known | None = None


class HostedTool(Value, frozen=True):
    """A tool that the vendor runs. ``kind``: ``web_search``, ``code_execution``, ``url_context``, or the
    dialect's own type name where no other vendor has its like. ``raw`` is the declaration in ``dialect``.
    """

    kind: str
    dialect: str
    raw: Json


class ToolChoice(Value, frozen=True):
    """Whether and which tools must be called.

    ``named`` has ``name``; ``allowed`` restricts ``auto`` or ``required`` to those names.
    """

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None
    allowed: tuple[str, ...] = ()


class Thinking(Value, frozen=True):
    """How much the model should think, and whether its thinking is to be shown.

    ``budget`` counts tokens and goes with mode ``budget``; ``level`` goes with mode ``level``;
    ``auto`` leaves the amount to the model. ``show``: the client wants to read the thinking (or a
    summary of it); ``None``: it did not say. ``summary`` is Responses' wish for a kind of summary
    (``auto``, ``concise``, ``detailed``).
    """

    mode: Literal["off", "auto", "budget", "level"]
    budget: int | None = None
    level: Level | None = None
    show: bool | None = None
    summary: str | None = None


class OutputFormat(Value, frozen=True):
    """Structured output: ``json`` is any JSON object, ``schema`` has a JSON Schema (exact text)."""

    kind: Literal["json", "schema"]
    schema: Json | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Sampling(Value, frozen=True):
    """How tokens are drawn. ``None`` everywhere means: the client did not say.

    ``max_tokens`` counts generated tokens, thinking included. ``candidates`` is OpenAI's ``n``.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Json | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    candidates: int | None = None


class ChatRequest(Value, frozen=True, kw_only=True):
    """What a client asks of a model.

    :param dialect: the dialect it was parsed from; ``extras`` belong to that dialect alone.
    :param model: the model's name as asked, thinking suffix included.
    :param include_usage: the client wants usage in the stream (chat: ``stream_options``); dialects
        that always report it say ``True``.
    :param include_signatures: the client wants proofs of reasoning (Responses:
        ``include: ["reasoning.encrypted_content"]``); dialects that always give them say ``True``.
    :param user: a stable id of the end user, for abuse tracking.
    :param metadata: free string pairs, where the dialect has them.
    :param cache_key: OpenAI's ``prompt_cache_key``.
    :param extras: top-level members that only ``dialect`` knows, by wire name, exact text.
    :param compacts: the answer is to be a summary that stands for the conversation from then on.
    """

    dialect: str
    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    hosted: tuple[HostedTool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool | None = None
    sampling: Sampling = Sampling()
    thinking: Thinking | None = None
    output: OutputFormat | None = None
    modalities: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = True
    include_signatures: bool = True
    user: str | None = None
    metadata: dict[str, str] = {}  # noqa: RUF012
    service_tier: str | None = None
    cache_key: str | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012
    compacts: bool = False
