"""What the refusal of an account teaches: one member of a request that is to be left out, or bent."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ampproxy.model.base import Value

#: The statuses of refusals that may teach something.
STATUSES = frozenset((400, 422))

#: ``leave-out``; ``rename``: to ``words[0]``; ``one-of``: the nearest of ``words``; ``not``: anything but
#: ``words``; ``at-most`` and ``at-least``: ``number``; ``exactly``: ``value``; ``shorten``: to so many;
#: ``as-text``: a list of texts as one; ``no-blanks``: no empty texts and messages; ``no-pictures``: words in
#: the place of earlier ones; ``login``: as the backend of logins wants a whole body; ``turns``: the system
#: first or, with ``words``, not at all, and then users and assistants by turns; ``tools``: those of the types
#: ``words`` alone; ``no-tools``: none of the types ``words``; ``betas``: of a header, all but ``words``;
#: ``thoughts``: an empty thought in each assistant's message that has none; ``signatures``: Gemini's word for
#: a missing one on calls, with ``words`` on those that have one, too; ``no-prefill``: a user's turn behind an
#: assistant's last one.
Act: TypeAlias = (
    Literal["leave-out", "rename", "one-of", "not", "at-most", "at-least", "exactly", "shorten"]
    | Literal["as-text", "no-blanks", "no-pictures", "login", "turns", "tools", "no-tools", "betas"]
    | Literal["thoughts", "signatures", "no-prefill"]
)

#: A member's place in a body, from the top; ``*`` for each element of a list, or each member of an object.
Place: TypeAlias = tuple[str, ...]
EACH = "*"


class Lesson(Value, frozen=True):
    """One thing that an account refuses for a model, in the dialect that it speaks.

    :param words: see :data:`Act`.
    :param value: JSON text.
    :param beside: only where this member is there too, and says something: two that exclude each other.
    :param was: only where the member is this JSON text, or an object whose ``type`` it is.
    :param once: of this request alone, and not to be remembered.
    """

    place: Place
    act: Act
    words: tuple[str, ...] = ()
    number: float = 0.0
    value: str = ""
    beside: Place = ()
    was: str = ""
    once: bool = False

    @property
    def name(self) -> str:
        """The member's place in one word: ``reasoning.effort``."""
        return ".".join(self.place)

    @property
    def about(self) -> str:
        """What is done, in words for people that follow the member's name."""
        return _ABOUT[self.act].format(
            words=", ".join(self.words), number=f"{self.number:g}", value=self.value
        ) + (f", beside {'.'.join(self.beside)}" if self.beside else "")


_ABOUT: dict[str, str] = {
    "leave-out": "is left out",
    "rename": "is sent as {words}",
    "one-of": "is moved to the nearest of {words}",
    "not": "is moved away from {words}",
    "at-most": "is lowered to {number}",
    "at-least": "is raised to {number}",
    "exactly": "is sent as {value}",
    "shorten": "is cut to {number} elements",
    "as-text": "is sent as one text",
    "no-blanks": "is sent without empty texts",
    "no-pictures": "is sent without the pictures of earlier messages",
    "turns": "is sent as turns of users and assistants",
    "login": "is sent as the backend of logins takes it",
    "tools": "is sent with tools of the types {words} alone",
    "no-tools": "is sent without tools of the types {words}",
    "betas": "is sent without {words}",
    "thoughts": "is sent with an empty thought where an assistant's message has none",
    "signatures": "is sent with Gemini's word for a missing signature on calls",
    "no-prefill": "is sent with a user's turn at the end",
}
