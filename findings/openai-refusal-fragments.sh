#!/bin/sh
# A refusal that is streamed is an empty answer to those who use LangChain, or LiteLLM's answers made of chunks.
#
# In Chat Completions a model that declines to answer in the form asked for does so in a member of its own:
# delta.refusal comes in fragments as delta.content does, and the end is finish_reason "stop".
#
# Wrong guess: that what joins the fragments of content joins those of a refusal. LangChain's ChatOpenAI, which has
# the refusal among additional_kwargs without streaming, drops it from a stream. So does LiteLLM's
# stream_chunk_builder, which makes the whole answer of a stream. Neither raises: an agent sees a model that ended its
# turn and said nothing.
#
# Output seen (Python 3.11; openai 2.54.0, langchain-openai 1.4.3, langchain-core 1.8.3, litellm 1.110.2):
#     openai: "I can't help with that."
#     langchain, whole: content '', refusal "I can't help with that."
#     langchain, streamed: content '', refusal None
#     litellm: content '', refusal None
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "openai==2.54.0" "litellm==1.110.2" \
    "langchain-openai==1.4.3" "langchain-core==1.8.3"
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from langchain_openai import ChatOpenAI
from openai import OpenAI

FRAGMENTS = ["I can", "'t help", " with that."]
HEAD = {"id": "c", "created": 1, "model": "m"}
WHOLE = {"role": "assistant", "content": None, "refusal": "".join(FRAGMENTS)}
DELTAS = [{"role": "assistant", "content": "", "refusal": None}, *({"refusal": fragment} for fragment in FRAGMENTS), {}]


def answer(kind, **members):
    return json.dumps({**HEAD, "object": kind, "choices": [{"index": 0, **members}]})


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream"):
            kind, chunk = "text/event-stream", "chat.completion.chunk"
            events = [answer(chunk, delta=delta, finish_reason=None if delta else "stop") for delta in DELTAS]
            body = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])
        else:
            kind, body = "application/json", answer("chat.completion", message=WHOLE, finish_reason="stop")
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
asked = [{"role": "user", "content": "hello"}]
litellm.suppress_debug_info = True

with OpenAI(api_key="k", base_url=base).chat.completions.stream(model="m", messages=asked) as stream:
    print(f"openai: {json.dumps(stream.get_final_completion().choices[0].message.refusal)}")
for name, streaming in {"whole": False, "streamed": True}.items():
    message = ChatOpenAI(model="m", api_key="k", base_url=base, streaming=streaming).invoke("hello")
    print(f"langchain, {name}: content {message.content!r}, refusal {message.additional_kwargs.get('refusal')!r}")
where = {"api_key": "k", "api_base": base}
chunks = list(litellm.completion(model="openai/m", messages=asked, stream=True, **where))
message = litellm.stream_chunk_builder(chunks).choices[0].message
print(f"litellm: content {message.content!r}, refusal {getattr(message, 'refusal', None)!r}")
PYTHON
grep -qx "openai: \"I can't help with that.\"" "$folder/seen"
grep -qx "langchain, whole: content '', refusal \"I can't help with that.\"" "$folder/seen"
grep -qx "langchain, streamed: content '', refusal None" "$folder/seen"
grep -qx "litellm: content '', refusal None" "$folder/seen"
