"""What a translation could not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ampproxy.model.base import Value
from ampproxy.model.parts import (
    Audio,
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)


class Loss(Value, frozen=True):
    """Something that the target dialect or model cannot express and that was left out or bent.

    :param kind: a short stable word for counting, of :data:`OF_REQUEST` or :data:`OF_ANSWER`.
    :param path: where it stood, in the vocabulary: ``turns[3].parts[0]``.
    :param why: one sentence for a person.
    """

    kind: str
    path: str
    why: str


class Losses:
    """Collects losses while a request or an answer is rendered; each place is told once."""

    def __init__(self) -> None:
        self._found: dict[Loss, None] = {}

    def __call__(self, kind: str, path: str, why: str) -> None:
        """Note one."""
        self._found[Loss(kind, path, why)] = None

    def __iter__(self) -> Iterator[Loss]:
        return iter(self._found)

    def all(self) -> tuple[Loss, ...]:
        """All of them, in the order in which they were found."""
        return tuple(self._found)


class LossKind(Value, frozen=True):
    """A kind of loss.

    :param about: what becomes of what is lost, as ``docs/translation.md`` has it.
    :param hint: it takes nothing from what the model is told or asked: it is told, but ``translation:
        strict`` does not refuse for it.
    """

    name: str
    about: str
    hint: bool = False


def _row(names: str, about: str, *, hint: bool = False) -> Iterator[LossKind]:
    """Kinds, by names with blanks between them, of which the same is to be said."""
    return (LossKind(name, about, hint) for name in names.split())


def _table(*rows: Iterator[LossKind]) -> Mapping[str, LossKind]:
    return {kind.name: kind for row in rows for kind in row}


#: All kinds that a request may lose, by name.
OF_REQUEST: Mapping[str, LossKind] = _table(
    _row(
        "cache_control",
        "Marks for Anthropic's cache are left out; the other vendors cache by themselves.",
        hint=True,
    ),
    _row(
        "cache_key",
        "OpenAI's key for its cache is left out.",
        hint=True,
    ),
    _row(
        "missing_signature",
        "A call that Gemini did not make has no proof of Gemini's; its check is skipped.",
        hint=True,
    ),
    _row(
        "call_id",
        "An id of a call that stood there twice is another one, in the call and in its result.",
        hint=True,
    ),
    _row(
        "freeform",
        "A tool with free text is a function with one string; its calls are turned back.",
        hint=True,
    ),
    _row(
        "grammar",
        "A grammar is part of the tool's description; that the model keeps to it is not enforced.",
        hint=True,
    ),
    _row(
        "result_order",
        "A result was moved up to the call that it answers.",
        hint=True,
    ),
    _row(
        "blank_text trailing_blanks",
        "Text of blanks alone, or at the end of a turn to be continued, is refused and left out.",
        hint=True,
    ),
    _row(
        "renamed",
        "A member is sent under the name that the account's vendor asked for.",
        hint=True,
    ),
    _row(
        "preference",
        "A wish of how to write, to remember or to send, which only the client's vendor knows, is left out.",
        hint=True,
    ),
    _row(
        "safeguards",
        "The check of calls by Anthropic's service is left out: the client judges them by itself.",
        hint=True,
    ),
    _row(
        "earlier_thinking",
        "Thinking of earlier turns that its own vendor would not read again is left out.",
        hint=True,
    ),
    _row(
        "top_p top_k",
        "How many words are drawn from is the model's own; left out, or moved to what is taken.",
        hint=True,
    ),
    _row(
        "system_turn",
        "A system text in the middle became the user's, where the vendor takes none there.",
        hint=True,
    ),
    _row(
        "user metadata service_tier",
        "The end user's id was shortened or left out; labels and tiers are the client's vendor's own.",
        hint=True,
    ),
    _row(
        "schema_name",
        "The name of a schema for the answer is left out; its description goes into the schema.",
        hint=True,
    ),
    _row(
        "refused_member refused_value",
        "What the account refused for this model: left out, or moved to what it takes.",
    ),
    _row(
        "foreign_proof",
        "Thinking, or the proof on a part, that another vendor issued is left out.",
    ),
    _row(
        "unsigned_thinking reasoning trailing_thinking orphan_reasoning",
        "Thinking without its proof or without the text that is proved, that nothing followed, that its "
        "vendor keeps by its id, or for a model that takes none back is left out.",
    ),
    _row(
        "thinking",
        "The wish to think is left out or bent: the model does not think, cannot go without, or "
        "must not here (a call is demanded, or a tool loop is under way whose thinking the vendor "
        "would not take back).",
    ),
    _row(
        "thinking_budget thinking_level",
        "A number of tokens became a level or a nearer number; a level became the nearest one "
        "that the model has; or how much to think cannot be asked for.",
    ),
    _row(
        "temperature seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs sampling",
        "The model or the dialect does not take it; left out, or moved to what is taken.",
    ),
    _row(
        "max_tokens stop candidates",
        "More than the model takes: lowered, cut off, or left out. Or too little for a model that "
        "cannot be kept from thinking first: raised.",
    ),
    _row(
        "prefill",
        "The conversation ended in the assistant's turn, which the model does not continue: a turn of "
        'the user\'s, "Continue.", was added.',
    ),
    _row(
        "tool_choice parallel tools",
        "The choice cannot be expressed, or fits no tool; one call at a time cannot be asked for; "
        "tools were declared twice, or had to be for the history.",
    ),
    _row(
        "strict open_schema",
        "A schema that is not enforced there, or was closed so that it can be.",
    ),
    _row(
        "schema_choice schema_size schema_type",
        "A tool's schema was simplified to what the vendor takes.",
    ),
    _row(
        "hosted_tool hosted_settings",
        "A tool that the client's vendor runs, or its settings, have no like.",
    ),
    _row(
        "output_format",
        "Structured output in this form cannot be had.",
    ),
    _row(
        "modalities",
        "Answers other than text cannot be asked for.",
    ),
    _row(
        "detail document_name",
        "The hint for a picture's resolution, or a document's name, was left out.",
    ),
    _row(
        "image image_source document document_source file link audio audio_format "
        "part tool_call tool_result refusal opaque",
        "The part is of a type, in a place or with a source that is not taken (another vendor's "
        "files, plain links, sound), or only its own dialect knows it. Sent as text where it has "
        "some, else left out.",
    ),
    _row(
        "result_media",
        "Pictures of a tool's result were moved to a user's message after it.",
    ),
    _row(
        "is_error",
        "A result cannot be marked as an error; its text stands for itself.",
    ),
    _row(
        "arguments",
        "Arguments that are no JSON object were wrapped in one.",
    ),
    _row(
        "orphan_result unanswered_call",
        "A result without its call became text; a call without a result was answered as interrupted.",
    ),
    _row(
        "first_turn turns order",
        "A user's turn was put first; a prompt "
        "has no roles, or the assistant's had to follow results; text after a call is moved "
        "before it.",
    ),
    _row(
        "extras",
        "A member that only the client's dialect knows was left out.",
    ),
    _row(
        "max_output_tokens max_completion_tokens truncation context_management "
        "previous_response_id prompt_cache_retention safety_identifier stream_options",
        "The backend of Codex logins does not take it.",
    ),
)

#: All kinds that an answer may lose, by name.
OF_ANSWER: Mapping[str, LossKind] = _table(
    _row(
        "foreign_proof",
        "A proof of thinking for which the client's dialect has no field, or that came too late.",
    ),
    _row(
        "unasked",
        "Thinking, and its proof, that a client of Anthropic's dialect did not ask for.",
    ),
    _row(
        "candidates",
        "The dialect gives one answer: the first.",
    ),
    _row(
        "parallel_call",
        "A client of the old `functions` takes one call only.",
    ),
    _row(
        "pause stop_sequence",
        "This reason for the end cannot be expressed exactly.",
    ),
    _row(
        "finish",
        "The vendor's word for the end of its answer is not known, or it gave none: a cut answer for the "
        "client, or a whole one where its account is set so.",
    ),
    _row(
        "refusal",
        "A refusal becomes text.",
    ),
    _row(
        "arguments",
        "Arguments that are no JSON object were wrapped in one.",
    ),
    _row(
        "reasoning image audio tool_call opaque file",
        "The dialect has no such part in an answer.",
    ),
    _row(
        "extras",
        "Annotations and the like that only the account's dialect knows.",
    ),
)

_PARTS: Mapping[type, str] = {
    Audio: "audio",
    Document: "document",
    Image: "image",
    Opaque: "opaque",
    Reasoning: "reasoning",
    Refusal: "refusal",
    Text: "part",
    ToolCall: "tool_call",
    ToolResult: "tool_result",
}


def part_kind(part: Part) -> str:
    """The kind of the loss of a whole part."""
    return _PARTS.get(type(part), "part")
