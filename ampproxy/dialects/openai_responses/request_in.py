"""A client's request: the body of ``POST /v1/responses``, read into the vocabulary.

Source: ``openai.types.responses.ResponseCreateParams``. What has no place in the vocabulary stays in
``extras`` by its wire name; see :mod:`ampproxy.dialects.openai_responses.for_others` for those among them
that another vendor cannot do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ampproxy.dialects.json import Fields, bad_request, items, text_of, to_raw
from ampproxy.dialects.openai_responses.items_in import parse_input
from ampproxy.dialects.openai_responses.tools import parse_choice, parse_tools
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.parts import Text
from ampproxy.model.request import LEVELS, ChatRequest, OutputFormat, Sampling, Thinking, Turn, level_of

T = TypeVar("T")

#: What a client puts into ``include`` to be given proofs of reasoning, and log probabilities.
INCLUDE_PROOFS = "reasoning.encrypted_content"
INCLUDE_LOGPROBS = "message.output_text.logprobs"


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a request; see :class:`~ampproxy.dialects.base.ParseRequest`."""
    fields = Fields(body)
    asked = fields.take("model", str) or model
    if not asked:
        bad_request("model", "It is required.")
    system, turns = _conversation(fields)
    tools, hosted = parse_tools(fields.take_raw("tools"))
    choice_text = fields.take_raw("tool_choice")
    choice, understood = parse_choice(choice_text)
    include = fields.take("include", list[str]) or []
    known: dict[str, Any] = {
        "sampling": _sampling(fields, include),
        "thinking": _taken(fields, "reasoning", parse_thinking),
        "output": _taken(fields, "text", parse_output),
        "parallel": fields.take("parallel_tool_calls", bool),
        "user": fields.take("safety_identifier", str) or fields.take("user", str),
        "metadata": fields.take("metadata", dict[str, str]) or {},
        "service_tier": fields.take("service_tier", str),
        "cache_key": fields.take("prompt_cache_key", str),
    }
    known |= {name: value for name, value in _of_chat(fields).items() if known[name] is None}
    streamed = fields.take("stream", bool)
    if choice_text is not None and not understood:
        fields.left["tool_choice"] = choice_text
    if rest := [name for name in include if name not in (INCLUDE_PROOFS, INCLUDE_LOGPROBS)]:
        fields.left["include"] = to_raw(rest)
    return ChatRequest(
        dialect=RESPONSES,
        model=asked,
        system=system,
        turns=turns,
        tools=tools,
        hosted=hosted,
        choice=choice,
        stream=bool(streamed if stream is None else stream),
        include_signatures=INCLUDE_PROOFS in include,
        extras={name: raw for name, raw in fields.remaining().items() if name != "messages"},
        **known,
    )


def _conversation(fields: Fields) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """System texts that lead, and the turns after them."""
    system: list[Text] = []
    if instructions := fields.take("instructions", str):
        system.append(Text(instructions))
    turns = parse_input(fields.take_raw("input"))
    if (apart := fields.take_raw("system")) is not None:
        # Anthropic's member.
        words = text_of(apart)
        blocks = items(apart, "system") if words is None else ()
        found = [words, *(Fields(block, "system").take("text", str) for block in blocks)]
        system += [Text(text) for text in found if text and Text(text) not in system]
    return leading_system(tuple(system), turns)


def _of_chat(fields: Fields) -> dict[str, Any]:
    """What Chat Completions say in members of their own, where the request has it."""
    found: dict[str, Any] = {}
    effort = fields.take("reasoning_effort", str)
    if effort is not None:
        found["thinking"] = parse_thinking(to_raw({"effort": effort}))[0]
    form = fields.take_object("response_format")
    if form is not None:
        nested = form.take_object("json_schema")
        form.left |= {} if nested is None else nested.left
        found["output"] = _format(form)
    return found


def leading_system(
    system: tuple[Text, ...], turns: tuple[Turn, ...]
) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The system's texts with those of the turns that begin the conversation, and the turns after them."""
    found = list(system)
    leading = 0
    for turn in turns:
        if turn.role != "system" or not all(isinstance(part, Text) for part in turn.parts):
            break
        found += [part for part in turn.parts if isinstance(part, Text)]
        leading += 1
    return tuple(found), turns[leading:]


def _sampling(fields: Fields, include: list[str]) -> Sampling:
    top = fields.take("top_logprobs", int)
    limits = [fields.take(name, int) for name in ("max_output_tokens", "max_completion_tokens", "max_tokens")]
    return Sampling(
        max_tokens=next((limit for limit in limits if limit is not None), None),
        temperature=fields.take("temperature", float),
        top_p=fields.take("top_p", float),
        top_logprobs=top,
        logprobs=True if INCLUDE_LOGPROBS in include else None,
    )


def _taken(fields: Fields, name: str, read: Callable[[Json], tuple[T, dict[str, Json]]]) -> T | None:
    """What a member means; of it what the vocabulary does not have is left."""
    text = fields.take_raw(name)
    if text is None:
        return None
    meaning, left = read(text)
    if left:
        fields.left[name] = to_raw(left)
    return meaning


def parse_thinking(text: Json) -> tuple[Thinking | None, dict[str, Json]]:
    """The wish to think in ``reasoning``, and the members of it that the vocabulary does not have.

    :raises ampproxy.errors.ClientFault: it is not valid.
    """
    wish = Fields(text, "reasoning")
    effort = wish.take("effort", str)
    old = wish.take("generate_summary", str)  # what `summary` was called first
    summary = wish.take("summary", str) or old
    left = wish.remaining()
    show = True if summary else None
    if effort is None:
        return (Thinking("auto", show=show, summary=summary) if summary else None), left
    if effort == "none":
        return Thinking("off", show=show, summary=summary), left
    level = level_of(effort)
    if level is None:
        bad_request("reasoning.effort", f"It must be one of none, {', '.join(LEVELS)}, not {effort[:40]!r}.")
    return Thinking("level", level=level, show=show, summary=summary), left


def parse_output(text: Json) -> tuple[OutputFormat | None, dict[str, Json]]:
    """The format of the answer in ``text``, and the members of it that the vocabulary does not have.

    :raises ampproxy.errors.ClientFault: it is not valid.
    """
    wish = Fields(text, "text")
    form = wish.take_raw("format")
    left = wish.remaining()
    return (_format(Fields(form, "text.format")) if form is not None else None), left


def _format(form: Fields) -> OutputFormat | None:
    kind = form.need("type", str)
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat("json")
    if kind != "json_schema":
        bad_request("text.format.type", f"It must be text, json_object or json_schema, not {kind[:40]!r}.")
    schema: Json | None = form.take_raw("schema")
    if schema is None:
        bad_request("text.format.schema", "It is required.")
    name, description = form.take("name", str), form.take("description", str)
    return OutputFormat("schema", schema, name, description, form.take("strict", bool))
