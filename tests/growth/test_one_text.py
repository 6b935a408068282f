"""A request that is one long text is not copied for each look at it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ampproxy.dialects.anthropic.request_in import parse_request

#: Bytes; and of some runs the quickest counts.
SIZE, RUNS = 8_000_000, 7
#: With a copy for each look it took four times as long as JSON alone does, without some twice.
MOST = 3.0


def cost(work: Callable[[], object]) -> float:
    """Seconds of this thread's time."""
    spent = []
    for _ in range(RUNS):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return min(spent)


def test_reading_a_request() -> None:
    """In terms of what it takes to read the same JSON and to write it once."""
    message = {"role": "user", "content": "word " * (SIZE // 5)}
    body = msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": [message]})
    once = cost(lambda: msgspec.json.encode(msgspec.json.decode(body)))
    assert cost(lambda: parse_request(body)) < MOST * once
