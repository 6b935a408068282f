#!/bin/sh
# LangChain and Pydantic AI add up a count of tokens that is a total already, where each chunk of a stream has one.
#
# With the stream option continuous_usage_stats, vLLM and SGLang put into each chunk the usage of the answer so far,
# so that a client which leaves early knows what it has used. The last one is the answer's.
#
# Wrong guess: that clients keep the last usage that they are given, as OpenAI's SDK does. These two count the prompt
# once per chunk, so that a long answer to a long prompt seems to cost hundreds of times what it does.
#
# Output seen (Python 3.11; openai 2.54.0, langchain-openai 1.4.3, pydantic-ai-slim 2.31.1):
#     openai: input 1000, output 3
#     langchain: input 4000, output 9
#     pydantic-ai: input 4000, output 9
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "openai==2.54.0" \
    "langchain-openai==1.4.3" "langchain-core==1.8.3" "pydantic-ai-slim[openai]==2.31.1"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import asyncio
import json
import threading
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import add

from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def chunk(so_far, *choices):
    usage = {"prompt_tokens": 1000, "completion_tokens": so_far, "total_tokens": 1000 + so_far}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": list(choices), "usage": usage}


CHUNKS = [
    chunk(1, {"index": 0, "delta": {"role": "assistant", "content": "Good"}, "finish_reason": None}),
    chunk(2, {"index": 0, "delta": {"content": " day"}, "finish_reason": None}),
    chunk(3, {"index": 0, "delta": {}, "finish_reason": "stop"}),
    chunk(3),
]


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for data in [*map(json.dumps, CHUNKS), "[DONE]"]:
            self.wfile.write(f"data: {data}\n\n".encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
BASE = f"http://127.0.0.1:{server.server_port}/v1"
ASKED = [{"role": "user", "content": "hello"}]


def show(name, given, taken):
    print(f"{name}: input {given}, output {taken}")


def with_openai():
    options = {"include_usage": True}
    client = OpenAI(api_key="k", base_url=BASE)
    with client.chat.completions.stream(model="m", messages=ASKED, stream_options=options) as stream:
        usage = stream.get_final_completion().usage
    show("openai", usage.prompt_tokens, usage.completion_tokens)


def with_langchain():
    model = ChatOpenAI(model="m", api_key="k", base_url=BASE, stream_usage=True)
    usage = reduce(add, model.stream("hello")).usage_metadata
    show("langchain", usage["input_tokens"], usage["output_tokens"])


async def with_pydantic_ai():
    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=BASE, api_key="k"))
    async with model_request_stream(model, [ModelRequest.user_text_prompt("hello")]) as stream:
        async for _ in stream:
            pass
        usage = stream.get().usage
    show("pydantic-ai", usage.input_tokens, usage.output_tokens)


with_openai()
with_langchain()
asyncio.run(with_pydantic_ai())
PYTHON
grep -qx "openai: input 1000, output 3" "$folder/seen"
grep -qx "langchain: input 4000, output 9" "$folder/seen"
grep -qx "pydantic-ai: input 4000, output 9" "$folder/seen"
