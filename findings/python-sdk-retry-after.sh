#!/bin/sh
# Five vendors' SDKs for Python take a Retry-After of more than a minute in four ways: they do not ask again, ask at
# once, wait a minute, or wait for all of it.
#
# RFC 9110 (section 10.2.3) lets a server say how long a client ought to wait before it asks again. A gateway whose
# accounts wait for their quotas says so with minutes or hours.
#
# Wrong guess: that SDKs which look alike, and try three times unless told otherwise, wait as long as they are told or
# give up. Those of Groq and Together take more than 60 s for no answer at all and ask again within a second or two,
# so that a longer pause brings more requests. Anthropic's sleeps within the call for as long as it is told. OpenAI's
# does so up to two minutes and asks no more beyond; Cohere's waits a minute and asks too early.
#
# Output seen (Python 3.11; anthropic 2.14.0, openai 2.54.0, groq 1.7.0, together 3.1.1, cohere 7.3.1):
#     anthropic: 30 -> 30,30  90 -> 90,90  3600 -> 3600,3600
#     openai: 30 -> 30,30  90 -> 90,90  3600 -> none
#     groq: 30 -> 30,30  90 -> short,short  3600 -> short,short
#     together: 30 -> 30,30  90 -> short,short  3600 -> short,short
#     cohere: 30 -> 30,30  90 -> 60,60  3600 -> 60,60
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    "anthropic==2.14.0" "openai==2.54.0" "groq==1.7.0" "together==3.1.1" "cohere==7.3.1"
"$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import cohere
import groq
import openai
import together


class Busy(BaseHTTPRequestHandler):
    """Refuses each request, with the pause that its address starts with."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"error": {"type": "rate_limit_error", "message": "The quota is used up."}}'
        self.send_response(429)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("retry-after", self.path.split("/")[1])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
ASKED = [{"role": "user", "content": "hello"}]
CLIENTS = {
    "anthropic": lambda where: anthropic.Anthropic(**where).messages.create(model="m", max_tokens=9, messages=ASKED),
    "openai": lambda where: openai.OpenAI(**where).chat.completions.create(model="m", messages=ASKED),
    "groq": lambda where: groq.Groq(**where).chat.completions.create(model="m", messages=ASKED),
    "together": lambda where: together.Together(**where).chat.completions.create(model="m", messages=ASKED),
    "cohere": lambda where: cohere.ClientV2(**where).chat(model="m", messages=ASKED),
}


def waits(ask, pause):
    """What the client slept between its tries; its sleep is noted and not slept."""
    slept = []
    time.sleep = slept.append
    try:
        ask({"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}/{pause}"})
    except Exception as error:
        assert error.status_code == 429, error
    return ",".join("short" if second < 3 else f"{second:.0f}" for second in slept) or "none"


for name, ask in CLIENTS.items():
    print(f"{name}:", "  ".join(f"{pause} -> {waits(ask, pause)}" for pause in (30, 90, 3600)))
PYTHON
grep -qx "anthropic: 30 -> 30,30  90 -> 90,90  3600 -> 3600,3600" "$folder/seen"
grep -qx "openai: 30 -> 30,30  90 -> 90,90  3600 -> none" "$folder/seen"
grep -qx "groq: 30 -> 30,30  90 -> short,short  3600 -> short,short" "$folder/seen"
grep -qx "together: 30 -> 30,30  90 -> short,short  3600 -> short,short" "$folder/seen"
grep -qx "cohere: 30 -> 30,30  90 -> 60,60  3600 -> 60,60" "$folder/seen"
