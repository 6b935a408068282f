"""What is read from streams, also of servers that bend the format."""

from __future__ import annotations

import json
import unittest
from typing import Any

from ampproxy.dialects.openai_chat import DIALECT
from ampproxy.errors import TruncatedStream
from ampproxy.model.events import Completed, Delta, Event, Failed, Finished, PartStarted, UsageReport
from ampproxy.model.fold import fold
from ampproxy.model.parts import Reasoning, Text, ToolCall
from tests.dialects.laws import VECTORS

VECTORS = VECTORS / "openai-chat"


def chunk(delta: dict[str, Any], end: str | None = None, index: int = 0, **members: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": end}
    body = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps({**body, **members}).encode() + b"\n\n"


def calls(*pieces: dict[str, Any]) -> bytes:
    return b"".join(chunk({"tool_calls": [piece]}) for piece in pieces)


def read(*data: bytes) -> list[Event]:
    parser = DIALECT.stream_parser()
    events = [event for piece in data for event in parser.feed(piece)]
    return events + parser.end()


def parts(*data: bytes) -> list[Any]:
    return list(fold(read(*data)).candidates[0].parts)


def told_calls(*data: bytes) -> list[tuple[str, str]]:
    return [(part.name, part.arguments) for part in parts(*data) if isinstance(part, ToolCall)]


END = chunk({}, "tool_calls")
DONE = b"data: [DONE]\n\n"


class Calls(unittest.TestCase):
    """Tool calls in all their forms."""

    def test_several_calls_under_one_index(self) -> None:
        """Servers that leave the index at 0 do not have their calls glued together."""
        found = told_calls(
            calls(
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"index": 0, "id": "b", "function": {"name": "f", "arguments": '{"x":2}'}},
                {"index": 0, "function": {"name": "g", "arguments": "{}"}},
            ),
            END,
        )
        self.assertEqual(found, [("f", '{"x":1}'), ("f", '{"x":2}'), ("g", "{}")])

    def test_name_and_id_repeated_in_every_piece(self) -> None:
        """Servers that repeat the head of a call with each fragment tell one call."""
        piece = {"index": 0, "id": "a", "type": "function"}
        found = told_calls(
            calls(
                {**piece, "function": {"name": "f", "arguments": '{"x"'}},
                {**piece, "function": {"name": "f", "arguments": ":1}"}},
            ),
            END,
        )
        self.assertEqual(found, [("f", '{"x":1}')])

    def test_no_index(self) -> None:
        """Fragments without an index go to the call of their id, or to the last one."""
        found = told_calls(
            calls(
                {"id": "a", "function": {"name": "f", "arguments": '{"x"'}},
                {"function": {"arguments": ":1"}},
                {"id": "a", "function": {"arguments": "}"}},
                {"id": "b", "function": {"name": "g"}},
            ),
            END,
        )
        self.assertEqual(found, [("f", '{"x":1}'), ("g", "{}")])

    def test_ids_are_made_where_missing_or_repeated(self) -> None:
        """Every call has an id of its own, the same at any split, another in the next answer."""
        pieces = [
            {"index": 0, "function": {"name": "f"}},
            {"index": 1, "id": "same", "function": {"name": "f"}},
            {"index": 2, "id": "same", "function": {"name": "f"}},
            {"index": 3, "id": "", "function": {"name": "f"}},
        ]
        data = calls(*pieces) + END
        ids = [part.id for part in parts(data)]
        self.assertEqual(len(set(ids)), 4)
        self.assertIn("same", ids)
        self.assertEqual(ids, [part.id for part in parts(*(data[at : at + 1] for at in range(len(data))))])
        other = data.replace(b'"c-1"', b'"c-2"')
        self.assertFalse({*ids} - {"same"} & {part.id for part in parts(other)} - {"same"})
        for id_ in ids:
            self.assertLessEqual(len(id_), 40)

    def test_arguments_before_the_name_and_as_an_object(self) -> None:
        """Nothing of the arguments is lost in whatever form they come."""
        found = told_calls(
            calls(
                {"index": 0, "function": {"arguments": '{"x":'}},
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "1}"}},
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": {"n": 12345678901234567890}}},
                {"index": 2, "id": "c", "function": {"name": "h", "arguments": None}},
            ),
            END,
        )
        self.assertEqual(found, [("f", '{"x":1}'), ("g", '{"n": 12345678901234567890}'), ("h", "{}")])

    def test_stop_with_a_call_means_the_call(self) -> None:
        """A client runs the tool though the server said ``stop``."""
        events = read(calls({"index": 0, "id": "a", "function": {"name": "f"}}), chunk({}, "stop"), DONE)
        self.assertIn(Finished("tool_calls", detail="stop"), events)

    def test_old_function_call(self) -> None:
        """``function_call`` is a call like any."""
        data = chunk({"function_call": {"name": "f", "arguments": ""}})
        data += chunk({"function_call": {"arguments": "{}"}}) + chunk({}, "function_call")
        self.assertEqual(told_calls(data), [("f", "{}")])


