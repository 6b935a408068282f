"""What Amp uses a model for: the roles of its main conversations, subagents and side calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ampproxy.model.base import Value

#: Every role, with what it is. The first five are modes of the main conversation.
ROLES: dict[str, str] = {
    "smart": "the main conversation in the mode smart",
    "rush": "the main conversation in the mode rush",
    "free": "the main conversation in the mode free",
    "large": "the main conversation in the mode large",
    "deep": "the main conversation in the mode deep",
    "main": "the main conversation in an unknown mode",
    "oracle": "the subagent for second opinions",
    "finder": "the subagent that searches the code",
    "librarian": "the subagent that reads other repositories",
    "task": "a subagent that does a part of the work",
    "title": "the thread's title",
    "handoff": "the summary that a new thread begins with",
    "review": "code review",
    "painter": "making images",
    "look_at": "looking at files and images",
    "read_thread": "the content of another thread",
    "analyze": "where a thread's context went",
}


class Shown(Value, frozen=True, kw_only=True):
    """What a request's body shows of what it is for.

    :param declared: gives the names of the declared tools. They are read only where they matter.
    :param forced: the name of the one tool that must be called.
    :param draws: whether the answer is to hold images.
    :param shapes: whether the answer has to fit a schema.
    :param attached: whether a file or an image comes with it.
    """

    declared: Callable[[], Iterable[str]] = tuple
    forced: str = ""
    draws: bool = False
    shapes: bool = False
    attached: bool = False
