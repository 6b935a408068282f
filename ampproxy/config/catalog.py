"""``catalog``: what the user knows of models, before what is known of them here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import get_args

from ampproxy.catalog.families import MEDIA, Family, Override, Taken, ThinkingForm
from ampproxy.config import fields
from ampproxy.config.parsing import (
    AlreadyReported,
    InvalidValue,
    ListOf,
    Location,
    ParsedSection,
    Reader,
    Reads,
    Section,
    Setting,
)
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.model.request import LEVELS


def _several_of(words: Sequence[str], of: str) -> ListOf:
    return ListOf(fields.choice(*words), f"a list of {of}")


_BUDGETS = ListOf(fields.POSITIVE, "two numbers of tokens")


def _budget(place: Location) -> tuple[int, int]:
    found = _BUDGETS(place)
    if len(found) != 2 or found[0] > found[1]:
        raise InvalidValue("expected two numbers of tokens: the least and the most, such as [1024, 32768]")
    return found[0], found[1]


def _day(place: Location) -> date:
    try:
        return date.fromisoformat(place.text("a day"))
    except ValueError:
        raise InvalidValue("expected a day, such as 2026-12-31") from None


def _override(found: ParsedSection) -> Override:
    if found.places.keys() <= {"names", "dialects"}:
        found.place.complain("sets nothing for these models: expected at least one more member")
        raise AlreadyReported
    name, line = found.place.reading.name, found.place.line
    return Override(Family(**found.values), f"{name}:{line}")


def _known(name: str, reader: Reads, doc: str) -> Setting:
    return Setting(name, reader, doc, "what is known")


_ENTRY = Section(
    _override,
    (
        Setting(
            "names",
            fields.WILDCARDS,
            "The models, by the beginnings of their vendors' names; `*` stands for anything.",
            required=True,
        ),
        Setting(
            "dialects",
            _several_of((ANTHROPIC, CHAT, COMPLETIONS, RESPONSES, GEMINI), "dialects"),
            "The dialects in which the members from `thinking` to `max-output` apply.",
            "the family's, else all",
        ),
        _known(
            "thinking",
            fields.choice(*get_args(ThinkingForm)),
            "How thinking is requested: by a number of tokens, by a level of effort, either, or not at all.",
        ),
        _known(
            "budget",
            Reader("two numbers of tokens", _budget),
            "The smallest and the largest accepted number of thinking tokens.",
        ),
        _known("levels", _several_of(LEVELS, "levels"), "The accepted levels of effort."),
        _known("thinks-unasked", fields.FLAG, "Whether it thinks even if the request does not ask for it."),
        _known("can-disable", fields.FLAG, "Whether thinking can be switched off."),
        _known("between-tools", fields.FLAG, "Whether it accepts Anthropic's `between_tools`."),
        _known(
            "forced-tools", fields.choice(*get_args(Taken)), "When a Claude model accepts a forced tool call."
        ),
        _known(
            "chat-tools",
            fields.choice(*get_args(Taken)),
            "When `api.openai.com` accepts functions for it over Chat Completions.",
        ),
        _known(
            "prefill", fields.FLAG, "Whether a Claude or Gemini model continues a final assistant's turn."
        ),
        _known("sampling", fields.FLAG, "Whether it accepts temperature and the like."),
        _known("penalties", fields.FLAG, "Whether a Gemini model accepts presence and frequency penalties."),
        _known("candidates", fields.POSITIVE, "How many answers one request to a Gemini model may ask for."),
        _known("max-output", fields.POSITIVE, "The most output tokens."),
        _known(
            "context",
            fields.POSITIVE,
            "The most tokens of input and output together. This and the next four are for `ampproxy doctor`.",
        ),
        _known("tools", fields.FLAG, "Whether it calls tools."),
        Setting("thinks", fields.FLAG, "Whether it thinks at all.", "by `thinking`"),
        _known("input", _several_of(MEDIA, "media"), "The media it accepts."),
        _known("output", _several_of(MEDIA, "media"), "The media it produces."),
        _known(
            "openai-members",
            fields.FLAG,
            "Whether it accepts members that only OpenAI's own models accept, such as "
            "`max_completion_tokens`.",
        ),
        _known(
            "wants-reasoning",
            fields.FLAG,
            "Whether it gets its own earlier thinking back over Chat Completions.",
        ),
        _known("deprecated", fields.FLAG, "Whether its vendor has announced its retirement."),
        _known("retires", Reader("day", _day), "The day on which its vendor retires it, such as 2026-12-31."),
        _known("successor", fields.NAME, "The model to use instead."),
    ),
)

CATALOG = ListOf(_ENTRY, "a list of families of models")
