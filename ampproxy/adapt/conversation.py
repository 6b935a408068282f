"""The turns of a conversation in the roles and the order that a vendor takes, each call with its result.

The vendors' rules differ in data only (:class:`~ampproxy.adapt.profile.DialectProfile`): which turns are one,
whether the user begins, what stands for a result that there is not. In all of them results stand right after
the turn with their calls.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from ampproxy.adapt.names import shorten
from ampproxy.adapt.parts import NOTHING
from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.target import Target
from ampproxy.model.base import Json
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from ampproxy.model.request import ChatRequest, Role, Turn

_WHY = "A system text in mid-conversation became a user's text, marked as a reminder."
REMINDER = "<system-reminder>\n{}\n</system-reminder>"
#: What the assistant says between results of tools and the user, where one of its turns must stand.
_ANSWERED: Final = "OK."
#: The number of a turn that there is not: after all others.
_NEVER: Final = sys.maxsize


def system_first(request: ChatRequest, losses: Losses) -> ChatRequest:
    """No message of the system but the first, where the server takes no other.

    Its text goes, marked, to the end of the user's turn before it, else to the beginning of the user's next,
    and is a turn of the user's if there is neither. Turns keep their numbers: where one was, an empty one
    of the system stays.
    """
    if "system" not in [turn.role for turn in request.turns]:
        return request
    turns = list(request.turns)
    for number, turn in enumerate(turns):
        if turn.role == "system" and turn.parts:
            losses("system_turn", f"turns[{number}]", _WHY)
            marked = [
                replace(part, text=REMINDER.format(part.text)) if type(part) is Text and part.text else part
                for part in turn.parts
            ]
            _hand_over(turns, number, tuple(marked))
    return replace(request, turns=tuple(turns))


def _hand_over(turns: list[Turn], number: int, parts: tuple[Part, ...]) -> None:
    """Give a turn's parts to a neighbour of the user's."""
    before, after = _neighbour(turns, number, -1), _neighbour(turns, number, 1)
    if before is not None:
        turns[before] = replace(turns[before], parts=turns[before].parts + parts)
    elif after is not None:
        turns[after] = replace(turns[after], parts=parts + turns[after].parts)
    else:
        turns[number] = Turn("user", parts)
        return
    turns[number] = Turn("system", ())


def _neighbour(turns: list[Turn], number: int, step: int) -> int | None:
    """The user's turn that is next in a direction; ``None``: the assistant's comes first, or none does."""
    number += step
    while 0 <= number < len(turns) and turns[number].role == "system":
        number += step
    return number if 0 <= number < len(turns) and turns[number].role == "user" else None


class _Placed(NamedTuple):
    """A part and where it stands in the client's request."""

    at: str
    part: Part


class _Turn(msgspec.Struct):
    """A turn that is still being put together, with the answers to its calls.

    :ivar has_calls: whether it has calls.
    :ivar left_out: whether it had anything beside texts, or something that was left out.
    """

    role: Role
    at: str
    extras: dict[str, Json]
    parts: list[_Placed] = []
    answers: list[_Placed] = []
    has_calls: bool = False
    left_out: bool = False

    def add(self, parts: tuple[Part, ...], at: str, *, own: bool) -> None:
        """Go on with these, but for empty texts of another dialect's client."""
        for number, part in enumerate(parts):
            kind = type(part)
            if kind is not Text or part is NOTHING:
                self.left_out = True
                self.has_calls = self.has_calls or kind is ToolCall
            if part is not NOTHING and (own or kind is not Text or part.text or part.signature):  # type: ignore[union-attr]
                self.parts.append(_Placed(f"{at}.parts[{number}]", part))


