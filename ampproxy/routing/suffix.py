"""The thinking suffix of a model's name: ``gpt-5(high)``, ``claude-sonnet-4(8192)``."""

from __future__ import annotations

from ampproxy.model.request import LEVELS, Thinking

_WORDS: dict[str, Thinking] = {
    "none": Thinking("off"),
    "auto": Thinking("auto"),
    "-1": Thinking("auto"),
    **{level: Thinking("level", level=level) for level in LEVELS},
}
#: More digits than any vendor's budget has; also keeps ``int`` cheap for hostile text.
_MAX_DIGITS = 9


def split_suffix(model: str) -> tuple[str, str | None]:
    """A name and its thinking suffix: what stands between the last ``(`` and a final ``)``.

    :return: the base, and the suffix without parentheses (empty for ``()``), ``None`` if there is none.
    """
    if not model.endswith(")"):
        return model, None
    base, opening, suffix = model.rpartition("(")
    return (base, suffix[:-1]) if opening else (model, None)


def join_suffix(base: str, suffix: str | None) -> str:
    """The name with its suffix, if there is one that says anything."""
    return f"{base}({suffix})" if suffix else base


def parse_suffix(suffix: str | None) -> Thinking | None:
    """What a suffix wishes, in any case: ``none``, ``auto`` or ``-1``, a level, or a number of tokens
    (0 is none). ``None`` for anything else: a wish that nobody understands is not made.
    """
    if not suffix:
        return None
    word = _WORDS.get(suffix.lower())
    if word is not None:
        return word
    if not (suffix.isascii() and suffix.isdigit() and len(suffix) <= _MAX_DIGITS):
        return None
    budget = int(suffix)
    return Thinking("budget", budget=budget) if budget else Thinking("off")
