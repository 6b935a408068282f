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
            "names",
            fields.WILDCARDS,
            "The models: beginnings of their vendors' names, `*` stands for anything.",
            required=True,
        ),
        Setting(
            "dialects",
            "dialects",
            _several_of((ANTHROPIC, CHAT, COMPLETIONS, RESPONSES, GEMINI), "dialects"),
            "In which dialects the members from `thinking` to `max-output` hold.",
            "the family's, else all",
        ),
        Setting(
            "thinking",
            "thinking",
            _one_of(get_args(ThinkingForm)),
            "How it is asked to think: by a number of tokens, by a level of effort, either way, or not.",
            "what is known",
        ),
        Setting(
            "budget",
            "budget",
            Reader("two numbers of tokens", _budget),
            "The least and the most tokens of thinking that are accepted.",
            "what is known",
        ),
        Setting(
            "levels",
            "levels",
            _several_of(LEVELS, "levels"),
            "The levels of effort that are accepted.",
            "what is known",
        ),
        Setting(
            "thinks-unasked",
            "thinks_unasked",
            fields.FLAG,
            "Whether it thinks where a request does not ask for it.",
            "what is known",
        ),
        Setting(
            "can-disable",
            "can_disable",
            fields.FLAG,
            "Whether thinking can be switched off.",
            "what is known",
        ),
        Setting(
            "between-tools",
            "between_tools",
            fields.FLAG,
            "Whether it takes Anthropic's `between_tools`.",
            "what is known",
        ),
        Setting(
            "forced-tools",
            "forced_tools",
            _one_of(get_args(Taken)),
            "Whether a call can be demanded of a Claude model.",
            "what is known",
        ),
        Setting(
            "chat-tools",
            "chat_tools",
            _one_of(get_args(Taken)),
            "Whether `api.openai.com` takes functions for it over Chat Completions.",
            "what is known",
        ),
        Setting(
            "prefill",
            "prefill",
            fields.FLAG,
            "Whether a Claude or Gemini model continues an assistant's turn that comes last.",
            "what is known",
        ),
        Setting(
            "sampling",
            "sampling",
            fields.FLAG,
            "Whether it takes temperature and its like.",
            "what is known",
        ),
        Setting(
            "penalties",
            "penalties",
            fields.FLAG,
            "Whether a Gemini model takes presence and frequency penalties.",
            "what is known",
        ),
        Setting(
            "candidates",
            "candidates",
            fields.POSITIVE,
            "How many answers one request may ask of a Gemini model.",
            "what is known",
        ),
        Setting(
            "max-output",
            "max_output",
            fields.POSITIVE,
            "The most tokens of an answer.",
            "what is known",
        ),
        Setting(
            "context",
            "context",
            fields.POSITIVE,
            "The most tokens of question and answer, for `ampproxy doctor`; likewise the next four.",
            "what is known",
        ),
        Setting("tools", "tools", fields.FLAG, "Whether it calls tools.", "what is known"),
        Setting("thinks", "thinks", fields.FLAG, "Whether it thinks at all.", "by `thinking`"),
        Setting("input", "input", _several_of(MEDIA, "media"), "What it takes.", "what is known"),
        Setting("output", "output", _several_of(MEDIA, "media"), "What it gives.", "what is known"),
        Setting(
            "openai-members",
            "openai_members",
            fields.FLAG,
            "Whether it takes what OpenAI's own models alone take, such as `max_completion_tokens`.",
            "what is known",
        ),
        Setting(
            "wants-reasoning",
            "wants_reasoning",
            fields.FLAG,
            "Whether its own thinking is given back to it over Chat Completions.",
            "what is known",
        ),
        Setting(
            "deprecated",
            "deprecated",
            fields.FLAG,
            "Whether its vendor has announced its end.",
            "what is known",
        ),
        Setting(
            "retires",
            "retires",
            Reader("day", _day),
            "The day on which its vendor takes it away, such as 2026-12-31.",
            "what is known",
        ),
        Setting(
            "successor",
            "successor",
            fields.NAME,
            "The model that is to be asked instead.",
            "what is known",
        ),
    ),
)

CATALOG = ListOf(_ENTRY, "a list of families of models")
