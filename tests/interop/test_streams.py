"""Long streams and slow ones: what arrives is passed on at once, and nothing is kept."""

from __future__ import annotations

import gc
import re
import time
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest

from ampproxy.testing.script import Script
from tests.interop.agents import AGENTS
from tests.interop.backends import BACKENDS
from tests.running import MODELS

pytestmark = pytest.mark.loopback

EVENTS, SIZE = 10_000, 400
#: Each dialect to itself, and to another.
PAIRS = [*zip(MODELS, MODELS, strict=True), *zip(MODELS, [*list(MODELS)[1:], "anthropic"], strict=True)]


#: What every delta of the text holds, and nothing else does.
_TEXT = re.compile(rb"tok\d|0123456789abcde ")
#: What tells the whole text once more.
_WHOLE = re.compile(rb'^data: *{"type": *"[a-z._]*(done|completed)"')
#: What this test does not ask for.
_LEFT_OUT = ("tools", "thinking", "reasoning", "reasoning_effort", "generationConfig", "include")


def deltas(world, client: str, backend: str) -> Iterator[bytes]:
    """The text's deltas of a streamed answer, one by one; nothing of them is kept."""
    agent = AGENTS[client](world.url, world.key, BACKENDS[backend], {})
    agent.user("Tell me a lot.")
    body = {name: value for name, value in agent.body().items() if name not in _LEFT_OUT}
    agent.body = lambda: body
    for line in agent.lines():
        if _TEXT.search(line) and not _WHOLE.search(line):
            yield line
    agent.close()


@pytest.mark.parametrize(("client", "backend"), PAIRS)
def test_each_event_at_once(world, client, backend):
    """An event goes to the client when it arrives, not when the next one does."""
    stand_in = world.vendors[backend]

    def gaps() -> list[float]:
        stand_in.script(Script(events=4, interval=0.06))
        times = []
        for _ in deltas(world, client, backend):
            if not times:
                assert not stand_in.requests[-1].finished
            times.append(time.monotonic())
        return [later - sooner for sooner, later in pairwise(times)]

    # On a machine that stands still for a moment all of them may be read together, but not each time.
    for _ in range(4):
        found = gaps()
        assert len(found) == 3
        if max(found) > 0.03:
            return
    raise AssertionError(f"the events came together: {found}")


@pytest.mark.parametrize(("client", "backend"), [("anthropic", "anthropic"), ("anthropic", "openai-chat")])
def test_memory_is_flat(world, client, backend):
    """Ten thousand events pass through no more memory than ten, and a client that stalls holds the vendor."""
    world.vendors[backend].script(Script(events=EVENTS, size=EVENTS * SIZE))
    seen, longest = 0, 0
    for line in deltas(world, client, backend):
        seen += 1
        longest = max(longest, len(line))
        if seen == 5000:
            gc.collect()
            tracemalloc.start()  # what lives from here on was allocated from here on
        if seen == 9000:
            time.sleep(0.3)  # the vendor goes on as far as it is let
            kept = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
    assert seen == EVENTS
    assert longest < 4 * SIZE
    # more than 1.6 MB of text passed meanwhile; what is in flight is at most a few buffers
    assert kept < 700_000
    recorded = world.vendors[backend].requests[-1]
    assert recorded.finished
    assert recorded.sent > EVENTS * SIZE
