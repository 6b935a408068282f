"""What all dialects share."""

from __future__ import annotations

import unittest

import msgspec

from ampproxy.adapt import names as naming
from ampproxy.adapt.freeform import FreeformCalls, unwrap, wrap
from ampproxy.dialects import errors
from ampproxy.dialects import json as reading
from ampproxy.errors import ClientFault, UpstreamFault
from ampproxy.model.events import Delta, Event, PartClosed, PartStarted
from ampproxy.model.parts import Text, ToolCall


class _Inner(msgspec.Struct):
    role: str


class _Body(msgspec.Struct):
    messages: list[_Inner] = []


BODY = msgspec.json.Decoder(_Body)


class ReadingTests(unittest.TestCase):
    def test_complaint_names_the_member(self) -> None:
        """A client with a wrong body is told which member to mend."""
        with self.assertRaises(ClientFault) as caught:
            reading.read_request(BODY, b'{"messages": [{"role": 1}]}')
        error = caught.exception.error
        self.assertEqual(error.param, "messages[0].role")
        self.assertIn("messages[0].role", error.message)
        self.assertEqual((error.status, error.kind), (400, "invalid_request"))
        with self.assertRaises(ClientFault) as caught:
            reading.read_request(BODY, b'{"messages": 1}', "tools[2]")
        self.assertEqual(caught.exception.error.param, "tools[2].messages")

    def test_bad_bodies_never_raise_anything_else(self) -> None:
        """Broken JSON, bad UTF-8 and endless nesting are ordinary faults."""
        for body in [
            b"",
            b"{",
            b"\xff",
            b'"\xff"',
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"1e999",
            b'{"messages":["\xff"]}',
        ]:
            with self.subTest(body[:9]), self.assertRaises(ClientFault):
                reading.read_request(BODY, body)
            with self.subTest(body[:9]), self.assertRaises(UpstreamFault):
                reading.read_answer(BODY, body)
            self.assertIsNone(reading.loads(body))

    def test_half_an_emoji_does_not_break_a_thread(self) -> None:
        """A string that JavaScript cut in a surrogate pair is read with a replacement character."""
        found = reading.read_request(BODY, b'{"messages": [{"role": "a\\ud83d \\ud83d\\ude00 \\\\ud800"}]}')
        self.assertEqual(found.messages[0].role, "a\ufffd \U0001f600 \\ud800")

    def test_arguments_are_always_an_object(self) -> None:
        """A vendor that wants an object gets one, with the exact text of a good one."""
        for text, told in [
            ('{"n": 12345678901234567890123, "f": 1.50}', b'{"n": 12345678901234567890123, "f": 1.50}'),
            ("", b"{}"),
            ("  ", b"{}"),
            ("[1]", b'{"_raw":"[1]"}'),
            ('{"cut', b'{"_raw":"{\\"cut"}'),
        ]:
            self.assertEqual(bytes(reading.object_or_empty(text)), told)


class HintTests(unittest.TestCase):
    def test_retry_hints(self) -> None:
        """A client waits as long as the vendor says, in whatever form it says so."""
        date, later = "Sun, 22 Nov 2026 16:00:00 GMT", "Sun, 22 Nov 2026 16:00:30 GMT"
        for headers, now, seconds in [
            ({"retry-after": "7"}, None, 7.0),
            ({"retry-after": "0.5"}, None, 0.5),
            ({"retry-after-ms": "1500", "retry-after": "9"}, None, 1.5),
            ({"retry-after": later, "date": date}, None, 30.0),
            ({"retry-after": later}, 1795363200.0, 30.0),
            ({"retry-after": date}, 1795363230.0, 0.0),
            ({"retry-after": later}, None, None),
            ({"retry-after": "soon"}, 0.0, None),
            ({"retry-after": "nan"}, 0.0, None),
            ({"retry-after": "inf"}, 0.0, None),
            ({"retry-after": "-3"}, None, 0.0),
            ({}, 0.0, None),
        ]:
            with self.subTest(headers):
                self.assertEqual(errors.retry_after(headers, now), seconds)

    def test_status_says_the_kind(self) -> None:
        """Statuses that nobody listed still say whose fault it is."""
        self.assertEqual(errors.kind_of_status(529), "overloaded")
        self.assertEqual(errors.kind_of_status(418), "invalid_request")
        self.assertEqual(errors.kind_of_status(599), "internal")

    def test_words_for_a_full_context(self) -> None:
        """A prompt that is too long is told apart from other refusals."""
        for words in [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "This model's maximum context length is 8192",
        ]:
            self.assertTrue(errors.is_context_length(words))
        self.assertFalse(errors.is_context_length("temperature is too high"))

    def test_page_instead_of_an_error(self) -> None:
        """A gateway's HTML page becomes a sentence without markup."""
        page = b"<html><head><title>502 Bad\n Gateway</title></head><body>x</body></html>"
        self.assertEqual(errors.plain_message(502, page), "HTTP 502: 502 Bad Gateway")
        self.assertIn("503", errors.plain_message(503, b""))


class NameTests(unittest.TestCase):
    def test_names_become_legal_and_stay_apart(self) -> None:
        """Tools whose names a vendor refuses are still told apart, and a good name is never changed."""
        names = naming.ToolNameMap(r"[^a-z_]", 14, ["a.b", "a_b", "longer_than_that", "longer_than_this"])
        sent = [names(name) for name in ("a_b", "a.b", "longer_than_that", "longer_than_this", "", "a.b")]
        self.assertEqual(sent[0], "a_b")
        self.assertEqual(sent[1], sent[5])
        self.assertEqual(len(set(sent)), 5)
        self.assertTrue(all(0 < len(name) <= 14 for name in sent), sent)
        self.assertEqual(names.changed[sent[1]], "a.b")
        self.assertNotIn("a_b", names.changed)

    def test_long_ids_are_cut_the_same_way_every_time(self) -> None:
        """A call is found again in the next request."""
        self.assertEqual(naming.shorten("x" * 90, 40), naming.shorten("x" * 90, 40))
        self.assertNotEqual(naming.shorten("x" * 90, 40), naming.shorten("x" * 91, 40))
        self.assertEqual(len(naming.shorten("x" * 90, 40)), 40)


class FreeformTests(unittest.TestCase):
    def test_freeform_call_is_unwrapped_in_a_stream(self) -> None:
        """A client of a freeform tool gets its text, not the JSON that stood for it."""
        text = 'line "1"\n*** End Patch'
        wrapped = wrap(text)
        events: list[Event] = [
            PartStarted(0, ToolCall("a", "apply_patch", "")),
            Delta(0, wrapped[:9]),
            Delta(0, wrapped[9:]),
            PartClosed(0),
            PartStarted(1, Text("")),
            Delta(1, "x"),
        ]
        self.assertEqual(
            FreeformCalls(frozenset({"apply_patch"})).feed(events),
            [
                PartStarted(0, ToolCall("a", "apply_patch", "", freeform=True)),
                Delta(0, text),
                PartClosed(0),
                *events[4:],
            ],
        )
        self.assertIs(FreeformCalls(frozenset()).feed(events), events)

    def test_model_that_does_not_wrap(self) -> None:
        """What the model wrote is never lost."""
        self.assertEqual(unwrap("plain"), "plain")
        self.assertEqual(unwrap('{"input": 3}'), '{"input": 3}')
