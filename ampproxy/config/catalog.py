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
    Section,
    Setting,
)
from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES
from ampproxy.model.request import LEVELS


def _one_of(words: Sequence[str]) -> Reader:
    return fields.choice({word: word for word in words})


def _several_of(words: Sequence[str], of: str) -> ListOf:
    return ListOf(_one_of(words), f"a list of {of}")


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
        Setting(
            "thinking",
            _one_of(get_args(ThinkingForm)),
            "How thinking is requested: by a number of tokens, by a level of effort, either, or not at all.",
            "what is known",
        ),
        Setting(
            "budget",
            Reader("two numbers of tokens", _budget),
            "The smallest and the largest accepted number of thinking tokens.",
            "what is known",
        ),
        Setting("levels", _several_of(LEVELS, "levels"), "The accepted levels of effort.", "what is known"),
        Setting(
            "thinks-unasked",
            fields.FLAG,
            "Whether it thinks even if the request does not ask for it.",
            "what is known",
        ),
        Setting("can-disable", fields.FLAG, "Whether thinking can be switched off.", "what is known"),
        Setting(
            "between-tools", fields.FLAG, "Whether it accepts Anthropic's `between_tools`.", "what is known"
        ),
        Setting(
            "forced-tools",
            _one_of(get_args(Taken)),
            "When a Claude model accepts a forced tool call.",
            "what is known",
        ),
        Setting(
            "chat-tools",
            _one_of(get_args(Taken)),
            "When `api.openai.com` accepts functions for it over Chat Completions.",
            "what is known",
        ),
        Setting(
            "prefill",
            fields.FLAG,
            "Whether a Claude or Gemini model continues a final assistant's turn.",
            "what is known",
        ),
        Setting("sampling", fields.FLAG, "Whether it accepts temperature and the like.", "what is known"),
        Setting(
            "penalties",
            fields.FLAG,
            "Whether a Gemini model accepts presence and frequency penalties.",
            "what is known",
        ),
        Setting(
            "candidates",
            fields.POSITIVE,
            "How many answers one request to a Gemini model may ask for.",
            "what is known",
        ),
        Setting("max-output", fields.POSITIVE, "The most output tokens.", "what is known"),
        Setting(
            "context",
            fields.POSITIVE,
            "The most tokens of input and output together. This and the next four are for `ampproxy doctor`.",
            "what is known",
        ),
        Setting("tools", fields.FLAG, "Whether it calls tools.", "what is known"),
        Setting("thinks", fields.FLAG, "Whether it thinks at all.", "by `thinking`"),
        Setting("input", _several_of(MEDIA, "media"), "The media it accepts.", "what is known"),
        Setting("output", _several_of(MEDIA, "media"), "The media it produces.", "what is known"),
        Setting(
            "openai-members",
            fields.FLAG,
            "Whether it accepts members that only OpenAI's own models accept, such as "
            "`max_completion_tokens`.",
            "what is known",
        ),
        Setting(
            "wants-reasoning",
            fields.FLAG,
            "Whether it gets its own earlier thinking back over Chat Completions.",
            "what is known",
        ),
        Setting(
            "deprecated", fields.FLAG, "Whether its vendor has announced its retirement.", "what is known"
        ),
        Setting(
            "retires",
            Reader("day", _day),
            "The day on which its vendor retires it, such as 2026-12-31.",
            "what is known",
        ),
        Setting("successor", fields.NAME, "The model to use instead.", "what is known"),
    ),
)

CATALOG = ListOf(_ENTRY, "a list of families of models")
