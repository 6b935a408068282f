"""Names of models, and the patterns that stand for several of them.

A name is compared in its bare form: lower case, without a thinking suffix, without the path that an
aggregator puts before it (``anthropic/``, ``publishers/google/models/``, ``us.anthropic.``), and with the
dots of version numbers written as dashes, because vendors do both.

A pattern of a family is the beginning of such a name. It fits where a word of the name ends, and where no
minor version follows that the pattern does not have: ``gpt-5`` is also ``gpt-5-mini`` and
``gpt-5-2025-08-07``, but neither ``gpt-5.1`` nor ``gpt-50``. ``*`` stands for any text.
"""

from __future__ import annotations

from ampproxy.wire.late import LatePattern

_SUFFIX = LatePattern(r"\([^()]*\)$")
#: Bedrock's: where it is, and whose it is.
_REGION = LatePattern(
    r"(?:[a-z]{2,6}\.)?(?:anthropic|openai|deepseek|google|meta|minimax|mistral|moonshot|moonshotai|qwen|zai)\.(?=[a-z])"
)
_POINT = LatePattern(r"(?<=[0-9])\.(?=[0-9])")
_POINT_IN_PATTERN = LatePattern(r"(?<=[0-9])\.(?=[0-9*])")
#: What makes the text before it another name: more of the word, or one or two digits of a minor version.
_GOES_ON = LatePattern(r"[a-z0-9]|[-.][0-9]{1,2}(?![a-z0-9])")
#: Longer names are nobody's; comparing stays cheap whatever a client asks for.
_MAX_NAME_CHARS = 256


def without_suffix(model: str) -> str:
    """The name without a thinking suffix: ``gpt-5`` of ``gpt-5(high)``."""
    return _SUFFIX.sub("", model)


def exact(model: str) -> str:
    """A vendor's own name as single models are known by it: whole, in lower case, without a suffix."""
    return without_suffix(model).lower()


def base(model: str) -> str:
    """The name in lower case, without a suffix and what stands before it."""
    return _REGION.sub("", without_suffix(model).rpartition("/")[2].lower(), count=1)


def bare(model: str) -> str:
    """The form in which names are compared."""
    return _POINT.sub("-", base(model))


def spellings(model: str) -> tuple[str, ...]:
    """The ways to write a name that a table may have, the most exact first: whole, without what stands before
    it, and with dashes in its version.
    """
    whole = without_suffix(model).lower()
    return tuple(dict.fromkeys((whole, whole.rpartition("/")[2], base(model), bare(model))))


class Pattern:
    """A pattern of bare names, ready to be compared. Takes time linear in the name.

    :param text: as it is written in a table.
    """

    __slots__ = ("_first", "_last", "_middle", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._first, *others = _POINT_IN_PATTERN.sub("-", text.lower()).split("*")
        self._last = others.pop() if others else None
        self._middle = others

    @property
    def letter(self) -> str:
        """What the names begin with that it fits; empty: with anything."""
        return self._first[:1]

    def fits(self, name: str) -> bool:
        """Whether a bare name is one of these."""
        if not name.startswith(self._first) or len(name) > _MAX_NAME_CHARS:
            return False
        at = len(self._first)
        if self._last is None:
            return _GOES_ON.match(name, at) is None
        for piece in self._middle:
            found = name.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return not self._last or self._ends_with_word(name, at, self._last)

    def _ends_with_word(self, name: str, at: int, last: str) -> bool:
        while (found := name.find(last, at)) >= 0:
            if _GOES_ON.match(name, found + len(last)) is None:
                return True
            at = found + 1
        return False
