#!/bin/sh
# The chats of Google's SDKs forget a question and its answer, if the answer's last chunk has no words.
#
# Gemini's streams may end with a chunk that says why the answer ended, and what it used, and has no content: all of
# Candidate's members are optional.
#
# Wrong guess: that a chat sends each finished exchange along with the next question. Those of Python, JavaScript and
# Go hold an answer for broken if one of its chunks lacks content, though they have passed on all its words; they
# leave it out of the history that they send, together with the question. The model seems to have lost its memory.
# Whoever writes this format puts an empty text into the last chunk.
#
# Output seen (Python 3.11, google-genai 3.6.1; Node 20, @google/genai 2.32.0; Go 1.26.8,
# google.golang.org/genai v1.77.0):
#     python: empty text: answer Blue, history 3; no content: answer Blue, history 0
#     node: empty text: answer Blue, history 3; no content: answer Blue, history 0
#     go: empty text: answer Blue, history 2; no content: answer Blue, history 0
set -eu
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check "google-genai==3.6.1"
npm install --silent --no-fund --no-audit @google/genai@2.32.0
export GOPATH="$folder/go" GOFLAGS="-mod=mod -trimpath"
cat > go.mod <<'MOD'
module chat

go 1.24

require google.golang.org/genai v1.77.0
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/genai"
)

func ask(end string) string {
	ctx := context.Background()
	options := genai.HTTPOptions{BaseURL: os.Args[1] + "/" + end}
	config := genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPOptions: options}
	client, err := genai.NewClient(ctx, &config)
	if err != nil {
		panic(err)
	}
	chat, err := client.Chats.Create(ctx, "gemini-x", nil, nil)
	if err != nil {
		panic(err)
	}
	answer := ""
	for chunk, err := range chat.SendMessageStream(ctx, genai.Part{Text: "Which colour?"}) {
		if err != nil {
			panic(err)
		}
		answer += chunk.Text()
	}
	return fmt.Sprintf("answer %s, history %d", answer, len(chat.History(true)))
}

func main() {
	fmt.Printf("go: empty text: %s; no content: %s\n", ask("text"), ask("none"))
}
GO
cat > ask.mjs <<'JS'
import { GoogleGenAI } from "@google/genai";

const ask = async (end) => {
  const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: `${process.argv[2]}/${end}` } });
  const chat = client.chats.create({ model: "gemini-x" });
  let answer = "";
  for await (const chunk of await chat.sendMessageStream({ message: "Which colour?" })) answer += chunk.text ?? "";
  return `answer ${answer}, history ${chat.getHistory(true).length}`;
};
console.log(`node: empty text: ${await ask("text")}; no content: ${await ask("none")}`);
JS
cat > ask.py <<'PYTHON'
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google import genai
from google.genai.types import HttpOptions


def content(text):
    return {"content": {"role": "model", "parts": [{"text": text}]}}


ENDS = {"text": content(""), "none": {}}


class Vendor(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        end = {"finishReason": "STOP", **ENDS[self.path.split("/")[1]]}
        for candidate in (content("Blue"), end):
            chunk = json.dumps({"candidates": [{**candidate, "index": 0}]})
            self.wfile.write(f"data: {chunk}\r\n\r\n".encode())

    def log_message(self, *_):
        pass


def ask(end):
    client = genai.Client(api_key="k", http_options=HttpOptions(base_url=f"{base}/{end}"))
    chat = client.chats.create(model="gemini-x")
    answer = "".join(chunk.text or "" for chunk in chat.send_message_stream("Which colour?"))
    return f"answer {answer}, history {len(chat.get_history(curated=True))}"


server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
print(f"python: empty text: {ask('text')}; no content: {ask('none')}", flush=True)
subprocess.run(["node", "ask.mjs", base], check=True)
subprocess.run(["go", "run", ".", base], check=True)
PYTHON
venv/bin/python ask.py 2>errors | tee seen
for sdk in "python 3" "node 3" "go 2"; do
    told="${sdk% *}: empty text: answer Blue, history ${sdk#* }; no content: answer Blue, history 0"
    grep -qx "$told" seen || { cat errors; exit 1; }
done
