#!/bin/sh
# OpenAI's stream helper for Python says of an answer that reached its limit that it never ended; that for Node
# returns it.
#
# A stream of the Responses API ends with response.completed, response.failed or response.incomplete. The last one
# holds the whole answer up to max_output_tokens, with its usage and the reason.
#
# Wrong guess: that get_final_response() returns the answer of each of these ends, as finalResponse() does in the same
# vendor's SDK for Node. It knows the first alone, and raises RuntimeError after all words have been handed on, so
# that usage and reason are lost to its caller; one that tries again pays twice and gets the same.
#
# Output seen (Python 3.11, openai 2.54.0; Node 20, openai 6.49.0):
#     python: RuntimeError: Didn't receive a `response.completed` event.
#     node: incomplete, max_output_tokens, 'Half an ans', 3 tokens
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
const answer = await client.responses.stream({ model: "m", input: "hello" }).finalResponse();
const [reason, tokens] = [answer.incomplete_details.reason, answer.usage.output_tokens];
console.log(`node: ${answer.status}, ${reason}, '${answer.output[0].content[0].text}', ${tokens} tokens`);
JS
cat > ask.py <<'PYTHON'
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI

WORDS = "Half an ans"
USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 8,
}
FIXED = {"id": "r", "object": "response", "created_at": 1, "model": "m", "tools": [], "tool_choice": "auto"}


def response(status, *output, **members):
    return {**FIXED, "parallel_tool_calls": True, "status": status, "output": list(output), **members}


def text(words):
    return {"type": "output_text", "text": words, "annotations": []}


def message(status, *content):
    return {"id": "i", "type": "message", "role": "assistant", "status": status, "content": list(content)}


PLACE = {"item_id": "i", "output_index": 0, "content_index": 0}
DONE = message("incomplete", text(WORDS))
CUT = {"incomplete_details": {"reason": "max_output_tokens"}, "usage": USAGE}
EVENTS = [
    ("response.created", {"response": response("in_progress")}),
    ("response.output_item.added", {"output_index": 0, "item": message("in_progress")}),
    ("response.content_part.added", {**PLACE, "part": text("")}),
    ("response.output_text.delta", {**PLACE, "delta": WORDS, "logprobs": []}),
    ("response.output_text.done", {**PLACE, "text": WORDS, "logprobs": []}),
    ("response.content_part.done", {**PLACE, "part": text(WORDS)}),
    ("response.output_item.done", {"output_index": 0, "item": DONE}),
    ("response.incomplete", {"response": response("incomplete", DONE, **CUT)}),
]


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number, (name, members) in enumerate(EVENTS):
            data = json.dumps({"type": name, "sequence_number": number, **members})
            self.wfile.write(f"event: {name}\ndata: {data}\n\n".encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
with OpenAI(api_key="k", base_url=base).responses.stream(model="m", input="hello") as stream:
    try:
        print("python:", stream.get_final_response().status)
    except RuntimeError as error:
        print(f"python: RuntimeError: {error}", flush=True)
subprocess.run(["node", "ask.mjs", base], check=True)
PYTHON
venv/bin/python ask.py | tee seen
grep -q "^python: RuntimeError: Didn't receive a .response.completed. event" seen
grep -qx "node: incomplete, max_output_tokens, 'Half an ans', 3 tokens" seen
