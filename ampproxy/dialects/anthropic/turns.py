"""The turns of a request, in the order that Messages wants.

The vendor's rules (https://docs.anthropic.com/en/api/messages): the first message is the user's; the
results of all calls of a message stand first in the user message after it, and nothing else answers
a call; content is never empty; the last block of an assistant's message is not thinking.
"""

from __future__ import annotations

from typing import Any, Final

from ampproxy.dialects.anthropic.blocks_out import RAW, Block, BlockWriter
from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.common import Losses, items, shorten
from ampproxy.dialects.pairing import Results
from ampproxy.model.base import Json, Value
from ampproxy.model.request import ChatRequest

#: Put before an assistant's turn that opens a thread, and alone where there is no turn at all.
OPENING: Final = "..."
#: Put after an assistant's turn that the model will not continue by itself.
CLOSING: Final = "Continue."
#: The result of a call that nobody answered.
INTERRUPTED: Final = "The tool call was interrupted and has no result."

_THINKING: Final = ("thinking", "redacted_thinking")


class Message(Value, frozen=True):
    """One message to be sent: its blocks are still being ordered."""

    role: str
    blocks: list[Block]
    extras: dict[str, Any] = {}  # noqa: RUF012


def messages_of(
    request: ChatRequest, writer: BlockWriter, losses: Losses, *, own: bool, prefill: bool = True
) -> list[Message]:
    """All messages, obeying the vendor's rules; every repair is a loss.

    :param prefill: whether the model continues an assistant's turn that comes last.
    """
    messages = _merged(_rendered(request, writer, losses, own=own))
    messages = _paired(messages, losses)
    for number, message in enumerate(messages):
        _end_well(message, losses, f"messages[{number}]", last=number == len(messages) - 1)
    messages = _merged([message for message in messages if message.blocks])
    if not messages or messages[0].role == "assistant":
        losses(
            "first_turn",
            "turns[0]",
            f"The first turn must be the user's: one with the text {OPENING!r} was added.",
        )
        messages.insert(0, Message("user", [{"type": "text", "text": OPENING}]))
    if not prefill and messages[-1].role == "assistant":
        losses(
            "prefill",
            f"turns[{len(request.turns) - 1}]",
            f"The model does not continue an assistant's turn: one of the user's, {CLOSING!r}, was added.",
        )
        messages.append(Message("user", [{"type": "text", "text": CLOSING}]))
    return messages


def _rendered(request: ChatRequest, writer: BlockWriter, losses: Losses, *, own: bool) -> list[Message]:
    found: list[Message] = []
    for number, turn in enumerate(request.turns):
        at, role = f"turns[{number}]", turn.role
        if role == "system" and not own:
            # Only the newest models take system messages here; to be told late is not to be lost.
            losses("system_turn", at, "A system text in mid-conversation became the user's.")
            role = "user"
        blocks = [
            block
            for index, part in enumerate(turn.parts)
            for block in writer.blocks(part, role, f"{at}.parts[{index}]")
        ]
        if blocks:
            found.append(Message(role, blocks, turn.extras if own else {}))
        if turn.extras and not own:
            names = ", ".join(sorted(turn.extras))
            losses("extras", f"{at}.extras", f"Only the client's own dialect knows these members: {names}.")
    return found


