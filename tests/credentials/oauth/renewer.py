"""A process that renews one login each time it is told to: ``... FOLDER NAME TOKEN_URL CLIENT_ID``.

Says that it is ready; then for each line that it reads, renews unless somebody else has, and writes the
access token that it would use, and whose renewal it was.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from msgspec.structs import replace

from ampproxy.config.schema import CLAUDE_OAUTH
from ampproxy.credentials.oauth.claude import renew
from ampproxy.credentials.oauth.effects import HttpAnswer, HttpRequest, Sleep
from ampproxy.credentials.oauth.refresh import renewal
from ampproxy.credentials.oauth.store import Store


def answer(ask: HttpRequest) -> HttpAnswer:
    request = urllib.request.Request(ask.url, ask.body, dict(ask.headers), method=ask.method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return HttpAnswer(response.status, {}, response.read())
    except urllib.error.HTTPError as error:
        return HttpAnswer(error.code, {}, error.read())


def run(flow):
    sent = None
    while True:
        try:
            step = flow.send(sent)
        except StopIteration as stop:
            return stop.value
        sent = None
        if isinstance(step, Sleep):
            time.sleep(min(step.seconds, 0.005))
        else:
            sent = answer(step)


def main() -> None:
    folder, name, url, client_id = sys.argv[1:]
    store = Store(Path(folder))
    client = replace(CLAUDE_OAUTH, token_url=url, client_id=client_id)
    known = store.read(name)
    print("ready", flush=True)
    for _ in sys.stdin:
        # The token has ended: whoever finds it still in the file renews it.
        ended = run(renewal(store, known, client, renew, now=time.time, force=True))
        known = ended.login
        print(known.access_token, "ours" if ended.ours else "theirs", flush=True)
