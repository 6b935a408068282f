"""What a dialect and its vendor take, whatever the model: the data by which the passes bend a request."""

from __future__ import annotations

from collections.abc import Mapping

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
