"""The text of a configuration without what may be a secret: only values that are known to be none stay.

What is shown is decided by the tables of settings, not by what looks like a secret: the value of a setting
that is read as a flag, a number, a name of a model or the like. All else, what no table knows included, and
what stands behind a fault by which the text is no YAML, is masked. So are comments: old keys stand there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import yaml

from ampproxy.config.parsing import walk
from ampproxy.config.sections import ROOT

MASK = "•••"
#: Settings whose values are no secrets though they are read as text: names, patterns, places.
_PLAIN = frozenset(
    (
        "name", "alias", "models", "model", "from", "to", "role", "roles", "host", "listen", "allowed-hosts",
        "accounts", "routes", "prefix", "excluded-models", "strategy", "profile", "kind", "limits", "names",
        "translation", "format", "level", "match", "protocol", "tls", "fallback", "requests-per-day", "per",
        "config-version", "expires", "action", "browser-pages", "usd-per-day", "usd-per-week", "thinking",
        "usd-per-month", "when-away", "levels", "input", "output", "vendor",
    )
)  # fmt: skip
#: What readers of plain values call what they read.
_PLAIN_TYPES = ("true or false", "a whole number", "duration", "size", "a port", "one of")


@lru_cache(maxsize=1)
def plain_settings() -> frozenset[str]:
    """The names of the settings whose values are shown."""
    rows: dict[str, bool] = {}
    for _, _, row in walk(ROOT):
        kind = str(row.reader.type)
        shown = kind.startswith(_PLAIN_TYPES) or row.name in _PLAIN
        # Of several settings with one name all must be plain.
        rows[row.name] = rows.get(row.name, True) and shown and "secret" not in kind
    return frozenset(name for name, shown in rows.items() if shown)


def masked(text: str) -> tuple[str, ...]:
    """The lines of a text, with :data:`MASK` in place of what may be a secret."""
    lines = text.splitlines()
    spans, end = _spans(text)
    shown = [_masked_line(line, spans.get(number, [])) for number, line in enumerate(lines[:end])]
    return (*shown, *(MASK if line.strip() else "" for line in lines[end:]))


def _spans(text: str) -> tuple[dict[int, list[tuple[int, int, bool]]], int]:
    """Of each line the scalars in it, from column to column, and whether each is shown; and the line at which
    the text is no YAML any more.
    """
    found: dict[int, list[tuple[int, int, bool]]] = {}
    try:
        for token, shown in _scalars(text):
            first, last = token.start_mark, token.end_mark
            for line in range(first.line, last.line + 1):
                begin = first.column if line == first.line else 0
                end = last.column if line == last.line else 1 << 30
                found.setdefault(line, []).append((begin, end, shown))
    except yaml.YAMLError as error:
        mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
        return found, 0 if mark is None else mark.line
    return found, len(text.splitlines())


def _scalars(text: str) -> Iterator[tuple[yaml.ScalarToken, bool]]:
    """The scalars, and whether each may be shown: a key that a setting has; a value by the name of its key,
    also within lists, down to the next mapping.
    """
    plain = plain_settings()
    is_key = False
    keys: list[str] = [""]
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, (yaml.BlockMappingStartToken, yaml.FlowMappingStartToken)):
            keys.append("")
        elif isinstance(token, (yaml.BlockSequenceStartToken, yaml.FlowSequenceStartToken)):
            keys.append(keys[-1])
        elif isinstance(token, (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)):
            if len(keys) > 1:
                keys.pop()
        elif isinstance(token, (yaml.KeyToken, yaml.ValueToken)):
            is_key = isinstance(token, yaml.KeyToken)
        elif isinstance(token, yaml.ScalarToken):
            if is_key:
                keys[-1] = token.value
                yield token, _is_word(token.value)
            else:
                one_line = token.start_mark.line == token.end_mark.line
                yield token, keys[-1] in plain and one_line


def _is_word(key: str) -> bool:
    """Whether a key is one that a setting could have; a key of a client may stand where none should."""
    return key in _known_names()


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    """Every name that a setting has, those that have no effect here included."""
    names = {row.name for _, _, row in walk(ROOT)}
    for _, section, _ in walk(ROOT):
        names.update(section.unsupported)
    return frozenset(names | _PLAIN)


def _masked_line(line: str, spans: list[tuple[int, int, bool]]) -> str:
    """What is in none of the spans is punctuation, or a comment."""
    out, at = [], 0
    for begin, end, shown in sorted(spans):
        begin, end = min(begin, len(line)), min(end, len(line))
        out.append(_punctuation(line[at:begin]))
        if end > begin:
            out.append(line[begin:end] if shown else MASK)
        at = max(at, end)
    out.append(_punctuation(line[at:]))
    return "".join(out).rstrip()


def _punctuation(text: str) -> str:
    """What stands between scalars, without a comment, a tag or an anchor."""
    text = text.partition("#")[0]
    kept = "".join(char for char in text if char in " \t-:,[]{}?|>\"'")
    return kept if kept.strip() or not text.strip() else MASK
