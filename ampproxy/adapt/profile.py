"""What a dialect and its vendor take, whatever the model: the data by which the passes bend a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ampproxy.model.base import Json, Value
from ampproxy.model.parts import Signature
from ampproxy.model.request import Sampling

#: Everything that ``Sampling`` has for the way in which tokens are drawn.
DRAWING = frozenset(Sampling.__struct_fields__) - {"max_tokens", "stop", "seed", "candidates"}


class Hosted(Value, frozen=True):
    """How a vendor declares a tool that it runs.

    :param declared: the declaration without any settings.
    :param settings: the settings that it has (:mod:`ampproxy.adapt.tools`) -> where they stand in it, the
        members separated by dots.
    :param beta: the beta feature that it needs.
    :param nested_place: whether the user's place stands in an object of its own (``approximate``).
    """

    declared: Mapping[str, Any]
    settings: Mapping[str, str] = {}
    beta: str = ""
    nested_place: bool = False


def alike(*words: str) -> dict[str, str]:
    """Words that are the same on both sides."""
    return {word: word for word in words}


class DialectProfile(Value, frozen=True, kw_only=True):
    """What requests in one dialect may ask for. What a single model or server takes beside it is the
    :class:`~ampproxy.adapt.target.Target`'s.

    :param dialect: its name. A client that speaks it, too, is taken to know its optional members.
    :param vendor: whose it is, for sentences.
    :param kin: the dialects of the same vendor, which know each other's words and files; ``kin_extras``:
        their members that it has, too, each with those of its own members that are meant (none: all of it);
        ``kin_part_extras``: likewise of parts.
    :param sampling_members: what a server may refuse -> the field of ``Sampling`` that holds it;
        ``other_members``: the field of ``ChatRequest``, whose name is that of the loss.
    :param thinking: how a wish to think is sent: as a ``level``, as a level or another ``amount``;
        ``planned``: with the limit, sampling and demanded calls (:mod:`ampproxy.adapt.thinking`).
    :param trusted_levels: whether all clients are taken to know the levels of a model that is not described.
    :param between_tools: the wish to think between calls alone, as the dialect has it.
    :param proofless: dialects whose clients cannot carry a proof of reasoning.
    :param default_output: the limit of an answer where neither the client nor the model has one.
    :param chat_tools: whether models may take functions only without thinking.

    :param sampling: the fields of ``Sampling`` that it has.
    :param drawing: those of them that models without sampling refuse.
    :param drawing_kind: the kind of what is lost by that; empty: the field's own name.
    :param temperature: the highest one.
    :param one_of_draws: whether models refuse a temperature and ``top_p`` together.
    :param stops: the most stop sequences.
    :param sampled_stops: whether models without sampling refuse stop sequences, too.
    :param candidates: the most answers to one request.
    :param top_logprobs: the most likely tokens that can be listed at each place.
    :param least_output: the least number of tokens that an answer may be limited to.
    :param trusted_output: whether a client that speaks the dialect knows the models' limits of an answer.

    :param user: the most characters of the end user's id; ``None``: there is no place for one.
    :param metadata: the most pairs, and characters of a key and of a value; ``None``: there is no place.
    :param tiers: other dialects' words for a tier of service -> its own; empty: what is done without one.
    :param cache_key: whether it has a key for the prompt cache.
    :param modalities: whether answers other than text can be asked for.

    :param name: of a tool: matches a character that it may not have, and the most characters.
    :param cache_marks: whether tools and parts may have marks for the cache.
    :param custom_tools: whether a tool may take free text; ``own_custom_tools``: from clients that speak the
        dialect.
    :param allowed_tools: whether a choice may be among several of the tools.
    :param unique_tools: whether it refuses two tools of one name.
    :param history_tools: whether calls in the history need tools that are declared.
    :param schema: of a function: ``any`` object, or none; ``object``: one with a type and properties;
        ``flat``: likewise, and without references and alternatives at its top (:mod:`ampproxy.adapt.schema`).
    :param strict: whether a function's schema is enforced where that is asked for: it is ``taken``, it is if
        the schema is ``closed``, or ``never``.
    :param parallel: whether one call at a time can be asked for.
    :param trusted_choice: whether a client that speaks the dialect may choose what it does not declare;
        ``choice_alone``: and without declaring anything.
    :param hosted: the tools that the vendor runs, by their kind.
    :param hosted_choice: whether a choice may be about them, too.
    :param hosted_beside_tools: whether it takes them beside functions.

    :param json_output: whether any JSON object can be asked for, without a schema.
    :param output_beside_tools: whether models other than those that think in levels take a form of the answer
        beside functions.
    :param output_schema: what is done to the schema of an answer: nothing; ``closed``: its objects are;
        ``strict``: it is enforced if they are.
    :param schema_names: the name of a schema that has none; empty: schemas have no names there.

    :param provers: whose proofs of reasoning it takes back on calls, and where it has ``part_proofs`` on
        other parts.
    :param unsigned: the kind of the loss of thinking without a proof; empty: it needs none. Where
        ``own_unsigned``, clients that speak the dialect may send such.
    :param thinkers_alone: whether models that do not think refuse thinking.
    :param whole_thoughts: whether a proof is refused without the text that it proves.
    :param stores: whether the vendor remembers thinking by its id.
    :param blank_texts: whether a text, or a stop sequence, may be blank, and a text empty for clients that
        speak the dialect.
    :param refusals: whether the assistant's refusals have a place of their own.
    :param object_arguments: whether a call's arguments must be an object; ``own_arguments``: not those of a
        client that speaks the dialect.
    :param error_results: whether a tool's result can be marked as an error.
    :param media_roles: whose turns may have pictures, sound and files.
    :param details: whether a picture may have a hint for its resolution.
    :param pictures: the media types of pictures; empty: all.
    :param picture_files: whether a picture may be an uploaded file.
    :param links: how addresses begin from which it fetches; ``file_links``: files that are no pictures.
    :param documents: the media types of files sent inline; empty: all.
    :param decoded: how the media types begin of files whose words are sent instead; ``own_decoded``: also for
        clients that speak the dialect.
    :param text_documents: whether words can be a document.
    :param file_names: whether a file sent inline has a name; ``all_names``: every document has.
    :param sounds: the media types of sound; ``*``: all. ``own_sounds``: also taken of clients that speak the
        dialect.
    :param named_speech: whether the assistant's earlier sound is named by its id.
    :param kinds_are_members: whether a part that only this dialect has is known by the name of a member.
    :param joins: which turns are one: neighbours of the same ``roles``, of which the system has none in the
        middle of a conversation, or an assistant's after one of its own with ``calls``.
    :param empty_turns: whether a user's turn may be empty.
    :param trusted_pairs: whether a client that speaks the dialect may have calls and results as it likes.
    :param unique_calls: whether each id of a call must be another, ``ids_noted``: and a change of one is
        noted; ``call_id``: the most characters of one.
    :param named_results: whether a result has the name of its call.
    :param given_order: whether results stand in the order of the client's, else in that of their calls.
    :param interrupted: what is sent in place of a result that there is not.
    :param titled_orphans: whether a result without its call is introduced by the tool's name.
    :param result_media: where the pictures of a result go: they are ``kept`` in it, stand ``beside`` it but
        for models that think in levels, or are ``moved`` to a message of their own.
    :param calls_last: whether an assistant's words stand before its calls.
    :param no_proof: what is sent where a call's proof is checked, and there is none; ``proof_extra``: the
        member of a call that has one.
    :param vain_thinking: the kind of the loss of thinking that nothing followed; empty: it is taken.
    :param opening: what the user says before an assistant that would begin; empty: it may begin.
    :param closing: what the user says after an assistant's turn that the model does not continue.
    :param lost_sources: whether a source out of reach is lost as ``image_source`` and the like; else as
        ``file`` or ``link``.
    """

    dialect: str
    vendor: str
    kin: frozenset[str] = frozenset()
    kin_extras: Mapping[str, frozenset[str]] = {}
    kin_part_extras: frozenset[str] = frozenset()
    sampling_members: Mapping[str, str] = {}
    other_members: Mapping[str, str] = {}
    thinking: Literal["level", "amount", "planned"] = "level"
    trusted_levels: bool = False
    between_tools: Json | None = None
    proofless: frozenset[str] = frozenset()
    default_output: int = 32_000
    chat_tools: bool = False

    sampling: frozenset[str] = frozenset()
    drawing: frozenset[str] = frozenset()
    drawing_kind: str = ""
    temperature: float | None = None
    one_of_draws: bool = False
    stops: int | None = None
    sampled_stops: bool = False
    candidates: int | None = None
    top_logprobs: int | None = None
    least_output: int = 1
    trusted_output: bool = False

    user: int | None = None
    metadata: tuple[int, int, int] | None = None
    tiers: Mapping[str, str] = {}
    cache_key: bool = False
    modalities: bool = False

    name: tuple[str, int] = (r"[^a-zA-Z0-9_-]", 64)
    cache_marks: bool = False
    custom_tools: bool = False
    own_custom_tools: bool = False
    allowed_tools: bool = True
    unique_tools: bool = False
    history_tools: bool = False
    schema: Literal["any", "object", "flat"] = "any"
    strict: Literal["taken", "closed", "never"] = "never"
    parallel: bool = True
    trusted_choice: bool = False
    choice_alone: bool = False
    hosted: Mapping[str, Hosted] = {}
    hosted_choice: bool = False
    hosted_beside_tools: bool = True

    json_output: bool = True
    output_beside_tools: bool = True
    output_schema: Literal["any", "closed", "strict"] = "any"
    schema_names: str = ""

    provers: frozenset[str] = frozenset()
    part_proofs: bool = False
    unsigned: str = "reasoning"
    own_unsigned: bool = False
    thinkers_alone: bool = False
    whole_thoughts: bool = False
    stores: bool = False
    blank_texts: bool = True
    refusals: bool = False
    object_arguments: bool = True
    own_arguments: bool = False
    error_results: bool = False
    media_roles: frozenset[str] = frozenset(("user",))
    details: bool = False
    pictures: frozenset[str] = frozenset()
    picture_files: bool = True
    links: tuple[str, ...] = ("",)
    file_links: tuple[str, ...] = ("",)
    documents: frozenset[str] = frozenset()
    decoded: tuple[str, ...] = ()
    own_decoded: bool = False
    text_documents: bool = False
    file_names: bool = False
    all_names: bool = False
    sounds: frozenset[str] = frozenset()
    own_sounds: frozenset[str] = frozenset()
    named_speech: bool = False
    lost_sources: bool = False
    kinds_are_members: bool = False

    joins: Literal["roles", "calls"] = "calls"
    empty_turns: bool = False
    trusted_pairs: bool = False
    unique_calls: bool = False
    ids_noted: bool = False
    named_results: bool = False
    call_id: int = 64
    given_order: bool = False
    interrupted: str = "The tool call was interrupted and has no result."
    titled_orphans: bool = False
    result_media: Literal["kept", "beside", "moved"] = "kept"
    calls_last: bool = False
    no_proof: Signature | None = None
    proof_extra: str = ""
    vain_thinking: str = ""
    opening: str = ""
    closing: str = ""
