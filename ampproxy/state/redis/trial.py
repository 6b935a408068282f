"""Whether a Redis can be used, for who looks for what is wrong."""

from __future__ import annotations

import os

from ampproxy.model.sharing import StateSettings
from ampproxy.state.entries import Entry
from ampproxy.state.redis.commands import Commander, Sender
from ampproxy.state.redis.connect import FAILURES, reason
from ampproxy.state.redis.scripts import PUT


def trouble(settings: StateSettings) -> str:
    """Why the state cannot be shared by it; empty: it can. Waits no longer than its time limits.

    It puts an entry that is of no kind and ends at once.
    """
    probe = Entry("probe", os.urandom(9).hex(), b"", 1.0)
    sender = Sender(settings)
    try:
        sender.run([Commander(settings.prefix).entry(PUT, probe, 1, lambda _: None)])
    except FAILURES as error:
        return reason(error, settings)
    finally:
        sender.close()
    return ""
