"""Ids that no two requests share."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

from ampproxy.wire.ids import Ids


def test_ids() -> None:
    """Each is given once, also to several threads, and looks as a vendor's does."""
    ids = Ids()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: ids("msg_"), range(5000)))
    assert len(set(made)) == 5000
    assert all(re.fullmatch("msg_[0-9a-f]{32}", one) for one in made)


def test_one_call_of_the_system_for_many() -> None:
    """What is drawn at once serves 256 requests."""
    drawn: list[int] = []

    def random(count: int) -> bytes:
        drawn.append(count)
        return os.urandom(count)

    ids = Ids(random)
    assert len({ids("") for _ in range(512)}) == 512
    assert drawn == [4096, 4096]
