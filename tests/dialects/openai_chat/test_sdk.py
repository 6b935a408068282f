"""What the vendor's own SDK makes of our answers."""

from __future__ import annotations

import json
import unittest

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ampproxy.dialects.openai_chat import DIALECT as CHAT_DIALECT
from ampproxy.dialects.openai_completions import DIALECT as COMPLETIONS_DIALECT
from ampproxy.model.base import CHAT
from ampproxy.model.events import Candidate, ChatResponse, Finished, TokenLogprob, Usage
from ampproxy.model.fold import unfold
from ampproxy.model.parts import Audio, Inline, Reasoning, Refusal, Signature, Text, ToolCall
from ampproxy.model.request import ChatRequest
from tests.dialects.laws import context_for

ANSWER = ChatResponse(
    id="resp_1",
    model="x",
    candidates=(
        Candidate(
            (
                Reasoning("hm", Signature("anthropic", "sig")),
                Text("Hello"),
                ToolCall("call_1", "Bash", '{"cmd":"ls"}'),
                ToolCall("call_2", "Read", "{}"),
            ),
            Finished("tool_calls"),
            (TokenLogprob("Hello", -0.5, (("Ho", -1.0),)),),
        ),
    ),
    usage=Usage(1, 2, 3, 4, 2),
)
REFUSED = ChatResponse(candidates=(Candidate((Refusal("No."),), Finished("refusal")),))
SPOKEN = ChatResponse(
    candidates=(Candidate((Audio(Inline("audio/wav", "aGk="), "Hi"),), Finished("stop")),), usage=Usage()
)


class Sdk(unittest.TestCase):
    """The types of the ``openai`` package, validated strictly."""

    def test_whole_answers(self) -> None:
        """A whole answer has every member that the SDK's types demand."""
        for answer in (ANSWER, REFUSED, SPOKEN):
            body = json.loads(CHAT_DIALECT.render_response(answer, context_for()))
            ChatCompletion.model_validate(body)
        whole = ChatCompletion.model_validate(json.loads(CHAT_DIALECT.render_response(ANSWER, context_for())))
        message = whole.choices[0].message
        self.assertEqual(message.content, "Hello")
        self.assertEqual([call.id for call in message.tool_calls or ()], ["call_1", "call_2"])
        assert whole.usage is not None
        self.assertEqual((whole.usage.prompt_tokens, whole.usage.total_tokens), (6, 10))

    def test_stream_gathered_by_the_sdk(self) -> None:
        """The SDK's own gathering of a stream gives the answer."""
        asked = ChatRequest(dialect=CHAT, model="m", turns=(), include_usage=True)
        data = CHAT_DIALECT.stream_renderer(context_for("m", asked)).feed(unfold(ANSWER))
        state = ChatCompletionStreamState()
        for block in data.split(b"\n\n"):
            if block.startswith(b"data: {"):
                state.handle_chunk(ChatCompletionChunk.model_validate_json(block[6:]))
        whole = state.get_final_completion()
        message = whole.choices[0].message
        self.assertEqual((message.content, whole.choices[0].finish_reason), ("Hello", "tool_calls"))
        self.assertEqual(
            [call.function.arguments for call in message.tool_calls or ()], ['{"cmd":"ls"}', "{}"]
        )
        assert whole.usage is not None
        self.assertEqual(whole.usage.completion_tokens, 4)

    def test_old_completions(self) -> None:
        """Completions have every member that the SDK's type demands, streamed or not."""
        dialect = COMPLETIONS_DIALECT
        Completion.model_validate(json.loads(dialect.render_response(ANSWER, context_for())))
        for block in dialect.stream_renderer(context_for()).feed(unfold(ANSWER)).split(b"\n\n"):
            if block.startswith(b"data: {"):
                chunk = json.loads(block[6:])
                if chunk["choices"][0]["finish_reason"] is None:
                    # The API itself says null in mid-stream, which the type does not foresee.
                    chunk["choices"][0]["finish_reason"] = "stop"
                Completion.model_validate(chunk)
