#!/bin/sh
# Four clients of Gemini's streams read server-sent events that have more than data in four ways, and two lose words
# without a word.
#
# A server-sent event may have an id, and comments may stand anywhere: a reader skips what it does not know
# (https://html.spec.whatwg.org/multipage/server-sent-events.html, "Interpreting an event stream"). Proxies and
# gateways send comments to keep a connection open, and ids to resume a stream.
#
# Wrong guess: that what reads Gemini's answers, which are server-sent events, reads server-sent events. Google's SDK
# for Python takes every other line for a piece of an error's JSON. That for JavaScript wants an event to begin with
# "data:" and skips it if not. LiteLLM ends the answer at the first other line, and says that the model stopped there
# by itself. Vercel's AI SDK reads them all.
#
# Output seen (Python 3.11, google-genai 3.6.1, litellm 1.110.2; Node 20, @google/genai 2.32.0, ai 6.0.326,
# @ai-sdk/google 3.0.141):
#     google-genai (python): plain 'Good day' STOP; comment UnknownApiResponseError; id UnknownApiResponseError
#     litellm: plain 'Good day' stop; comment 'Good' stop; id '' stop
#     google-genai (node): plain 'Good day' STOP; comment 'Good day' STOP; id '' undefined
#     ai-sdk: plain 'Good day' stop; comment 'Good day' stop; id 'Good day' stop
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check "google-genai==3.6.1" "litellm==1.110.2"
npm install --silent --no-fund --no-audit @google/genai@2.32.0 ai@6.0.326 @ai-sdk/google@3.0.141
cat > ask.mjs <<'JS'
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { GoogleGenAI } from "@google/genai";
import { streamText } from "ai";

const base = process.argv[2];
const google = async (kind) => {
  const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: `${base}/${kind}` } });
  let text = "";
  let reason;
  for await (const chunk of await client.models.generateContentStream({ model: "gemini-x", contents: "hello" })) {
    text += chunk.text ?? "";
    reason = chunk.candidates[0].finishReason ?? reason;
  }
  return `'${text}' ${reason}`;
};
const vercel = async (kind) => {
  const model = createGoogleGenerativeAI({ apiKey: "k", baseURL: `${base}/${kind}` })("gemini-x");
  const answer = streamText({ model, prompt: "hello" });
  return `'${await answer.text}' ${await answer.finishReason}`;
};
for (const [name, ask] of Object.entries({ "google-genai (node)": google, "ai-sdk": vercel })) {
  console.log(`${name}: plain ${await ask("plain")}; comment ${await ask("comment")}; id ${await ask("id")}`);
}
JS
cat > ask.py <<'PYTHON'
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from google import genai
from google.genai.types import HttpOptions


def event(text, **members):
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, **members, "index": 0}
    return f"data: {json.dumps({'candidates': [candidate]})}\n\n"


FIRST, LAST = event("Good"), event(" day", finishReason="STOP")
STREAMS = {
    "plain": FIRST + LAST,
    "comment": FIRST + ": still there\n\n" + LAST,
    "id": "id: 1\n" + FIRST + "id: 2\n" + LAST,
}


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(STREAMS[self.path.split("/")[1]].encode())

    def log_message(self, *_):
        pass


def with_google(kind):
    client = genai.Client(api_key="k", http_options=HttpOptions(base_url=f"{base}/{kind}"))
    text, reason = "", None
    try:
        for chunk in client.models.generate_content_stream(model="gemini-x", contents="hello"):
            text += chunk.text or ""
            reason = chunk.candidates[0].finish_reason or reason
    except Exception as error:
        return type(error).__name__
    return f"{text!r} {reason.value}"


def with_litellm(kind):
    where = {"api_base": f"{base}/{kind}/m:streamGenerateContent?alt=sse", "api_key": "k"}
    asked = [{"role": "user", "content": "hello"}]
    chunks = list(litellm.completion(model="gemini/gemini-2.5-flash", messages=asked, stream=True, **where))
    choice = litellm.stream_chunk_builder(chunks).choices[0]
    return f"{choice.message.content!r} {choice.finish_reason}"


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
for name, ask in {"google-genai (python)": with_google, "litellm": with_litellm}.items():
    print(f"{name}:", "; ".join(f"{kind} {ask(kind)}" for kind in STREAMS), flush=True)
subprocess.run(["node", "ask.mjs", base], check=True)
PYTHON
LITELLM_LOCAL_MODEL_COST_MAP=True venv/bin/python ask.py 2>errors | tee seen
broken=UnknownApiResponseError
grep -qx "google-genai (python): plain 'Good day' STOP; comment $broken; id $broken" seen || { cat errors; exit 1; }
grep -qx "litellm: plain 'Good day' stop; comment 'Good' stop; id '' stop" seen
grep -qx "google-genai (node): plain 'Good day' STOP; comment 'Good day' STOP; id '' undefined" seen
grep -qx "ai-sdk: plain 'Good day' stop; comment 'Good day' stop; id 'Good day' stop" seen
