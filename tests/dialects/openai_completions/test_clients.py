"""What a client of the old completions is given, and what it is refused."""

from __future__ import annotations

import json
import unittest
from typing import Any

from msgspec.structs import replace

from ampproxy.dialects.base import Target
from ampproxy.dialects.openai_completions import DIALECT
from ampproxy.errors import ClientFault
from ampproxy.model.events import Candidate, ChatResponse, Finished, TokenLogprob, Usage
from ampproxy.model.fold import unfold
from ampproxy.model.parts import Reasoning, Text, ToolCall
from ampproxy.model.request import ChatRequest
from tests.dialects.laws import context_for


def parse(**members: Any) -> ChatRequest:
    return DIALECT.parse_request(json.dumps({"model": "m", "prompt": "Say hi", **members}).encode())


def chunks(stream: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]


class Requests(unittest.TestCase):
    """What is asked."""

    def test_refusals_name_the_member(self) -> None:
        """What a chat model cannot do is refused, and the error names what to leave out."""
        cases: list[tuple[str, dict[str, Any]]] = [
            ("prompt", {"prompt": ["a", "b"]}),
            ("prompt", {"prompt": [1, 2, 3]}),
            ("prompt", {"prompt": [[1, 2]]}),
            ("prompt", {"prompt": []}),
            ("prompt", {"prompt": None}),
            ("suffix", {"suffix": "end"}),
            ("best_of", {"best_of": 3}),
            ("logprobs", {"logprobs": 9}),
            ("model", {"model": None}),
        ]
        for param, members in cases:
            with self.subTest(members=members), self.assertRaises(ClientFault) as caught:
                parse(**members)
            self.assertEqual(caught.exception.error.param, param)
            self.assertEqual(caught.exception.error.status, 400)

    def test_prompt_becomes_the_users_turn(self) -> None:
        """The prompt reaches a chat model word for word."""
        request = parse(prompt=["Say hi"], logprobs=0, stop="\n", max_tokens=5)
        self.assertEqual([part for turn in request.turns for part in turn.parts], [Text("Say hi")])
        self.assertEqual((request.sampling.logprobs, request.sampling.top_logprobs), (True, 0))
        self.assertEqual((request.sampling.stop, request.sampling.max_tokens), (("\n",), 5))

    def test_no_more_is_listed_than_can_be(self) -> None:
        """Whatever a client of another dialect asked for, an account of this one accepts what it gets."""
        for asked, sent in ((-1, 0), (0, 0), (5, 5), (20, 5)):
            with self.subTest(asked=asked):
                request = parse(logprobs=0)
                sampling = replace(request.sampling, top_logprobs=asked)
                rendered = DIALECT.render_request(replace(request, sampling=sampling), Target("m"))
                self.assertEqual(DIALECT.parse_request(rendered.body).sampling.top_logprobs, sent)
                self.assertEqual([loss.kind for loss in rendered.losses], ["logprobs"] * (asked != sent))


class Answers(unittest.TestCase):
    """What is answered."""

    response = ChatResponse(
        id="msg_1",
        model="claude",
        candidates=(
            Candidate(
                (Reasoning("Hm"), Text("Hi"), ToolCall("c", "Bash", "{}"), Text(" you")),
                Finished("tool_calls"),
                (TokenLogprob("Hi", -0.5, (("Ho", -1.5),)),),
            ),
        ),
        usage=Usage(3, 2, 0, 4, 1),
    )

    def test_whole_answer(self) -> None:
        """Only the words of the answer are in its text, and its end is one that completions know."""
        body = json.loads(DIALECT.render_response(self.response, context_for("asked")))
        choice = body["choices"][0]
        self.assertEqual((body["object"], body["model"]), ("text_completion", "asked"))
        self.assertTrue(body["id"].startswith("cmpl-"))
        self.assertEqual((choice["text"], choice["finish_reason"]), ("Hi you", "stop"))
        self.assertEqual(choice["logprobs"]["top_logprobs"], [{"Ho": -1.5}])
        self.assertEqual(body["usage"]["prompt_tokens"], 5)

    def test_stream(self) -> None:
        """Chunks hold words, then the end, then usage; what cannot be told is a declared loss."""
        request = parse(stream=True, stream_options={"include_usage": True})
        renderer = DIALECT.stream_renderer(context_for("asked", request))
        stream = renderer.feed(unfold(self.response))
        self.assertTrue(stream.endswith(b"data: [DONE]\n\n"))
        found = chunks(stream)
        texts = [c["choices"][0]["text"] for c in found if c["choices"]]
        self.assertEqual(texts, ["Hi", " you", ""])
        self.assertEqual(found[-2]["choices"][0]["finish_reason"], "stop")
        self.assertEqual((found[-1]["choices"], found[-1]["usage"]["completion_tokens"]), ([], 4))
        self.assertEqual([loss.kind for loss in renderer.losses], ["reasoning", "tool_call"])

    def test_no_usage_unless_asked(self) -> None:
        """A client that did not ask for usage gets no chunk without choices."""
        stream = DIALECT.stream_renderer(context_for("m", parse(stream=True))).feed(unfold(self.response))
        self.assertTrue(all(chunk["choices"] for chunk in chunks(stream)))

    def test_echo(self) -> None:
        """With ``echo`` the prompt stands before the answer, streamed or not."""
        context = context_for("m", parse(echo=True))
        body = json.loads(DIALECT.render_response(self.response, context))
        self.assertEqual(body["choices"][0]["text"], "Say hiHi you")
        self.assertEqual(body["choices"][0]["logprobs"]["text_offset"], [6])
        streamed = chunks(DIALECT.stream_renderer(context).feed(unfold(self.response)))
        self.assertEqual("".join(c["choices"][0]["text"] for c in streamed), "Say hiHi you")
