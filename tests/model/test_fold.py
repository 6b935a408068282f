"""A stream's events and the whole answer that they tell."""

from __future__ import annotations

import unittest

from hypothesis import given

from ampproxy.errors import UpstreamFault
from ampproxy.model.base import Json
from ampproxy.model.events import (
    ChatResponse,
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    Ping,
    SectionBreak,
    Started,
    TokenLogprob,
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.fold import fold, unfold
from ampproxy.model.parts import Image, Inline, Reasoning, Refusal, Signature, Text, ToolCall
from tests import strategies

SEAL = Signature("gemini", "c2ln")


class FoldTests(unittest.TestCase):
    def test_deltas_make_parts_in_the_order_of_their_opening(self) -> None:
        """Fragments that come interleaved end up in their own part."""
        response = fold(
            [
                Started("id", "m", 5, "anthropic", {"x": Json(b"1")}),
                PartStarted(0, ToolCall("a", "A", "")),
                PartStarted(1, ToolCall("b", "B", "")),
                Delta(1, '{"n":'),
                Delta(0, '{"m":1}'),
                Delta(1, "2}"),
                Ping(),
                UsageReport(Usage(1)),
                UsageReport(Usage(2, output=3)),
                Finished("tool_calls"),
                Completed(),
            ]
        )
        calls = (ToolCall("a", "A", '{"m":1}'), ToolCall("b", "B", '{"n":2}'))
        self.assertEqual(response.candidates[0].parts, calls)
        self.assertEqual(response.usage, Usage(2, output=3))
        self.assertEqual((response.id, response.model, response.created), ("id", "m", 5))
        self.assertEqual((response.dialect, response.extras), ("anthropic", {"x": Json(b"1")}))

    def test_candidates_are_kept_apart(self) -> None:
        """Each of several answers has its own words, end and probabilities."""
        probability = TokenLogprob("x", -0.5)
        response = fold(
            [
                PartStarted(0, Text("")),
                PartStarted(1, Text(""), 2),
                Delta(1, "two", (probability,)),
                Delta(0, "zero"),
                Finished("length", choice=2),
                Finished("stop"),
            ]
        )
        zero, one, two = response.candidates
        self.assertEqual((zero.parts, one.parts, two.parts), ((Text("zero"),), (), (Text("two"),)))
        self.assertEqual(two.logprobs, (probability,))
        self.assertEqual([c.finish and c.finish.reason for c in (zero, one, two)], ["stop", None, "length"])

    def test_what_comes_late_is_not_lost(self) -> None:
        """A proof or citations after the end of their part still belong to it."""
        response = fold(
            [
                PartStarted(0, Reasoning("")),
                Delta(0, "hm"),
                PartClosed(0),
                PartStarted(1, Text("", extras={"a": Json(b"1")})),
                Delta(1, "hi"),
                PartClosed(1),
                PartExtras(1, {"b": Json(b"2")}),
                PartSigned(0, SEAL),
                PartSigned(7, SEAL),
            ]
        )
        thought, text = response.candidates[0].parts
        self.assertEqual(thought, Reasoning("hm", SEAL))
        self.assertEqual(text, Text("hi", extras={"a": Json(b"1"), "b": Json(b"2")}))

    def test_sections_stand_between_paragraphs(self) -> None:
        """A summary of several paragraphs has them apart and together; one paragraph is just text."""
        start: list[Event] = [PartStarted(0, Reasoning("")), SectionBreak(0), Delta(0, "one")]
        self.assertEqual(fold(start).candidates[0].parts, (Reasoning("one"),))
        two = fold([*start, SectionBreak(0), Delta(0, "t"), Delta(0, "wo"), SectionBreak(0)])
        self.assertEqual(two.candidates[0].parts, (Reasoning("one\n\ntwo", sections=("one", "two")),))

    def test_call_without_arguments_has_an_empty_object(self) -> None:
        """A client always gets valid JSON; the text of a freeform tool stays what it is."""
        parts = fold([PartStarted(0, ToolCall("a", "A", "")), PartStarted(1, ToolCall("b", "B", "", True))])
        self.assertEqual([part.arguments for part in parts.candidates[0].parts], ["{}", ""])  # type: ignore[union-attr]

    def test_failure_is_not_an_answer(self) -> None:
        """A stream that the vendor ended with an error never becomes a whole answer."""
        error = WireError("overloaded", "Overloaded", 529)
        with self.assertRaises(UpstreamFault) as caught:
            fold([Started(), Failed(error)])
        self.assertEqual(caught.exception.error, error)

    def test_empty_answer(self) -> None:
        """A model that says nothing gives one candidate without parts."""
        self.assertEqual(fold([]), ChatResponse())

    def test_parts_without_deltas_and_all_else_survive_unfolding(self) -> None:
        """Whatever an answer holds comes back from its own events."""
        parts = (
            Image(Inline("image/png", "aGk="), signature=SEAL),
            Refusal("no"),
            Reasoning("", SEAL, redacted=True),
            Reasoning("a\n\nb", SEAL, sections=("a", "b")),
            ToolCall("i", "n", "text", freeform=True, item="fc", signature=SEAL),
            Text("hi", signature=SEAL, extras={"citations": Json(b"[]")}),
        )
        events: list[Event] = [Started("i")]
        events += [PartStarted(number, part) for number, part in enumerate(parts)]
        whole = fold(events)
        self.assertEqual(whole.candidates[0].parts, parts)
        self.assertEqual(fold(unfold(whole)), whole)

    @given(strategies.interleaved_streams())
    def test_unfold_and_fold_agree(self, events: list[Event]) -> None:
        """An answer that was streamed, collected and streamed again is the same answer."""
        whole = fold(events)
        again = unfold(whole)
        self.assertEqual(fold(again), whole)
        self.assertIsInstance(again[-1], Completed)
