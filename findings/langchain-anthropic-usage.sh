#!/bin/sh
# LangChain's chat model for Claude counts no input tokens in a stream that tells them at its start.
#
# In a stream of the Messages API, message_start has the usage of the prompt, and message_delta tells, at the end,
# what has changed: the documented example has output_tokens there and nothing else
# (https://platform.claude.com/docs/en/build-with-claude/streaming). Members that are left out keep their values, and
# Anthropic's own SDK reads it so.
#
# Wrong guess: that an integration which is built on that SDK reports what the SDK does. It looks at message_delta
# alone, where Anthropic repeats the input tokens today: from a server that sends the documented form, prompt and
# cache are free for the tracers and budgets that add up usage_metadata. Whoever writes this format repeats all counts
# there.
#
# Output seen (Python 3.11, langchain-anthropic 1.7.10, anthropic 2.14.0):
#     anthropic: input 5, cache read 100, cache written 20, output 15
#     langchain: input 0, details {}, output 15
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    "langchain-anthropic==1.7.10" "langchain-core==1.8.3" "anthropic==2.14.0"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import json
import threading
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import add

from anthropic import Anthropic
from langchain_anthropic import ChatAnthropic

PROMPT = {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
END = {"stop_reason": "end_turn", "stop_sequence": None}
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "stop_sequence": None, "usage": PROMPT}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": END, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
]


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in EVENTS:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
where = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}"}
asked = [{"role": "user", "content": "hello"}]
with Anthropic(**where).messages.stream(model="m", max_tokens=99, messages=asked) as stream:
    usage = stream.get_final_message().usage
print(
    f"anthropic: input {usage.input_tokens}, cache read {usage.cache_read_input_tokens}, "
    f"cache written {usage.cache_creation_input_tokens}, output {usage.output_tokens}"
)
usage = reduce(add, ChatAnthropic(model="m", max_tokens=99, **where).stream("hello")).usage_metadata
details = usage["input_token_details"]
print(f"langchain: input {usage['input_tokens']}, details {details}, output {usage['output_tokens']}")
PYTHON
grep -qx "anthropic: input 5, cache read 100, cache written 20, output 15" "$folder/seen"
grep -qx "langchain: input 0, details {}, output 15" "$folder/seen"
