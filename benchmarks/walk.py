"""``python -m benchmarks.walk``: how far one exchange walks through the code.

Prints, for the same dialect on both sides and for translations, how many of our modules are entered and how
many of our functions are called until the request leaves for its vendor, in the whole exchange, and for one
event of the stream. Counts, not times: they are the same on every machine, however busy it is. The request is
like one that was served before on the same connection: what is done once for either is not counted.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import ampproxy
from benchmarks import payloads
from tests.resources.harness import Connection, World

_HERE = str(Path(ampproxy.__file__).parent)
_SSE = {"Content-Type": ["text/event-stream"]}
_HEAD = (
    b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:8317\r\nX-Api-Key: client-key-0123456789\r\n"
    b"Content-Length: %d\r\n\r\n"
)
#: Events of an answer that are counted one by one.
_EVENTS = 20

CONFIG = """
api-keys: [client-key-0123456789]
claude-api-key:
  - api-key: account-key-0123456789
    base-url: http://claude.test
    models: [{name: claude-real, alias: m}]
openai-compatibility:
  - name: local
    base-url: http://chat.test/v1
    api-key-entries: [{api-key: chat-account-key}]
    models: [{name: chat-real, alias: c}]
gemini-api-key:
  - api-key: gemini-account-key
    base-url: http://gemini.test
    models: [{name: gemini-real, alias: g}]
"""


@dataclass
class Steps:
    """What was called of our code.

    :ivar calls: module's file -> calls of its functions.
    """

    calls: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"{len(self.calls)} modules, {self.calls.total()} calls"

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count within."""
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_HERE):
            self.calls[frame.f_code.co_filename[len(_HERE) + 1 :]] += 1


@dataclass(frozen=True)
class Walk:
    """One exchange with Anthropic's Messages on the client's side.

    :ivar before: until the request had left for its vendor.
    :ivar whole: the whole exchange.
    :ivar event: calls for one event in the middle of the stream.
    """

    before: Steps
    whole: Steps
    event: int


def walk(model: str, dialect: str) -> Walk:
    """Follow one streamed exchange through a site in memory.

    :param model: as the configuration above knows it.
    :param dialect: which its account speaks.
    """
    body = payloads.request_body("anthropic", model, stream=True, size=2048)
    world = World(CONFIG)
    client = world.connect()
    # First whatever is loaded, made or decided once for a configuration or a connection.
    _exchange(world, client, dialect, body)
    return _exchange(world, client, dialect, body)


def _exchange(world: World, client: Connection, dialect: str, body: bytes) -> Walk:
    world.client.sent.clear()
    events = payloads.stream_events(dialect, _EVENTS, payloads.MARK)
    before, whole = Steps(), Steps()
    with whole.counted():
        client.send(_HEAD % len(body) + body)
    before.calls.update(whole.calls)
    with whole.counted():
        answer = world.client.sent[0].respond(200, _SSE)
    single = 0
    for number, event in enumerate(events):
        at = whole.calls.total()
        with whole.counted():
            answer.data(event)
            world.turn()
        if number == len(events) // 2:
            single = whole.calls.total() - at
    with whole.counted():
        answer.done()
        world.turn()
    if not client.ended_cleanly:
        raise RuntimeError(f"The exchange failed: {client.answer[-500:]!r}")
    return Walk(before, whole, single)


def main() -> None:
    """Print the table, and with ``--modules`` the modules of each walk with their calls."""
    parser = argparse.ArgumentParser(prog="benchmarks.walk", description=__doc__)
    parser.add_argument("--modules", action="store_true", help="name each module with its calls")
    options = parser.parse_args()
    for name, model, dialect in (
        ("anthropic, passed through", "m", "anthropic"),
        ("anthropic to openai-chat", "c", "openai-chat"),
        ("anthropic to gemini", "g", "gemini"),
    ):
        found = walk(model, dialect)
        print(f"{name}: {found.before} until the request leaves; {found.whole} in all;", end=" ")
        print(f"{found.event} calls an event")
        for module, count in sorted(found.whole.calls.items()) if options.modules else ():
            print(f"  {count:4} {module}")


if __name__ == "__main__":
    main()
