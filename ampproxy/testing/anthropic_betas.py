"""What Anthropic's Messages API takes only from a client that names the beta in ``anthropic-beta``.

Source: the ``beta`` types of the vendor's SDK, 2.14.0, and its list of betas; of ``safeguards``, which that
SDK lacks, what Claude Code 2.1.332 sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ampproxy.testing.vendor import VendorError

_EDITS = ("context-management-2025-06-27", "compact-2026-01-12")
_TURNS = ("mid-conversation-output-config-2026-07-01", "per-turn-control-2026-07-01")
_UPDATES = ("thinking-display-updates-2026-08-18",)
_BINDING = ("thinking-binding-controls-2026-08-01",)
_CLEARED = ("mid-conversation-system-clear-at-2026-08-21",)
_TOOLS = ("mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15")
_SAFEGUARDS = ("dangerous-tool-use-2026-09-03",)
_EXTRA = "Extra inputs are not permitted"


@dataclass(frozen=True, slots=True)
class _Beta:
    """Something that needs one of some betas.

    :param find: the paths at which a request has it.
    """

    names: tuple[str, ...]
    find: Callable[[dict[str, Any]], Iterator[str]]
    words: str = _EXTRA


def _top(name: str) -> Callable[[dict[str, Any]], Iterator[str]]:
    return lambda body: iter((name,) if name in body else ())


def _of_turns(name: str) -> Callable[[dict[str, Any]], Iterator[str]]:
    def find(body: dict[str, Any]) -> Iterator[str]:
        return (f"messages.{at}.{name}" for at, one in enumerate(body["messages"]) if name in one)

    return find


def _of_thinking(name: str, value: str | None = None) -> Callable[[dict[str, Any]], Iterator[str]]:
    def find(body: dict[str, Any]) -> Iterator[str]:
        thinking = body.get("thinking", {})
        if name in thinking and value in (None, thinking[name]):
            yield f"thinking.{thinking['type']}.{name}"

    return find


def _of_blocks(*kinds: str) -> Callable[[dict[str, Any]], Iterator[str]]:
    def find(body: dict[str, Any]) -> Iterator[str]:
        for at, message in enumerate(body["messages"]):
            content = message.get("content")
            for index, block in enumerate(content if isinstance(content, list) else ()):
                if block["type"] in kinds:
                    yield f"messages.{at}.content.{index}.type"

    return find


_BETAS = (
    _Beta(_EDITS, _top("context_management")),
    _Beta(_SAFEGUARDS, _top("safeguards")),
    _Beta(_TURNS, _of_turns("output_config")),
    _Beta(_CLEARED, _of_turns("clear_at")),
    _Beta(_UPDATES, _of_thinking("display", "updates"), "Input should be 'summarized' or 'omitted'"),
    _Beta(_BINDING, _of_thinking("block_binding")),
    _Beta(_TOOLS, _of_blocks("tool_addition", "tool_removal"), "Input tag is not one of the expected tags"),
)


def check_betas(body: dict[str, Any], header: str) -> None:
    """Refuse what needs a beta that the client does not name.

    :param header: the value of ``anthropic-beta``; empty if there is none.
    :raises VendorError: with the path and the words of the API.
    """
    named = {name.strip() for name in header.split(",")}
    for beta in _BETAS:
        if named.isdisjoint(beta.names):
            for path in beta.find(body):
                raise VendorError(400, f"{path}: {beta.words}")