class Words(unittest.TestCase):
    """Text and reasoning."""

    def test_words_survive_the_short_way(self) -> None:
        """Repeated chunks are read by their frame; quotes, escapes and odd characters come out right."""
        said = ["a", "b", 'q"uo\\te', "\u2028", "ü", "😀", "", "\\", '"', "}", '"content":"x"', "\n\n", "z"]
        for ascii_only in (True, False):
            body = b"".join(
                b"data: "
                + json.dumps(
                    {"id": "1", "choices": [{"index": 0, "delta": {"content": w}, "finish_reason": None}]},
                    ensure_ascii=ascii_only,
                ).encode()
                + b"\n\n"
                for w in said
            )
            self.assertEqual(parts(body, chunk({}, "stop")), [Text("".join(said))])

    def test_the_short_way_minds_other_members(self) -> None:
        """A chunk that has the same words in another place is not taken for a repetition."""
        data = (
            chunk({"content": "a"})
            + chunk({"content": "b"})
            + chunk({"reasoning_content": "c"})
            + chunk({"reasoning_content": "d"})
            + chunk({"content": "e"})
            + chunk({"content": "f"}, index=1)
            + chunk({"content": "g"})
            + chunk({"content": "h"}, "length")
            + chunk({}, "stop", index=1)
        )
        answer = fold(read(data))
        self.assertEqual(answer.candidates[0].parts, (Text("ab"), Reasoning("cd"), Text("egh")))
        self.assertEqual(answer.candidates[1].parts, (Text("f"),))
        self.assertEqual([c.finish.reason for c in answer.candidates if c.finish], ["length", "stop"])

    def test_padded_chunks(self) -> None:
        """OpenAI pads its chunks to one length; the words come out right, and so does a late error."""
        chunks = [
            b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}],"obfuscation":"%b"}\n\n' % (word, pad)
            for word, pad in [
                (b"a", b"xyz"),
                (b"b", b"x"),
                (b'\\",\\"obfuscation\\":\\"', b""),
                (b"c", b"xyzw"),
            ]
        ]
        self.assertEqual(parts(*chunks, chunk({}, "stop")), [Text('ab","obfuscation":"c')])
        late = chunks[0].replace(b'"xyz"', b'"xyz","error":{"message":"m"}')
        self.assertIsInstance(read(*chunks, late)[-1], Failed)

    def test_half_a_surrogate_pair(self) -> None:
        """Half an emoji, as some servers send it, does not end the answer."""
        data = b'data: {"choices":[{"index":0,"delta":{"content":"x\\ud83d"}}]}\n\n' + chunk({}, "stop")
        self.assertEqual(parts(data), [Text("x\ufffd")])

    def test_two_choices(self) -> None:
        """Candidates that come interleaved are kept apart, as in the whole answer."""
        dialect = DIALECT
        streamed = fold(read((VECTORS / "choices/two.sse").read_bytes()))
        whole = dialect.parse_response((VECTORS / "choices/two.json").read_bytes())
        self.assertEqual(streamed, whole)
        self.assertEqual([c.parts for c in whole.candidates], [(Text("Aa"),), (Text("Bb"),)])

    def test_xai_counts_reasoning_apart(self) -> None:
        """Output includes reasoning whichever way the server counts."""
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 45,
            "completion_tokens_details": {"reasoning_tokens": 30},
        }
        events = read(chunk({"content": "x"}), chunk({}, "stop"), chunk({}, usage=usage, choices=[]), DONE)
        (report,) = (event for event in events if isinstance(event, UsageReport))
        self.assertEqual((report.usage.output, report.usage.reasoning), (35, 30))


class Ends(unittest.TestCase):
    """How streams end."""

    def test_truncated(self) -> None:
        """Half an answer is never a whole one, however tidily it stops."""
        for data in (b"", chunk({"content": "x"}), chunk({"content": "x"})[:-9], b": ping\n\n"):
            with self.subTest(data=data), self.assertRaises(TruncatedStream):
                read(data)

    def test_one_of_two_choices_unfinished(self) -> None:
        """Without ``[DONE]`` every choice must have ended."""
        with self.assertRaises(TruncatedStream):
            read(chunk({"content": "x"}), chunk({"content": "y"}, index=1), chunk({}, "stop"))

    def test_finish_without_done(self) -> None:
        """``finish_reason`` and a closed connection are a whole answer; nothing after ``[DONE]`` counts."""
        self.assertIsInstance(read(chunk({"content": "x"}, "stop"))[-1], Completed)
        self.assertIsInstance(read(chunk({"content": "x"}, "stop").strip())[-1], Completed)
        events = read(chunk({"content": "x"}, "stop"), DONE + chunk({"content": "x"}))
        self.assertEqual(sum(isinstance(event, Delta) for event in events), 1)

    def test_failures(self) -> None:
        """An error in whatever form is a failure with its own words and kind."""
        cases = {
            "error_stream": ("internal", "The server had an error"),
            "error_event_named": ("rate_limit", "Rate limit reached"),
            "error_bare_json": ("overloaded", "model is overloaded"),
            "error_finish_reason": ("overloaded", "insufficient_system_resource"),
        }
        for name, (kind, words) in cases.items():
            with self.subTest(name=name):
                failed = read((VECTORS / f"{name}.sse").read_bytes())[-1]
                assert isinstance(failed, Failed)
                self.assertEqual(failed.error.kind, kind)
                self.assertIn(words, failed.error.message)

    def test_odd_errors(self) -> None:
        """vLLM's and FastAPI's shapes, broken JSON and a stream without an answer fail honestly."""
        for data in (
            b'data: {"object":"error","message":"no","code":400}\n\n',
            b'data: {"detail":"Not found"}\n\n',
            b"data: {broken\n\n",
            b'data: {"choices":7}\n\n',
            DONE,
        ):
            with self.subTest(data=data):
                self.assertIsInstance(read(data)[-1], Failed)

    def test_error_member_that_is_null(self) -> None:
        """Servers that write ``"error": null`` into every chunk tell of no error."""
        self.assertEqual(parts(chunk({"content": "x"}, "stop", error=None)), [Text("x")])

    def test_parts_open_once(self) -> None:
        """Chunks that repeat the role and empty words open nothing."""
        events = read(*[chunk({"role": "assistant", "content": w}) for w in ("", "a", "", "b")], END)
        self.assertEqual(sum(isinstance(event, PartStarted) for event in events), 1)
