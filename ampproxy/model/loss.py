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


def _table(hints: Mapping[str, str], others: Mapping[str, str]) -> Mapping[str, LossKind]:
    """Kinds by name, from names with blanks between them -> what is to be said of them."""
    rows = ((names, about, kinds is hints) for kinds in (hints, others) for names, about in kinds.items())
    return {name: LossKind(name, about, hint) for names, about, hint in rows for name in names.split()}


#: All kinds that a request may lose, by name.
OF_REQUEST: Mapping[str, LossKind] = _table(
    hints={
        "cache_control": "Anthropic's cache marks are dropped; the other vendors cache by themselves.",
        "cache_key": "OpenAI's cache key is dropped.",
        "missing_signature": (
            "A tool call that Gemini did not make has no signature of Gemini's; the signature check is "
            "skipped."
        ),
        "call_id": "A tool call's id that was used twice was replaced, in the call and in its result.",
        "freeform": (
            "A tool with free-text input is sent as a function with one string; its calls are converted back."
        ),
        "grammar": "A grammar is moved into the tool's description; the vendor does not enforce it.",
        "result_order": "A tool result was moved directly after its call.",
        "blank_text trailing_blanks": (
            "Blank text, and blanks at the end of a turn to be continued, are dropped because the vendor "
            "refuses them."
        ),
        "renamed": "A member is sent under the name that the account's vendor requires.",
        "preference": (
            "A preference about style, storage or delivery that only the client's vendor knows is dropped."
        ),
        "safeguards": (
            "Anthropic's server-side check of tool calls is dropped: the client has to check them itself."
        ),
        "earlier_thinking": "Thinking of earlier turns is dropped if its own vendor would ignore it anyway.",
        "top_p top_k": (
            "The model does not accept this value: dropped, or changed to the nearest accepted one."
        ),
        "thinking_budget thinking_level": (
            "A thinking budget became a level or the nearest accepted number; a level became the nearest "
            "one that the model has; or the amount of thinking cannot be set."
        ),
        "output_limit": (
            "The limit of the answer is above what the model can write, or below what the vendor accepts."
        ),
        "system_turn": (
            "A system text in mid-conversation became a user's text, because the vendor accepts none there."
        ),
        "user metadata service_tier": (
            "The end user's id was shortened or dropped; labels and service tiers exist only at the "
            "client's vendor."
        ),
        "schema_name": "The name of an output schema is dropped; its description goes into the schema.",
        "raised_limit": (
            "Too few tokens for a model that always thinks first: room for the least thinking was added."
        ),
    },
    others={
        "refused_member refused_value": (
            "The account has refused this for the model: dropped, or changed to an accepted value."
        ),
        "foreign_proof": "Thinking, or a signature on a part, that another vendor issued is dropped.",
        "unsigned_thinking reasoning trailing_thinking orphan_reasoning": (
            "Thinking is dropped if its signature or the signed text is missing, if nothing follows it, "
            "if it is only an id of what its vendor stores, or if the model accepts none back."
        ),
        "thinking": (
            "The thinking setting is dropped or changed: the model does not think, always thinks, or must"
            " not think here (a tool call is forced, or in a running tool loop whose earlier thinking the"
            " vendor would not accept)."
        ),
        "temperature seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs sampling": (
            "The model or the dialect does not accept it: dropped, or changed to an accepted value."
        ),
        "max_tokens stop candidates": (
            "More than the model accepts: cut off, or dropped. Or fewer than the thinking that was asked "
            "for: raised."
        ),
        "prefill": (
            "The conversation ended with an assistant's turn, which the model cannot continue: a user's "
            'turn, "Continue.", was added.'
        ),
        "tool_choice parallel tools": (
            "The tool choice cannot be expressed, or matches no tool; parallel calls cannot be disabled; "
            "a tool was declared twice, or had to be declared because the history uses it."
        ),
        "strict open_schema": (
            "A schema is not enforced there, or was closed (no additional members) so that it can be."
        ),
        "schema_choice schema_size schema_type": "A tool's schema was simplified to what the vendor accepts.",
        "hosted_tool hosted_settings": (
            "A tool that the client's vendor runs, or its settings, has no equivalent."
        ),
        "output_format": "Structured output in this form is not available.",
        "modalities": "Answers other than text cannot be requested.",
        "detail document_name": "A picture's resolution hint, or a document's name, was dropped.",
        (
            "image image_source document document_source file link audio audio_format part tool_call "
            "tool_result refusal opaque"
        ): (
            "The part has a type, a place or a source that is not accepted (another vendor's files, plain"
            " links, audio), or exists only in its own dialect. Sent as text if it has any, else dropped."
        ),
        "result_media": "Pictures in a tool result were moved to a user's message after it.",
        "is_error": "A tool result cannot be marked as an error; its text is sent without the mark.",
        "arguments": "Arguments that are not a JSON object were wrapped in one.",
        "orphan_result unanswered_call": (
            "A tool result without its call became text; a call without a result was given one that marks"
            " it as interrupted."
        ),
        "first_turn turns order": (
            "A user's turn was inserted at the start; a plain prompt has no roles; an assistant's turn "
            "had to follow results; or text after a tool call was moved before it."
        ),
        "extras": "A member that only the client's dialect knows was dropped.",
        (
            "max_output_tokens max_completion_tokens truncation context_management prompt_cache_retention "
            "safety_identifier stream_options"
        ): ("The backend of Codex logins does not accept it."),
    },
)

#: All kinds that an answer may lose, by name.
OF_ANSWER: Mapping[str, LossKind] = _table(
    hints={},
    others={
        "foreign_proof": "A signature of thinking has no field in the client's dialect, or came too late.",
        "unasked": "Thinking, and its signature, that a client of Anthropic's dialect did not ask for.",
        "candidates": "The dialect has one answer only: the first is returned.",
        "parallel_call": "A client of the old `functions` accepts one call only.",
        "pause stop_sequence": "This stop reason cannot be expressed exactly.",
        "finish": (
            "The vendor's stop reason is unknown or missing: reported to the client as a truncated "
            "answer, or as a complete one if the account is configured so."
        ),
        "refusal": "A refusal is sent as text.",
        "arguments": "Arguments that are not a JSON object were wrapped in one.",
        "reasoning image audio tool_call opaque file": "The dialect has no such part in an answer.",
        "extras": "Annotations and the like that only the account's dialect knows are dropped.",
    },
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