def settle_turns(
    request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> ChatRequest:
    """The turns in the vendor's order. What does not fit is mended: a call without a result is answered as
    interrupted, a result without its call becomes the user's words.

    To be the last pass: until then turns and parts have the numbers that losses name.
    """
    return _Settling(request, profile, target, losses).settled()


class _Settling:
    def __init__(self, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> None:
        self._request = request
        self._profile = profile
        self._target = target
        self._losses = losses
        self._own = request.dialect == profile.dialect
        #: Who else may have an empty turn.
        self._kept_empty = "assistant" if self._own else "user"

    def settled(self) -> ChatRequest:
        turns = self._joined()
        if not (self._own and self._profile.trusted_pairs):
            self._pair(turns)
        turns = self._without_empty(turns)
        out = self._written(turns)
        for turn in turns if self._profile.calls_last else ():
            if turn.has_calls:
                self._note_order(turn)
        if self._profile.vain_thinking:
            out = self._well_ended(out)
        out = self._well_begun(out)
        if self._target.host.after_results == "assistant":
            out = list(self._answered(out))
        turns_out = tuple(out)
        return self._request if turns_out == self._request.turns else replace(self._request, turns=turns_out)

    def _joined(self) -> list[_Turn]:
        """One turn where neighbours are one for the vendor."""
        joined: list[_Turn] = []
        by_role = self._profile.joins == "roles"
        for number, turn in enumerate(self._request.turns):
            at, role = f"turns[{number}]", turn.role
            if role == "system" and by_role and not self._own:
                if any(part is not NOTHING for part in turn.parts):
                    self._losses("system_turn", at, "A system text in mid-conversation became the user's.")
                role = "user"
            last = joined[-1] if joined else None
            joins = last is not None and last.role == role and (by_role or last.has_calls)
            if last is None or not joins:
                joined.append(last := _Turn(role, at, dict(turn.extras)))
            else:
                last.extras.update(turn.extras)
            last.add(turn.parts, at, own=self._own)
        return joined

    def _without_empty(self, turns: list[_Turn]) -> list[_Turn]:
        """Turns without those of which nothing is left; some vendors take a user's without words."""
        profile = self._profile
        kept = [
            turn
            for turn in turns
            if turn.parts
            or turn.answers
            or turn.extras
            or (profile.empty_turns and not turn.left_out and turn.role in ("user", self._kept_empty))
        ]
        return _merged(kept) if profile.joins == "roles" else kept

    def _pair(self, turns: list[_Turn]) -> None:
        """Give each turn the answers to its calls, and take those from where they stood."""
        if True not in [turn.left_out for turn in turns]:
            return
        results = _Results(turns)
        used: dict[str, int] = {}
        for number, turn in enumerate(turns):
            if turn.has_calls and turn.role == "assistant":
                turn.answers = self._answers(number, turn, results, used)
        for turn in turns if results.found else ():
            turn.parts = self._without_results(turn, results.taken)

    def _answers(self, number: int, turn: _Turn, results: _Results, used: dict[str, int]) -> list[_Placed]:
        """The results of a turn's calls; a call without any is answered as interrupted."""
        answers: list[tuple[int, int, _Placed]] = []
        answered: set[str] = set()
        for index, (at, call) in enumerate(turn.parts):
            if type(call) is not ToolCall or call.id in answered:
                continue
            if self._profile.given_order:
                # They are paired by their ids: namesakes have one answer.
                answered.add(call.id)
            found = results.take(call.id, number)
            where, nth, answer = found or (_NEVER, index, _Placed(at, self._interrupted(call, at)))
            if results.next_assistant[number] <= where < _NEVER:
                self._losses("result_order", answer.at, "A result was moved up to the call it answers.")
            changed = {"name": call.name} if self._profile.named_results else {}
            if self._profile.unique_calls and (id_ := self._unique(call.id, used, at)) != call.id:
                turn.parts[index] = _Placed(at, replace(call, id=id_))
                changed["call"] = id_
            if changed:
                answer = _Placed(answer.at, replace(answer.part, **changed))
            answers.append((where, nth, answer))
        if self._profile.given_order:
            answers.sort(key=itemgetter(0, 1))
        return [answer for _, _, answer in answers]

    def _interrupted(self, call: ToolCall, at: str) -> ToolResult:
        why = f"The call {call.id} has no result; it was answered as interrupted."
        self._losses("unanswered_call", at, why)
        return ToolResult(
            call.id,
            (Text(self._profile.interrupted),),
            is_error=self._profile.error_results,
            name=call.name,
            freeform=call.freeform,
        )

    def _unique(self, wanted: str, used: dict[str, int], at: str) -> str:
        """No id twice in a thread: vendors without ids of their own leave that to others.

        :param used: the ids so far, each with the number that its next namesake gets.
        """
        if wanted not in used:
            used[wanted] = 2
            return wanted
        stem, number = shorten(wanted, self._profile.call_id - 10), used[wanted]
        while (fresh := f"{stem}_{number}") in used:
            number += 1
        used[wanted] = number + 1
        used[fresh] = 2
        if self._profile.ids_noted:
            self._losses("call_id", at, f"The id {wanted} was there before; this call got another.")
        return fresh

    def _without_results(self, turn: _Turn, taken: set[str]) -> list[_Placed]:
        kept: list[_Placed] = []
        for placed in turn.parts:
            if not isinstance(placed.part, ToolResult):
                kept.append(placed)
            elif placed.at not in taken:
                why = "A result without its call was sent as the user's text."
                self._losses("orphan_result", placed.at, why)
                if extras := sorted(placed.part.extras):
                    why = f"The words of a result have no members of their own: {', '.join(extras)}."
                    self._losses("extras", placed.at, why)
                kept += (_Placed(placed.at, inner) for inner in self._words_of(placed.part))
        return kept

    def _words_of(self, result: ToolResult) -> Iterator[Part]:
        if not self._profile.titled_orphans:
            yield from result.parts
            return
        words = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        if words:
            yield Text(f"Result{f' of {result.name}' if result.name else ''}: {words}")
        yield from (part for part in result.parts if not isinstance(part, Text))

    def _written(self, turns: Sequence[_Turn]) -> list[Turn]:
        """The turns with answers in the user's turn after their calls."""
        out: list[Turn] = []
        waiting: tuple[Part, ...] = ()
        by_role = self._profile.joins == "roles"
        for turn in turns:
            parts = tuple([each.part for each in turn.parts])
            if waiting and (turn.role != "user" or not by_role):
                out.append(Turn("user", waiting))
                waiting = ()
            if turn.has_calls and turn.role == "assistant":
                parts = self._signed(turn, parts)
            if waiting or parts or not turn.answers:
                out.append(Turn(turn.role, (*waiting, *parts), turn.extras))
            waiting = self._sent(turn.answers) if turn.answers else ()
        return [*out, Turn("user", waiting)] if waiting else out

    def _sent(self, answers: Sequence[_Placed]) -> tuple[Part, ...]:
        """Results; what cannot stand in them follows all of them."""
        media = self._profile.result_media
        if media == "kept" or self._own or (media == "beside" and self._target.thinking == "level"):
            return tuple([answer.part for answer in answers])
        results: list[Part] = []
        late: list[Part] = []
        for at, part in answers:
            assert isinstance(part, ToolResult)
            words = tuple([inner for inner in part.parts if isinstance(inner, Text)])
            if len(words) < len(part.parts):
                if media == "moved":
                    self._losses("result_media", at, "Moved to a user's message after the results.")
                late += (inner for inner in part.parts if not isinstance(inner, Text))
                part = replace(part, parts=words)
            results.append(part)
        return (*results, *late)

    def _signed(self, turn: _Turn, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """The parts with a proof on the first call, where one is checked: without any it is refused."""
        proof = self._profile.no_proof
        checks = self._target.host.call_proofs or (
            self._profile.part_proofs and self._target.thinking == "level"
        )
        first = next((number for number, part in enumerate(parts) if type(part) is ToolCall), None)
        if proof is None or not checks or first is None:
            return parts
        call = parts[first]
        assert isinstance(call, ToolCall)
        if call.signature is not None or self._profile.proof_extra in call.extras:
            return parts
        why = "The call is not Gemini's; its check is skipped."
        self._losses("missing_signature", turn.parts[first].at, why)
        return (*parts[:first], replace(call, signature=proof), *parts[first + 1 :])

    def _note_order(self, turn: _Turn) -> None:
        called = False
        for at, part in turn.parts if turn.role == "assistant" else ():
            called = called or type(part) is ToolCall
            if called and type(part) is Text and part.text:
                self._losses("order", at, "Text after a tool call is moved before it.")

    def _well_ended(self, turns: list[Turn]) -> list[Turn]:
        """No assistant's turn ends in thinking that nothing followed, nor the last one in blanks."""
        kind = self._profile.vain_thinking
        for number in range(len(turns) - 1, -1, -1):
            turn, after = turns[number], turns[number + 1 : number + 2]
            # It goes on in the assistant's next, and in one with what its vendor alone knows.
            if turn.role == "assistant" and not any(
                one.role == "assistant" or type(one.parts[0]) is Opaque for one in after if one.parts
            ):
                turns[number] = self._without_vain(turn, kind, f"turns[{number}]", not after)
        left = [turn for turn in turns if turn.parts]
        return left if len(left) == len(turns) or self._profile.joins != "roles" else _merged_turns(left)

    def _without_vain(self, turn: Turn, kind: str, at: str, last: bool) -> Turn:
        parts = turn.parts
        while parts and type(parts[-1]) is Reasoning:
            parts = parts[:-1]
            self._losses(kind, at, "Thinking that nothing followed is refused.")
        end = parts[-1] if parts else None
        if last and type(end) is Text and not self._profile.blank_texts and end.text != end.text.rstrip():
            why = "The end of an assistant's turn to be continued must not be blank."
            self._losses("trailing_blanks", at, why)
            parts = (*parts[:-1], replace(end, text=end.text.rstrip()))
        return turn if parts is turn.parts else replace(turn, parts=parts)

    def _well_begun(self, turns: list[Turn]) -> list[Turn]:
        """The user begins, and is the last where the model does not continue its own turn."""
        profile = self._profile
        if profile.opening and (not turns or turns[0].role == "assistant"):
            why = f"The first turn must be the user's: one with the text {profile.opening!r} was added."
            self._losses("first_turn", "turns[0]", why)
            turns.insert(0, Turn("user", (Text(profile.opening),)))
        if profile.closing and not self._target.prefill and turns[-1].role == "assistant":
            why = (
                f"The model does not continue an assistant's turn: the user's {profile.closing!r} was added."
            )
            self._losses("prefill", f"turns[{len(self._request.turns) - 1}]", why)
            turns.append(Turn("user", (Text(profile.closing),)))
        return turns

    def _answered(self, turns: Iterable[Turn]) -> Iterator[Turn]:
        """The turns, results of tools being followed by a word of the assistant's."""
        after = False
        for turn in turns:
            results = tuple(part for part in turn.parts if isinstance(part, ToolResult))
            others = turn.parts[len(results) :]
            if results and others:
                yield Turn("user", results)
                turn, after, results = replace(turn, parts=others), True, ()
            if after and turn.role != "assistant" and not results:
                self._losses("turns", "turns", f"An assistant's turn, {_ANSWERED!r}, was put after results.")
                yield Turn("assistant", (Text(_ANSWERED),))
            yield turn
            after = bool(results)


def _merged(turns: Sequence[_Turn]) -> list[_Turn]:
    """One turn where neighbours have the same role, unless calls between them are answered."""
    merged: list[_Turn] = []
    for turn in turns:
        last = merged[-1] if merged else None
        if last is not None and last.role == turn.role and not last.answers:
            last.parts += turn.parts
            last.answers = turn.answers
            last.has_calls = last.has_calls or turn.has_calls
            last.extras.update(turn.extras)
        else:
            merged.append(turn)
    return merged


def _merged_turns(turns: Sequence[Turn]) -> list[Turn]:
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = replace(merged[-1], parts=merged[-1].parts + turn.parts)
        else:
            merged.append(turn)
    return merged


class _Results:
    """The results in a conversation, each of which answers the call of its id that stands before it.

    :ivar found: whether there are any; ``taken``: where those stand that were given to a call.
    :ivar next_assistant: by the number of a turn, that of the assistant's next one.
    """

    def __init__(self, turns: Sequence[_Turn]) -> None:
        self.found = False
        self.taken: set[str] = set()
        self._calls: dict[str, deque[int]] = {}
        self._known: dict[str, deque[tuple[int, int, _Placed]]] = {}
        self.next_assistant: list[int] = [_NEVER] * len(turns)
        after = _NEVER
        for number in range(len(turns) - 1, -1, -1):
            self.next_assistant[number] = after
            after = number if turns[number].role == "assistant" else after
        for number, turn in enumerate(turns):
            for index, placed in enumerate(turn.parts) if turn.left_out else ():
                part = placed.part
                if type(part) is ToolCall and turn.role == "assistant":
                    self._calls.setdefault(part.id, deque()).append(number)
                elif type(part) is ToolResult:
                    self.found = True
                    self._known.setdefault(part.call, deque()).append((number, index, placed))

    def take(self, call: str, number: int) -> tuple[int, int, _Placed] | None:
        """The result of a call of a turn, with its place, if it stands before the same id is called again. To
        be asked in the order of the calls.
        """
        calls, known = self._calls[call], self._known.get(call)
        while calls and calls[0] <= number:
            calls.popleft()
        while known and known[0][0] <= number:
            known.popleft()
        if not known or (calls and known[0][0] >= calls[0]):
            return None
        found = known.popleft()
        self.taken.add(found[2].at)
        return found
