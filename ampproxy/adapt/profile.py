"""What a dialect and its vendor take, whatever the model: the data by which the passes bend a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ampproxy.model.base import Value

#: Everything that ``Sampling`` has for the way in which tokens are drawn.
DRAWING = frozenset(
    (
        "temperature",
        "top_p",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
    )
)


class Hosted(Value, frozen=True):
    """How a vendor declares a tool that it runs.

    :param declared: the declaration without any settings.
    :param settings: the settings that it has (:mod:`ampproxy.adapt.hosted`) -> where they stand in it, the
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
    :param kin: the dialects of the same vendor, which know each other's words and files.

    :param sampling: the fields of ``Sampling`` that it has.
    :param drawing: those of them that models without sampling refuse.
    :param drawing_kind: the kind of what is lost by that; empty: the field's own name.
    :param temperature: the highest one.
    :param one_of_draws: whether models refuse a temperature and ``top_p`` together.
    :param blank_stops: whether it takes stop sequences of blanks alone.
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
    :param schema: of a function: ``any`` object; ``object``: with a type and properties; ``flat``: likewise,
        and without references and alternatives at its top (:mod:`ampproxy.adapt.schema`).
    :param schema_needed: whether every function needs one.
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
    """

    dialect: str
    vendor: str
    kin: frozenset[str] = frozenset()

    sampling: frozenset[str] = frozenset()
    drawing: frozenset[str] = frozenset()
    drawing_kind: str = ""
    temperature: float | None = None
    one_of_draws: bool = False
    blank_stops: bool = True
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
    schema_needed: bool = False
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