def _merged(messages: list[Message]) -> list[Message]:
    """One message where neighbours have the same role, as the vendor itself does it."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            merged[-1].blocks.extend(message.blocks)
        else:
            merged.append(Message(message.role, list(message.blocks), message.extras))
    return merged


def _paired(messages: list[Message], losses: Losses) -> list[Message]:
    """Every call answered once, in the user message after it, before anything else there."""
    results = _Results(messages)
    seen: dict[str, int] = {}
    paired: list[Message] = []
    for number, message in enumerate(messages):
        paired.append(message)
        calls = [block for block in message.blocks if block["type"] == "tool_use"]
        if message.role == "assistant" and calls:
            answers = [_answer(call, number, results, losses) for call in calls]
            for call, answer in zip(calls, answers, strict=True):
                _distinguish(call, answer, seen, losses, f"messages[{number}]")
            results.settled(answers)
            paired.append(Message("user", answers))
    results.taken_out()
    for number, message in enumerate(paired):
        if message.role != "assistant":
            _as_text(message, results, losses, f"messages[{number}]")
    return _merged([message for message in paired if message.blocks])


def _answer(call: Block, number: int, results: _Results, losses: Losses) -> Block:
    return results.take(call["id"], number) or _interrupted(call["id"], number, losses)


def _distinguish(call: Block, answer: Block, seen: dict[str, int], losses: Losses, at: str) -> None:
    """No id twice in a thread: vendors without ids of their own leave that to others.

    :param seen: the ids so far, each with the number that its next namesake gets.
    """
    wanted = call["id"]
    if wanted in seen:
        stem, number = shorten(wanted, PROFILE.name[1] - 10), seen[wanted]
        while (fresh := f"{stem}_{number}") in seen:
            number += 1
        seen[wanted] = number + 1
        call["id"] = answer["tool_use_id"] = fresh
        losses("call_id", at, f"The id {wanted} was there before; this call got another.")
    seen.setdefault(call["id"], 2)


class _Results:
    """The results in a thread, by the call that they answer."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages
        self._found = Results[Block]()
        self._taken: set[int] = set()
        for number, message in enumerate(messages):
            for block in message.blocks:
                if block["type"] == "tool_result" and message.role == "user":
                    self._found.add(block["tool_use_id"], number, block)

    def take(self, call: str, after: int) -> Block | None:
        """See :meth:`ampproxy.dialects.pairing.Results.take`."""
        block = self._found.take(call, after)
        if block is not None:
            self._taken.add(id(block))
        return block

    def taken_out(self) -> None:
        """Remove what was taken from where it stood."""
        for message in self._messages:
            message.blocks[:] = [block for block in message.blocks if id(block) not in self._taken]

    def settled(self, answers: list[Block]) -> None:
        """These answer a call where they stand, the made ones among them too."""
        self._taken.update(map(id, answers))

    def is_taken(self, block: Block) -> bool:
        """Whether it answers a call where it stands now."""
        return id(block) in self._taken


def _interrupted(call: str, number: int, losses: Losses) -> Block:
    losses(
        "unanswered_call",
        f"messages[{number}]",
        f"The call {call} has no result; an error result was added.",
    )
    return {
        "type": "tool_result",
        "tool_use_id": call,
        "content": [{"type": "text", "text": INTERRUPTED}],
        "is_error": True,
    }


def _as_text(message: Message, results: _Results, losses: Losses, at: str) -> None:
    """Results of no call lose their frame and keep their content."""
    blocks: list[Block] = []
    for block in message.blocks:
        orphan = block["type"] == "tool_result" and not results.is_taken(block)
        if orphan:
            losses(
                "orphan_result", at, f"No call {block['tool_use_id']} stands before its result; sent as text."
            )
            content = block.get("content", [])
            blocks += content if isinstance(content, list) else _raw_blocks(content)
        else:
            blocks.append(block)
    message.blocks[:] = blocks


def _raw_blocks(content: Json) -> list[Block]:
    """Content that is kept as the client wrote it: a block that only this dialect knows is in it."""
    return [{"type": "", RAW: raw} for raw in items(content)]


def _end_well(message: Message, losses: Losses, at: str, *, last: bool) -> None:
    """An assistant's message does not end in thinking, nor the last one in blanks."""
    if message.role != "assistant":
        return
    blocks = message.blocks
    while blocks and blocks[-1]["type"] in _THINKING:
        blocks.pop()
        losses("trailing_thinking", at, "Thinking that nothing followed is refused.")
    if last and blocks and blocks[-1]["type"] == "text" and RAW not in blocks[-1]:
        text = blocks[-1]["text"]
        if text != text.rstrip():
            blocks[-1] = {**blocks[-1], "text": text.rstrip()}
            losses("trailing_blanks", at, "The end of an assistant's turn to be continued must not be blank.")


def lacks_thinking(messages: list[Message]) -> bool:
    """Whether a tool loop is under way whose assistant turn does not begin with thinking.

    The vendor answers 400 to such a request with thinking on. It is what a thread looks like whose
    client cannot carry proofs, or whose calls came from another vendor's model.
    """
    if len(messages) < 2 or messages[-1].role != "user":
        return False
    before = next((one for one in reversed(messages) if one.role == "assistant"), None)
    if before is None or not any(block["type"] == "tool_use" for block in before.blocks):
        return False
    if not any(block["type"] == "tool_result" for block in messages[-1].blocks):
        return False
    return before.blocks[0]["type"] not in _THINKING


def wire(block: Block) -> Any:
    """A block as it is written."""
    return block.get(RAW, block)
