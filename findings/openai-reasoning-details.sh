#!/bin/sh
# OpenAI's SDKs put OpenRouter's reasoning together wrongly, that for Python and that for Node each in its own way.
#
# OpenRouter streams a model's thinking as reasoning_details, a member that it has added to the chunks of Chat
# Completions. Each piece has the index of its block, some more text or the signature, and the block's format. With
# tools, the blocks must go back as they were (https://openrouter.ai/docs/guides/best-practices/reasoning-tokens).
#
# Wrong guess: that the SDKs' stream helpers either leave out members that they do not know, or join lists by index as
# they do with tool_calls. Python's joins them, and adds up every text but "type", so that the format is repeated for
# each piece; Node's keeps the last piece, so that there is a signature without the text it signs.
#
# Output seen (Python 3.11, openai 2.54.0; Node 20, openai 6.49.0):
#     python: text 'Let me think', signature 'EqQB', format 'anthropic-claude-v1anthropic-claude-v1anthropic-claude-v1'
#     node: text undefined, signature 'EqQB', format 'anthropic-claude-v1'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check "openai==2.54.0"
npm install --silent --no-fund --no-audit openai@6.49.0
cat > ask.mjs <<'JS'
import OpenAI from "openai";

const client = new OpenAI({ apiKey: "k", baseURL: process.argv[2] });
const stream = client.chat.completions.stream({ model: "m", messages: [{ role: "user", content: "hello" }] });
const [block] = (await stream.finalChatCompletion()).choices[0].message.reasoning_details;
const shown = (value) => (value === undefined ? "undefined" : `'${value}'`);
console.log(`node: text ${shown(block.text)}, signature ${shown(block.signature)}, format ${shown(block.format)}`);
JS
cat > ask.py <<'PYTHON'
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI


def thinking(**members):
    return {"reasoning_details": [{"type": "reasoning.text", **members, "format": "anthropic-claude-v1", "index": 0}]}


DELTAS = [
    {"role": "assistant", "content": "", **thinking(text="Let me")},
    {"content": "", **thinking(text=" think")},
    {"content": "", **thinking(signature="EqQB")},
    {"content": "Hello"},
]


def events():
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    for number, delta in enumerate(DELTAS, 1):
        finish = "stop" if number == len(DELTAS) else None
        yield json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    yield "[DONE]"


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in events():
            self.wfile.write(f"data: {event}\n\n".encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
asked = [{"role": "user", "content": "hello"}]
with OpenAI(api_key="k", base_url=base).chat.completions.stream(model="m", messages=asked) as stream:
    (block,) = stream.get_final_completion().choices[0].message.reasoning_details
shown = ", ".join(f"{name} {block.get(name)!r}" for name in ("text", "signature", "format"))
print("python:", shown, flush=True)
subprocess.run(["node", "ask.mjs", base], check=True)
PYTHON
venv/bin/python ask.py | tee seen
three=anthropic-claude-v1anthropic-claude-v1anthropic-claude-v1
grep -qx "python: text 'Let me think', signature 'EqQB', format '$three'" seen
grep -qx "node: text undefined, signature 'EqQB', format 'anthropic-claude-v1'" seen
