"""What a request is for in Amp: one table of rules over what its clients send.

The clients name the role nowhere. It follows from headers (``x-amp-feature``, ``x-amp-mode``,
``x-amp-message-id``, which only main conversations have), from the tools that are declared or forced,
from what the answer is to be, and from the model's family. A new role is a row of
:data:`ampproxy.model.roles.ROLES` and a row of :data:`RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property

import msgspec

from ampproxy.model.base import RESPONSES, Value
from ampproxy.model.roles import ROLES, Shown

#: The headers that are looked at, lower case.
FEATURE, MODE, MESSAGE, THREAD = "x-amp-feature", "x-amp-mode", "x-amp-message-id", "x-amp-thread-id"
HEADERS = (FEATURE, MODE, MESSAGE, THREAD)

#: Tools that only main conversations have, by which one without its message id is known.
_OF_MAIN = frozenset(("task", "oracle", "librarian", "handoff"))
#: Tools that change something.
_CHANGING = frozenset(("bash", "shell_command", "edit_file", "create_file", "apply_patch", "undo_edit"))
_SEARCHING = frozenset(("grep", "glob", "read", "finder"))


class Signs(Value, frozen=True, kw_only=True, dict=True):
    """What a request shows of its role.

    :param headers: those of :data:`HEADERS` that came along.
    :param model: as asked, without thinking suffix, lower case.
    :param declared: gives the names of the declared tools, lower case. Most requests are main
        conversations, which their headers tell: the tools are read only where they matter.
    :param forced: the name of the one tool that must be called, lower case.
    :param draws: whether the answer is to hold images.
    :param shapes: whether the answer has to fit a schema.
    :param attached: whether a file or an image comes with it.
    """

    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    dialect: str = ""
    model: str = ""
    declared: Callable[[], frozenset[str]] = frozenset
    forced: str = ""
    draws: bool = False
    shapes: bool = False
    attached: bool = False

    @cached_property
    def tools(self) -> frozenset[str]:
        """The names of the declared tools, lower case."""
        return self.declared()

    @property
    def of_amp(self) -> bool:
        """Whether a client of Amp's sent it: any other program's tools tell nothing."""
        return THREAD in self.headers or FEATURE in self.headers

    @property
    def main(self) -> bool:
        """Whether it is a turn of a main conversation."""
        return MESSAGE in self.headers or not self.tools.isdisjoint(_OF_MAIN)

    def has_tool(self, *patterns: str) -> bool:
        """Whether a declared tool's name matches one of these."""
        return any(fnmatchcase(tool, pattern) for tool in self.tools for pattern in patterns)


class Rule(Value, frozen=True):
    """One row: the role, and what must hold for it."""

    role: str
    holds: Callable[[Signs], bool]


def _feature(*names: str) -> Callable[[Signs], bool]:
    return lambda signs: signs.headers.get(FEATURE, "") in names


def _forced(name: str) -> Callable[[Signs], bool]:
    return lambda signs: signs.forced == name


def _mode(role: str) -> Callable[[Signs], bool]:
    return lambda signs: signs.of_amp and signs.main and signs.headers.get(MODE, "").lower() == role


def _family(*patterns: str) -> Callable[[Signs], bool]:
    """A main conversation whose mode only its model tells."""
    return lambda signs: (
        signs.of_amp and signs.main and any(fnmatchcase(signs.model, pattern) for pattern in patterns)
    )


def _side(condition: Callable[[Signs], bool]) -> Callable[[Signs], bool]:
    """A subagent's or a side call."""
    return lambda signs: signs.of_amp and not signs.main and condition(signs)


#: In this order; the first that holds counts.
RULES: tuple[Rule, ...] = (
    Rule("painter", _feature("amp.painter", "amp.image-generation")),
    Rule("review", _feature("amp.review")),
    Rule("analyze", _feature("amp.context-analyze")),
    Rule("title", _forced("set_title")),
    Rule("handoff", _forced("create_handoff_context")),
    Rule("painter", _side(lambda signs: signs.draws)),
    *(Rule(role, _mode(role)) for role in ("smart", "rush", "free", "large", "deep")),
    Rule("smart", _family("claude-opus-*")),
    Rule("rush", _family("claude-haiku-*")),
    Rule("large", _family("claude-sonnet-*")),
    Rule("deep", _family("gpt-*")),
    Rule("main", lambda signs: signs.of_amp and signs.main),
    Rule("librarian", _side(lambda signs: signs.has_tool("*github*", "*bitbucket*", "list_repositories"))),
    Rule("task", _side(lambda signs: not signs.tools.isdisjoint(_CHANGING))),
    Rule("finder", _side(lambda signs: bool(signs.tools) and signs.tools <= _SEARCHING)),
    Rule("oracle", _side(lambda signs: bool(signs.tools) and signs.dialect == RESPONSES)),
    Rule("look_at", _side(lambda signs: not signs.tools and signs.attached)),
    Rule("read_thread", _side(lambda signs: not signs.tools and signs.shapes)),
)
assert {rule.role for rule in RULES} == set(ROLES)


def role_of(signs: Signs) -> str:
    """The role, one of :data:`~ampproxy.model.roles.ROLES`; empty if nothing tells."""
    return next((rule.role for rule in RULES if rule.holds(signs)), "")


def signs_of(dialect: str, model: str, headers: Iterable[tuple[str, str]], shown: Shown) -> Signs:
    """What a request shows.

    :param model: as asked, without thinking suffix.
    :param headers: names in lower case; others than :data:`HEADERS` are left out.
    :param shown: what its body shows (``Passthrough.shown`` of its dialect).
    """
    return Signs(
        headers={name: value.strip() for name, value in headers if name in HEADERS},
        dialect=dialect,
        model=model.lower(),
        declared=lambda: frozenset(map(str.lower, shown.declared())),
        forced=shown.forced.lower(),
        draws=shown.draws,
        shapes=shown.shapes,
        attached=shown.attached,
    )
