"""Parts one after the other."""

from __future__ import annotations

import unittest

from hypothesis import given
from hypothesis import strategies as st

from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartSigned,
    PartStarted,
    Started,
    WireError,
)
from ampproxy.model.fold import fold
from ampproxy.model.parts import Signature, Text, ToolCall
from ampproxy.model.sequence import Sequencer
from tests import strategies

A, B = ToolCall("a", "A", ""), ToolCall("b", "B", "")


def overlaps(events: list[Event]) -> bool:
    """Whether a part begins before the one before it ended, or the numbers have gaps."""
    current, count = None, 0
    for event in events:
        if isinstance(event, PartStarted):
            if current is not None or event.index != count:
                return True
            current, count = event.index, count + 1
        elif isinstance(event, Delta) and event.index != current:
            return True
        elif isinstance(event, PartClosed):
            current = None
    return current is not None


class SequencerTests(unittest.TestCase):
    def test_sequential_events_pass_as_they_are(self) -> None:
        """The common stream is neither changed nor held back."""
        events = [Started(), PartStarted(0, Text("")), Delta(0, "x"), PartClosed(0), PartStarted(1, A)]
        sequencer = Sequencer()
        for event in events:
            passed = sequencer.feed([event])
            self.assertEqual(len(passed), 1)
            self.assertIs(passed[0], event)

    def test_second_part_waits_for_the_first(self) -> None:
        """Two parallel calls reach the client one after the other, each whole."""
        sequencer = Sequencer()
        events = [PartStarted(5, A), PartStarted(7, B), Delta(7, "b1"), Delta(5, "a1"), Delta(7, "b2")]
        self.assertEqual(sequencer.feed(events), [PartStarted(0, A), Delta(0, "a1")])
        self.assertEqual(
            sequencer.feed([PartClosed(5)]),
            [PartClosed(0), PartStarted(1, B), Delta(1, "b1"), Delta(1, "b2")],
        )
        self.assertEqual(sequencer.feed([Delta(7, "b3")]), [Delta(1, "b3")])

    def test_the_end_closes_what_is_open(self) -> None:
        """A vendor that never closes its parts still gives a client whole ones."""
        sequencer = Sequencer()
        sequencer.feed([PartStarted(0, A), PartStarted(1, B), Delta(1, "b")])
        self.assertEqual(
            sequencer.feed([Finished("tool_calls"), Completed()]),
            [
                PartClosed(0),
                PartStarted(1, B),
                Delta(1, "b"),
                PartClosed(1),
                Finished("tool_calls"),
                Completed(),
            ],
        )

    def test_other_candidates_are_left_out_and_told(self) -> None:
        """One answer is shown, whole; that there were others is known."""
        sequencer = Sequencer()
        events = [
            PartStarted(0, Text(""), 1),
            PartStarted(1, Text("")),
            Delta(0, "no"),
            Delta(1, "yes"),
            Finished("length", choice=1),
            Finished("stop"),
        ]
        self.assertEqual(
            sequencer.feed(events),
            [PartStarted(0, Text("")), Delta(0, "yes"), PartClosed(0), Finished("stop")],
        )
        self.assertEqual(sequencer.ignored, {1})

    def test_late_proof_keeps_its_part(self) -> None:
        """A proof after its part was closed is told with that part's number; late text is not."""
        sequencer = Sequencer()
        sequencer.feed([PartStarted(3, A), PartClosed(3), PartStarted(4, B)])
        proof = Signature("gemini", "x")
        self.assertEqual(
            sequencer.feed([PartSigned(3, proof), Delta(3, "late"), PartClosed(3)]), [PartSigned(0, proof)]
        )

    def test_a_number_given_twice_comes_to_an_end(self) -> None:
        """A part that opens under the open one's number ends with the answer, like any other."""
        sequencer = Sequencer()
        events = [PartStarted(0, A), PartStarted(0, B), Finished("stop"), Completed()]
        self.assertEqual(
            sequencer.feed(events),
            [
                PartStarted(0, A),
                PartClosed(0),
                PartStarted(1, B),
                PartClosed(1),
                Finished("stop"),
                Completed(),
            ],
        )

    def test_failure_passes_at_once(self) -> None:
        """An error is not held back behind an open part."""
        failed = Failed(WireError("internal", "x"))
        sequencer = Sequencer()
        sequencer.feed([PartStarted(0, A), PartStarted(1, B)])
        self.assertEqual(sequencer.feed([failed]), [failed])

    @given(strategies.interleaved_streams(), st.integers(1, 5))
    def test_nothing_overlaps_and_nothing_is_lost(self, events: list[Event], step: int) -> None:
        """However parts interleave and the events are cut, the answer is the same and in sequence."""
        sequencer = Sequencer()
        out = [one for at in range(0, len(events), step) for one in sequencer.feed(events[at : at + step])]
        self.assertFalse(overlaps(out))
        self.assertEqual(fold(out), fold(events))
