#!/bin/sh
# LangChain takes a tool call that was cut off for a whole one, if the answer is streamed.
#
# An answer that reaches its limit of tokens ends with finish_reason "length", and the arguments of its last tool call
# may end in the middle of a string.
#
# Wrong guess: that ChatOpenAI(streaming=True).invoke() returns the message that invoke() does without streaming. That
# puts the call among the message's invalid_tool_calls, with the reason. Streamed, the JSON is completed as if more
# were to come, and nobody looks again when nothing does: the call stands in tool_calls, which is what agents run.
# They write half a file.
#
# Output seen (Python 3.11, langchain-openai 1.4.3, langchain-core 1.8.3):
#     whole: length, calls [], invalid ['{"path": "notes.txt", "text": "The first line']
#     streamed: length, calls [{'path': 'notes.txt', 'text': 'The first line'}], invalid []
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "langchain-openai==1.4.3" "langchain-core==1.8.3" "openai==2.54.0"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from langchain_openai import ChatOpenAI

CUT_OFF = '{"path": "notes.txt", "text": "The first line'
CALL = {"id": "call_1", "type": "function", "function": {"name": "write_file", "arguments": CUT_OFF}}
MESSAGE = {"role": "assistant", "content": None}
HEAD = {"id": "c", "created": 1, "model": "m"}


def choices(**members):
    return {**HEAD, "choices": [{"index": 0, **members}]}


WHOLE = choices(message={**MESSAGE, "tool_calls": [CALL]}, finish_reason="length") | {"object": "chat.completion"}
CHUNKS = [
    choices(delta={**MESSAGE, "tool_calls": [{"index": 0, **CALL}]}, finish_reason=None),
    choices(delta={}, finish_reason="length"),
]


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream"):
            kind = "text/event-stream"
            events = [json.dumps({**chunk, "object": "chat.completion.chunk"}) for chunk in CHUNKS]
            body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        else:
            kind, body = "application/json", json.dumps(WHOLE)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
for name, streaming in {"whole": False, "streamed": True}.items():
    base = f"http://127.0.0.1:{server.server_port}/v1"
    answer = ChatOpenAI(model="m", api_key="k", base_url=base, streaming=streaming).invoke("Write the file.")
    calls = [call["args"] for call in answer.tool_calls]
    invalid = [call["args"] for call in answer.invalid_tool_calls]
    print(f"{name}: {answer.response_metadata['finish_reason']}, calls {calls}, invalid {invalid}")
PYTHON
grep -q "^whole: length, calls \[\], invalid \['{" "$folder/seen"
grep -qx "streamed: length, calls \[{'path': 'notes.txt', 'text': 'The first line'}\], invalid \[\]" "$folder/seen"
